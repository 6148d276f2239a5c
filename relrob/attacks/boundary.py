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
# The share of the way to the image within which the last bisection ends.
_FINE: Final = 1e-3


@dataclass(frozen=True)
class Boundary:
    """Each step tries `samples` moves around the image, of relative length `delta`, in up to
    `trials` rounds, then draws those that are adversarial towards the image by the share `epsilon`,
    in up to `trials` rounds, and keeps the nearest.

    Both lengths are multiplied by `adapt` where fewer than 20 % of the candidates are adversarial,
    and divided by it where more than 50 % are. An image whose rounds all fail stops there. The
    nearest point that was met is kept; the noise of a round serves every image of the call. The
    rest is as ART 1.20.1 has it with `start` "uniform". `finish`: end with a bisection to the
    boundary, some ten queries, which neither ART nor the paper has.
    """

    steps: int = 50
    delta: float = 0.01
    epsilon: float = 0.01
    adapt: float = 0.667
    trials: int = 25
    samples: int = 20
    draws: int = 100
    start: str = "any"
    finish: bool = False
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

        def restart(rows: Ints, own: np.random.Generator) -> tuple[Floats, Bools]:
            return self._restart(sight, rows, own)

        return closest(sight, self.restarts, restart, rng, self.norm)

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
        if self.finish and len(rows):
            points[rows] = sight.nearer(points[rows], rows, Norm.L2, np.full(len(rows), _FINE))
            least = np.full(len(points), np.inf)
            least[rows] = distances(points[rows], sight.images[rows], Norm.L2)
            sight.victim.note(least)
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
        around = [row for row in going if self._drawn[row] is None]
        drawn = {row: pool for row in going if (pool := self._drawn[row]) is not None}
        counts = [samples] * len(around) + [len(pool) for pool in drawn.values()]
        owners = np.array([*around, *drawn], np.int64)
        each = np.repeat(owners, counts)
        size = len(around) * samples
        candidates = np.empty((len(each), self._images.shape[1]), np.float32)
        self._around(np.array(around, np.int64), noise, candidates[:size])
        self._towards(each[size:], list(drawn.values()), candidates[size:])
        reached = self._sight.reached(candidates, self._rows[each])
        starts = np.cumsum([0, *counts[:-1]])
        hits = np.add.reduceat(reached, starts, dtype=np.int64)
        self._adapt(owners, hits / counts, len(around))
        own = [slice(start, start + count) for start, count in zip(starts, counts, strict=True)]
        for row, part, hit in zip(owners.tolist(), own, hits.tolist(), strict=True):
            self._turn(row, candidates[part][reached[part]] if hit else None)
        self.trace.append(self._least.copy())

    def _around(self, rows: Ints, noise: Floats, out: Floats) -> None:
        """Moves (m * samples, d) of length `delta` times the distance, orthogonal to the way to the
        image, and back onto the sphere around it."""
        ways = self._images[rows] - self._at[rows]
        gaps = np.linalg.norm(ways, axis=1)
        ways /= np.maximum(gaps, np.float32(1e-30))[:, None]
        delta = self._delta[rows].astype(np.float32)
        slant = np.sqrt(1 + delta * delta)
        length = delta * gaps / slant
        # One product an image, whose bits do not depend on the others.
        shares = (ways[:, None, :] @ noise.T)[:, 0]
        along = length[:, None] * shares + (gaps * (1 / slant - 1))[:, None]
        blocks = out.reshape(len(rows), *noise.shape)
        for number in range(len(rows)):
            moved = blocks[number]
            np.multiply(noise, length[number], out=moved)
            moved -= along[number, :, None] * ways[number]
            moved += self._at[rows[number]]
            np.clip(moved, 0, 1, out=moved)

    def _towards(self, each: Ints, drawn: list[Floats], out: Floats) -> None:
        """The candidates of the images `each` (m,) drawn towards them by the share `epsilon`."""
        if drawn:
            np.concatenate(drawn, out=out)
            moves = self._images[each]
            moves -= out
            moves *= self._epsilon[each, None].astype(np.float32)
            out += moves
            np.clip(out, 0, 1, out=out)

    def _adapt(self, rows: Ints, shares: Doubles, around: int) -> None:
        """Change the lengths of the phase that each image is in: `delta` of the first `around`."""
        factors = np.where(shares > _MANY, 1 / self._attack.adapt, 1.0)
        factors = np.where(shares < _FEW, self._attack.adapt, factors)
        self._delta[rows[:around]] *= factors[:around]
        self._epsilon[rows[around:]] *= factors[around:]
        self._trial[rows] += 1

    def _turn(self, row: int, reached: Floats | None) -> None:
        """Change the phase of an image, whose candidates `reached` are adversarial, if any is."""
        drawn = self._drawn[row]
        last = self._trial[row] == self._attack.trials
        if drawn is None and reached is not None:
            self._drawn[row], self._trial[row] = reached, 0
        elif drawn is not None and (reached is not None or last):
            self._settle(row, drawn if reached is None else reached)
            self._walking[row] = reached is not None and self._step[row] < self._attack.steps
        elif last:
            self._walking[row] = False

    def _settle(self, row: int, points: Floats) -> None:
        """Stand at the nearest of these adversarial points, and begin the next step."""
        moves = points - self._images[row]
        gaps = np.sqrt(np.einsum("ij,ij->i", moves, moves))
        nearest = int(gaps.argmin())
        self._at[row], self._drawn[row], self._trial[row] = points[nearest], None, 0
        self._step[row] += 1
        if gaps[nearest] < self._least[row]:
            self.best[row], self._least[row] = points[nearest], gaps[nearest]
