"""Spot checks: points of what bounds proved are run on the runtime itself, one image at a time, and
compared with what was proved.

Of each part of a ladder that has one label by proof, two points are run: the corner that the bound
points at (where no bound but a solver closed the part, the corner of the bound that left it open),
and one drawn at random. The first `PARTS` parts of a network around an image are all checked; of
those that follow, the n-th with probability `PARTS` / n. Draws are seeded by image, network and
part. Of a ball, the corners of all of its parts, `PARTS` at most, and as many images drawn at
random, on or within its boundary.

A point speaks against the proof when it has another label, or, where outputs and bound are of one
kind, a smaller margin than was proved. Then `AlarmError`: nothing is pronounced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from random import Random
from typing import Final, Protocol, final
from zlib import crc32

import numpy as np

from relrob.bounding.ball import BallHull
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Arithmetic, Network
from relrob.errors import AlarmError
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure, probability_margin
from relrob.networks.evaluator import Evaluator, labels
from relrob.networks.softmax import outputs_are_probabilities, softmax_slack
from relrob.regions.ball import BallSet
from relrob.regions.part import Part

PARTS: Final = 64
BLOCK: Final = 256  # points that are run together
_FLOAT32: Final = 2.0**-20  # relative: of margins between outputs that were rounded to float32
_LARGEST: Final = float(np.finfo(np.float32).max)
_EDGE: Final = 1e-6  # relative: outputs this near to the end of their range saturate


class Ready(Protocol):
    """A network that is ready to run (`relrob.networks.open.Opened`)."""

    @property
    def network(self) -> Network:
        """What it is."""
        ...

    @property
    def replayer(self) -> Evaluator:
        """One image at a time, as it is deployed."""
        ...

    @property
    def role(self) -> str:
        """ "reference", "quantised", or "" where that is not known."""
        ...


@dataclass(frozen=True, eq=False)
class _Promise:
    """What was proved of some images (n, d): their `label`, and that its margin is `least` at
    least, None where that is not known; `by` whom."""

    images: Floats
    label: int
    least: float | None
    by: str


@final
class Spots:
    """The spot checks of one question, around the image of index `image`; `run`: how many were
    made, none against."""

    def __init__(self, image: int | None = None) -> None:
        self.image, self.run = image, 0
        self._of: dict[int, NetworkSpots] = {}

    def of(self, ready: Ready) -> NetworkSpots:
        """Those of one network."""
        key = id(ready.replayer)
        if key not in self._of:
            self._of[key] = NetworkSpots(self, ready)
        return self._of[key]

    def finish(self) -> None:
        """Run what is still to be run. Raises AlarmError."""
        for each in self._of.values():
            each.finish()


@final
class NetworkSpots:
    """The spot checks of one network."""

    def __init__(self, spots: Spots, ready: Ready) -> None:
        self._spots, self._ready = spots, ready
        self._parts = 0
        self._waiting: list[_Promise] = []
        self._enclosure: Enclosure | None = None
        self._known = False

    def part(
        self, part: Part, label: int, least: float | None, gains: Doubles, by: str = "bounds"
    ) -> None:
        """Every point of the part has the label, proved. `least`: a proved bound of its margin in
        the unit of `Enclosure.shown`; `gains` (F,): how much each feature lowers the margin that
        was most threatened. Raises AlarmError."""
        self._parts += 1
        seed = crc32(repr((self._spots.image, self._ready.role, part.path)).encode())
        if seed * self._parts > PARTS << 32:
            return
        masks = np.zeros((2, part.rungs.features), dtype=np.bool_)
        masks[:, list(part.moved)] = True
        masks[0, _worst(part, gains)] = True
        masks[1, _drawn(part, Random(seed))] = True  # noqa: S311 - a sample, no secret
        self._add(_Promise(part.rungs.images(masks), label, least, by))

    def ball(
        self,
        ball: BallSet,
        label: int,
        least: float | None,
        corners: Sequence[Doubles],
        by: str = "bounds",
    ) -> None:
        """Every image of the ball has the label, proved. `corners`: the moves (d,) that its bounds
        point at. Raises AlarmError."""
        seed = crc32(repr((self._spots.image, self._ready.role)).encode())
        rng, hull = (
            np.random.default_rng(seed),
            BallHull(ball.down, ball.up, ball.norm, ball.radius),
        )
        chosen = (
            list(corners)
            if len(corners) <= PARTS
            else [corners[n] for n in rng.permutation(len(corners))[:PARTS]]
        )
        drawn = [
            hull.maximiser(rng.standard_normal(len(ball.base))) * rng.choice([1.0, rng.random()])
            for _ in chosen or [0]
        ]
        moves = [*chosen, *drawn]
        images = [image for image in map(ball.point, moves) if image is not None] or [ball.base]
        self._add(_Promise(np.stack(images), label, least, by))

    def _add(self, promise: _Promise) -> None:
        self._waiting.append(promise)
        if sum(len(each.images) for each in self._waiting) >= BLOCK:
            self.finish()

    def finish(self) -> None:
        """Run what is still to be run. Raises AlarmError."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        outputs = self._ready.replayer.outputs(
            np.concatenate([promise.images for promise in waiting])
        )
        at = 0
        for promise in waiting:
            mine = outputs[at : at + len(promise.images)]
            at += len(mine)
            self._compare(promise, mine)
        self._spots.run += at

    def _compare(self, promise: _Promise, outputs: Floats) -> None:
        """Raise AlarmError where outputs (n, classes) are not what was promised."""
        said = labels(outputs)
        wrong = np.flatnonzero(said != promise.label)
        if len(wrong):
            raise self._alarm(
                f"gives {said[wrong[0]]} at a point that {promise.by} proved {promise.label}"
            )
        least = self._least(promise)
        if least is None:
            return
        found = self._margins(outputs, promise.label)
        low = int(found.argmin())
        if found[low] < least - _FLOAT32 * max(float(np.abs(outputs[low]).max()), abs(least)):
            told = f"{found[low]:.6g} at a point where {promise.by} proved {least:.6g} at least"
            raise self._alarm(f"gives {promise.label} a margin of {told}")

    def _alarm(self, told: str) -> AlarmError:
        where = "" if self._spots.image is None else f"image {self._spots.image}: "
        role = self._ready.role or self._ready.network.path
        return AlarmError(
            f"{where}the {role} network {told}; nothing is pronounced;"
            " please report this with the two files"
        )

    def _least(self, promise: _Promise) -> float | None:
        """The promised margin in the unit of the runtime's outputs; None where there is none."""
        enclosure, network = self._bounds(), self._ready.network
        if promise.least is None or enclosure is None or not isfinite(promise.least):
            return None
        if not outputs_are_probabilities(network, enclosure):
            return promise.least
        if isfinite(enclosure.layers[-1].cap) or isfinite(enclosure.layers[-1].floor):
            return None  # logits that saturate behind the softmax
        shown = (
            promise.least
            if enclosure.probabilities
            else probability_margin(promise.least, enclosure.classes)
        )
        return shown - softmax_slack(network, enclosure)

    def _margins(self, outputs: Floats, label: int) -> Doubles:
        """Margins (n,) of outputs; those that saturate, and real numbers that float32 does not
        hold, promise nothing."""
        wide, enclosure = outputs.astype(np.float64), self._bounds()
        mine, others = wide[:, label], np.delete(wide, label, axis=1)
        if self._ready.network.arithmetic is Arithmetic.REAL:
            mine = np.where(mine >= _LARGEST, inf, mine)
            others = np.where(others <= -_LARGEST, -inf, others)
        if enclosure is not None and not outputs_are_probabilities(self._ready.network, enclosure):
            last = enclosure.layers[-1]
            if isfinite(last.cap):
                mine = np.where(mine >= last.cap - _EDGE * abs(last.cap), inf, mine)
            if isfinite(last.floor):
                others = np.where(others <= last.floor + _EDGE * abs(last.floor), -inf, others)
        return np.asarray(mine - others.max(axis=1))

    def _bounds(self) -> Enclosure | None:
        if not self._known:
            self._enclosure, self._known = enclosure_of(self._ready.network), True
        return self._enclosure


def _worst(part: Part, gains: Doubles) -> list[int]:
    """The free features that lower the margin most for what they cost, while the radius allows."""
    costs, room, chosen = part.rungs.costs, part.room, []
    falling = [g for g in part.free if gains[g] > 0]
    for g in sorted(falling, key=lambda g: -gains[g] / max(float(costs[g]), 1e-300)):
        if costs[g] <= room:
            room -= costs[g]
            chosen.append(g)
    return chosen


def _drawn(part: Part, random: Random) -> list[int]:
    """A random number of random free features, as far as the radius allows."""
    room, chosen = part.room, []
    for g in random.sample(part.free, random.randint(0, len(part.free))):
        if part.rungs.costs[g] <= room:
            room -= part.rungs.costs[g]
            chosen.append(g)
    return chosen
