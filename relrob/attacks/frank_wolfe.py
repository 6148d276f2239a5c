"""The search for a witness in a ball or lattice, by gradients of the real network behind the
runtime."""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.bounding.ball import BallBounds
from relrob.domain.arrays import Doubles, Floats
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding
from relrob.queries.query import Query
from relrob.regions.ball import BallSet

STEPS: Final = 12
RIVALS: Final = 3


def sought(
    query: Query[BallSet], opened: Opened, deadline: Deadline
) -> tuple[BallBounds, Finding | None, float, int]:
    """How solvers of a network that has an enclosure begin: (its bounds, the finding of a witness
    or None, the smallest margin met, images run)."""
    enclosure = enclosure_of(opened.network)
    assert enclosure is not None  # noqa: S101 - the solver's accepts() saw to it
    bounds = BallBounds(enclosure, query.points, query.label)
    witness, least, tried = seek(bounds, opened, deadline)
    found = None if witness is None else Finding(False, (witness,), least, tried, "witness")
    return bounds, found, least, tried


def seek(
    bounds: BallBounds, opened: Opened, deadline: Deadline
) -> tuple[Floats | None, float, int]:
    """(a witness or None, the smallest margin met, images run): for the closest rivals, again and
    again the image of the ball that the real network's gradient at the last one favours most, and
    the middle between both (Frank and Wolfe 1956)."""
    ball, label = bounds.ball, bounds.label
    outputs = opened.replayer.outputs(ball.base[None, :])
    least, tried = float(margins(outputs, label)[0]), 1
    if int(labels(outputs)[0]) != label:
        return ball.base, least, tried
    order = [int(rival) for rival in np.argsort(-outputs[0], kind="stable") if rival != label]
    for rival in order[:RIVALS]:
        moves = np.zeros(len(ball.base))
        for step in range(STEPS):
            if deadline.late:
                return None, least, tried
            goal = bounds.at.hull.maximiser(
                _gradient(bounds.enclosure, ball.base + moves, label, rival)
            )
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
