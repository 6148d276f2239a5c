"""The Boundary attack: a walk along the boundary from labels alone (Brendel et al. 2018), in the
form of ART."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.decisions import STARTS, Sight, closest
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import among, positive, whole
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm
from relrob.errors import UsageError

# Images that walk together: their candidates stay in the processor's cache.
_TOGETHER: Final = 64
# Shares of adversarial candidates below and above which a step length changes (ART).
_FEW: Final = 0.2
_MANY: Final = 0.5


@dataclass(frozen=True)
class Boundary:
    """Each step tries `samples` moves around the image, of relative length `delta`, in up to
    `trials` rounds, then draws those that are adversarial towards the image by the share `epsilon`,
    in up to `trials` rounds, and keeps the nearest.

    Both lengths are multiplied by `adapt` where fewer than 20 % of the candidates are adversarial,
    and divided by it where more than 50 % are. An image whose rounds all fail stops there. The
    nearest point that was met is kept; the noise of a round serves every image of the call. The
    rest is as ART 1.20.1 has it with `start` "uniform".
    """

    steps: int = 50
    delta: float = 0.01
    epsilon: float = 0.01
    adapt: float = 0.667
    trials: int = 25
    samples: int = 20
    draws: int = 100
    start: str = "any"
    restarts: int = 1
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        for name in ("steps", "trials", "samples", "draws", "restarts"):
            whole(name, getattr(self, name))
        positive("delta", self.delta)
        positive("epsilon", self.epsilon)
        if not 0 < self.adapt < 1:
            raise UsageError(f"adapt {self.adapt:g}", "above 0 and below 1")
        among("start", self.start, STARTS)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """All images round by round together; none changes the course of another."""
        sight = Sight(victim, goal, images)
        every = np.arange(len(images))
        done = sight.reached(images, every)
        return closest(
            self.restarts,
            lambda own: self._restart(sight, every[~done], own),
            rng,
            images,
            self.norm,
        )

    def _restart(self, sight: Sight, rows: Ints, rng: np.random.Generator) -> tuple[Floats, Bools]:
        """The nearest points (n, d) that were met, and the images for which there is one (n,)."""
        points, found = sight.starts(rng, self.draws, self.start, rows)
        rows, seed = np.flatnonzero(found), int(rng.integers(2**62))
        traces: list[tuple[Ints, list[Doubles]]] = []
        for first in range(0, len(rows), _TOGETHER):
            part = rows[first : first + _TOGETHER]
            walk = _Walk(self, sight, part, points[part])
            tick = 0
            while walk.open:
                walk.round(np.random.default_rng([seed, tick]))
                tick += 1
            points[part] = walk.best
            traces.append((part, walk.trace))
        _note(sight.victim, traces, len(points))
        return points, found


def _note(victim: Victim, traces: list[tuple[Ints, list[Doubles]]], images: int) -> None:
    """The least distances by round, of groups that took different numbers of rounds."""
    for tick in range(max((len(trace) for _, trace in traces), default=0)):
        least = np.full(images, np.inf)
        for rows, trace in traces:
            if trace:
                least[rows] = trace[min(tick, len(trace) - 1)]
        victim.note(least)


@final
class _Walk:
    """The state of a group of images: where each stands, its two lengths, and its phase.

    `best` (m, d): the nearest adversarial points so far. `trace`: their distances by round.
    """

    def __init__(self, attack: Boundary, sight: Sight, rows: Ints, points: Floats) -> None:
        self._attack, self._sight, self._rows = attack, sight, rows
        self._images, self._at, self.best = sight.images[rows], points.copy(), points.copy()
        self._least = distances(points, self._images, Norm.L2)
        self._delta = np.full(len(rows), attack.delta)
        self._epsilon = np.full(len(rows), attack.epsilon)
        self._step, self._trial = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        # Adversarial candidates that are drawn towards the image; None in the other phase.
        self._drawn: list[Floats | None] = [None] * len(rows)
        self._walking = np.ones(len(rows), np.bool_)
        self.trace: list[Doubles] = []

    @property
    def open(self) -> bool:
        """Does any image still walk?"""
        return bool(self._walking.any())

    def round(self, rng: np.random.Generator) -> None:
        """One round of every image that walks, around the image or towards it."""
        samples = self._attack.samples
        noise = rng.standard_normal((samples, self._images.shape[1]), dtype=np.float32)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        going = [int(row) for row in np.flatnonzero(self._walking)]
        around = np.array([row for row in going if self._drawn[row] is None], np.int64)
        towards = [(row, drawn) for row in going if (drawn := self._drawn[row]) is not None]
        parts = [self._around(around, noise)]
        parts += [self._towards(row, drawn) for row, drawn in towards]
        counts = [samples] * len(around) + [len(drawn) for _, drawn in towards]
        owners = [*around, *(row for row, _ in towards)]
        candidates = np.concatenate(parts)
        reached = self._sight.reached(candidates, self._rows[np.repeat(owners, counts)])
        ends = np.cumsum(counts)
        for owner, end, count in zip(owners, ends, counts, strict=True):
            own = slice(end - count, end)
            self._turn(int(owner), candidates[own], reached[own])
        self.trace.append(self._least.copy())

    def _around(self, rows: Ints, noise: Floats) -> Floats:
        """Moves (m * samples, d) of length `delta` times the distance, orthogonal to the way to the
        image, and back onto the sphere around it."""
        ways = self._images[rows] - self._at[rows]
        gaps = np.linalg.norm(ways, axis=1)
        ways /= np.maximum(gaps, np.float32(1e-30))[:, None]
        delta = self._delta[rows].astype(np.float32)
        slant = np.sqrt(1 + delta * delta)
        length = delta * gaps / slant
        along = length[:, None] * (ways @ noise.T) + (gaps * (1 / slant - 1))[:, None]
        moved = length[:, None, None] * noise
        moved -= along[:, :, None] * ways[:, None, :]
        moved += self._at[rows][:, None, :]
        return np.clip(moved, 0, 1, out=moved).reshape(-1, noise.shape[1])

    def _towards(self, row: int, drawn: Floats) -> Floats:
        """The candidates of an image drawn towards it by the share `epsilon`."""
        moved = drawn + np.float32(self._epsilon[row]) * (self._images[row] - drawn)
        return np.clip(moved, 0, 1)

    def _turn(self, row: int, candidates: Floats, reached: Bools) -> None:
        """Change lengths and phase of an image by the labels of its candidates."""
        drawn = self._drawn[row]
        lengths, share = self._delta if drawn is None else self._epsilon, reached.mean()
        if share < _FEW:
            lengths[row] *= self._attack.adapt
        elif share > _MANY:
            lengths[row] /= self._attack.adapt
        self._trial[row] += 1
        last = self._trial[row] == self._attack.trials
        if drawn is None and reached.any():
            self._drawn[row], self._trial[row] = candidates[reached], 0
        elif drawn is not None and (reached.any() or last):
            self._settle(row, candidates[reached] if reached.any() else drawn)
            self._walking[row] = reached.any() and self._step[row] < self._attack.steps
        elif last:
            self._walking[row] = False

    def _settle(self, row: int, points: Floats) -> None:
        """Stand at the nearest of these adversarial points, and begin the next step."""
        gaps = np.linalg.norm(points - self._images[row], axis=1)
        nearest = int(gaps.argmin())
        self._at[row], self._drawn[row], self._trial[row] = points[nearest], None, 0
        self._step[row] += 1
        if gaps[nearest] < self._least[row]:
            self.best[row], self._least[row] = points[nearest], gaps[nearest]
