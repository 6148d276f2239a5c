"""DeepFool: the nearest boundary of the linearised network, again and again (Moosavi-Dezfooli et
al. 2016, algorithm 2, in L2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import among, whole, within
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.record import NO_SIGNAL
from relrob.domain.region import Norm
from relrob.networks.evaluator import tied

# The authors' code goes this much farther than each boundary, and ART's adds so much to each norm.
_BEYOND: Final = 1e-4
_TINY: Final = 1e-7


@dataclass(frozen=True)
class DeepFool:
    """With f_k the logits and w_k = grad f_k - grad f_label, the nearest of the linear boundaries
    is that of l = argmin_k |f_k - f_label| / ||w_k||, and r = |f_l - f_label| / ||w_l||^2 w_l goes
    there.

    `steps`: at most. `overshoot`: how much farther than the boundaries. `candidates`: classes with
    the largest logits of the clean image, its own among them, whose boundaries are looked at.
    `form`: "authors": x' = clip(x + (1 + overshoot) sum r), the sum unclipped, and the network is
    asked with the overshoot; "art": clipped after every step, the overshoot once, at the end. At
    few steps they differ much (docs/attacks.md).

    A quantised network has ties of logits, where the distance to the boundary is 0 and no step
    leads on; such an image is remarked. With targets, the boundary between the target and the class
    that is largest now.
    """

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    form: str = "authors"
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        within("overshoot", self.overshoot, 0, 10)
        whole("candidates", self.candidates, least=2)
        among("form", self.form, ("authors", "art"))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """A step of an image costs one pass, and one more for each class that it looks at."""
        return self.moved(victim, images, goal, np.arange(len(images)), tell=True)

    def moved(
        self, victim: Victim, images: Floats, goal: Goal, rows: Ints, tell: bool = False
    ) -> Floats:
        """Images (m, d) for the attacked ones `rows` (m,), each at its first success or after all
        steps. `tell`: report each step (of all images at once), and remark on images."""
        at, total = images.copy(), np.zeros_like(images)
        least = np.full(len(images), np.inf)
        going = np.arange(len(images))
        rivals = np.zeros((len(images), 0), np.int64)
        for step in range(self.steps + 1):
            logits = victim.logits(at[going], rows[going])
            rivals = self._rivals(logits, goal.of(rows)) if step == 0 else rivals
            won = goal.reached(victim.judged(logits, at[going], rows[going]), rows[going])
            least[going[won]] = distances(at[going[won]], images[going[won]], self.norm)
            if tell:
                victim.note(least)
            going, logits = going[~won], logits[~won]
            if step == self.steps or not len(going):
                if tell:
                    victim.remark(rows[going[tied(logits)]], "stopped at a tie of logits")
                break
            move, moving = self._move(victim, at[going], logits, goal, rows[going], rivals[going])
            if tell:
                victim.remark(rows[going[~moving]], NO_SIGNAL)
            going, move = going[moving], move[moving]
            if self.form == "art":
                at[going] = np.clip(at[going] + move, 0.0, 1.0)
            else:
                total[going] += move
                at[going] = _beyond(images[going], total[going], self.overshoot)
        return at if self.form == "authors" else _beyond(images, at - images, self.overshoot)

    def _rivals(self, logits: Floats, goal: Goal) -> Ints:
        """The classes (m, k) whose boundaries are looked at."""
        if goal.targets is not None:
            return goal.targets[:, None]
        ranked = logits.copy()
        ranked[np.arange(len(logits)), goal.labels] = np.inf
        order = np.argsort(-ranked, axis=1, kind="stable")
        return order[:, 1 : self.candidates]

    def _move(
        self, victim: Victim, at: Floats, logits: Floats, goal: Goal, rows: Ints, rivals: Ints
    ) -> tuple[Floats, Bools]:
        """(moves (m, d) to the nearest linear boundaries, (m,): is there a gradient at all?)."""
        here = np.arange(len(at))
        home = goal.labels[rows]
        if goal.targets is not None:
            others = logits.copy()
            others[here, rivals[:, 0]] = -np.inf
            home = others.argmax(axis=1)
        _, gradients = victim.jacobian(at, rows, np.concatenate([home[:, None], rivals], axis=1))
        slopes = gradients[:, 1:] - gradients[:, :1]
        gaps = np.abs(logits[here[:, None], rivals] - logits[here, home][:, None])
        lengths = np.linalg.norm(slopes, axis=2).astype(np.float64)
        nearest = np.argmin(np.where(lengths > 0, gaps / (lengths + _TINY), np.inf), axis=1)
        gap, length = gaps[here, nearest].astype(np.float64), lengths[here, nearest]
        factor: Doubles = gap / (length**2 + _TINY)
        if self.form == "authors":
            factor = (gap / (length + 1e-8) + _BEYOND) / (length + 1e-8)
        moves = factor[:, None] * slopes[here, nearest]
        return moves.astype(np.float32), np.asarray(length > 0)


def _beyond(images: Floats, moves: Floats, overshoot: float) -> Floats:
    return np.asarray(np.clip(images + np.float32(1 + overshoot) * moves, 0.0, 1.0), np.float32)
