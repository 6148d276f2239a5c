"""Bounds over a ball or lattice: a search for a witness first, optimised slopes where the plain ones do not reach. Not complete."""

from __future__ import annotations

import time
from typing import Final, final

import numpy as np

from relrob.bounding.ball import BallBounds
from relrob.bounding.certain import proves
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice
from relrob.domain.verdict import Reason
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure, probability_margin
from relrob.networks.evaluator import labels, margins
from relrob.problem import BallFinding, BallProblem, Opened

STEPS: Final = 12
RIVALS: Final = 3


@final
class Around:
    """Milliseconds to seconds an image; UNKNOWN where neither a witness is found nor the bounds are tight enough."""

    name = "bounds"
    complete = False

    def accepts(self, region: Ball | Lattice, network: Network) -> str | None:
        """Networks that have an enclosure."""
        if enclosure_of(network) is not None:
            return None
        return "no bounds for this network; float MLPs, dense .tflite files and fixed-point networks have them"

    def solve(self, problem: BallProblem, opened: Opened) -> BallFinding:
        """A witness, a proof, or neither."""
        enclosure = enclosure_of(opened.network)
        assert enclosure is not None  # noqa: S101 - accepts() saw to it
        end = time.perf_counter() + problem.budget.seconds
        bounds = BallBounds(enclosure, problem.ball, problem.label)
        found, least, tried = seek(bounds, opened, end)
        if found is not None:
            return BallFinding(False, (found,), least, tried, "witness")
        plain = bounds.margins()
        proof, by = plain, "bounds"
        if not proves(enclosure, problem.label, plain) and time.perf_counter() < end:
            proof, by = bounds.margins(bounds.falls(plain)), "alpha"
        if not proves(enclosure, problem.label, proof):
            late = time.perf_counter() > end
            return BallFinding(False, (), least, tried, by, Reason.TIME if late else Reason.BOUNDS)
        margin = float(proof.low.min())
        shown = probability_margin(margin, enclosure.classes) if enclosure.probabilities else margin
        return BallFinding(True, (), min(shown, least), tried, by, proof=proof if problem.certify else None)


def seek(bounds: BallBounds, opened: Opened, end: float) -> tuple[Floats | None, float, int]:
    """(a witness or None, the smallest margin met, images run): for the closest rivals, again and again the image of the ball that
    the real network's gradient at the last one favours most, and the middle between both (Frank and Wolfe 1956)."""
    ball, label = bounds.ball, bounds.label
    outputs = opened.replayer.outputs(ball.base[None, :])
    least, tried = float(margins(outputs, label)[0]), 1
    if int(labels(outputs)[0]) != label:
        return ball.base, least, tried
    order = [int(rival) for rival in np.argsort(-outputs[0], kind="stable") if rival != label]
    for rival in order[:RIVALS]:
        moves = np.zeros(len(ball.base))
        for step in range(STEPS):
            if time.perf_counter() > end:
                return None, least, tried
            goal = bounds.at.hull.extreme(_gradient(bounds.enclosure, ball.base + moves, label, rival))
            images = [
                image
                for image in (ball.point(goal), ball.point((moves * step + goal) / (step + 1)))
                if image is not None
            ]
            if not images:
                break
            outputs = opened.replayer.outputs(np.stack(images))
            tried += len(images)
            least = min(least, float(margins(outputs, label).min()))
            wrong = np.flatnonzero(labels(outputs) != label)
            if len(wrong):
                return images[int(wrong[0])], least, tried
            moves = images[int(np.argmin(margins(outputs, label)))].astype(np.float64) - ball.base
    return None, least, tried


def _gradient(enclosure: Enclosure, image: Doubles, label: int, rival: int) -> Doubles:
    """How output(rival) - output(label) of the real network grows with each pixel (d,)."""
    values, on = image, []
    for layer in enclosure.layers[:-1]:
        values = values @ layer.weights + layer.bias
        on.append((values > 0) & (values < layer.cap))
        values = np.clip(values, 0.0, layer.cap)
    last = enclosure.layers[-1].weights
    gradient: Doubles = last[:, rival] - last[:, label]
    for layer, open_ones in zip(reversed(enclosure.layers[:-1]), reversed(on), strict=True):
        gradient = layer.weights @ (gradient * open_ones)
    return gradient
