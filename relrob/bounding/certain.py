"""One label for a whole part of a ladder, proved by bounds for the runtime's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import final

import numpy as np

from relrob.bounding.ladder import LadderBounds
from relrob.bounding.linear import Margins
from relrob.domain.arrays import Doubles
from relrob.networks.enclosure import Enclosure
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part


@dataclass(frozen=True, eq=False)
class Settled:
    """The result of bounds over a part.

    `label`: the one label of the part, None where bounds do not tell; `margin`: proved bound of the
    true label's margin, from below where the label is right, from above where it is wrong; `slopes`
    (F,): the change of that margin by each feature; `proof`: the bounds that prove the true label;
    `least`: proved lower bound of the margin of `label`; `gains` (F,): the loss of that margin by
    each feature; `wrong`: the label is not the true one.
    """

    label: int | None
    margin: float
    slopes: Doubles
    proof: Margins | None = None
    least: float = -inf
    gains: Doubles = field(default_factory=lambda: np.zeros(0))
    wrong: bool = False


@final
class CertainLabels:
    """Bounds on one enclosed network around one image; `label` is the true one."""

    def __init__(self, enclosure: Enclosure, rungs: RungSet, label: int) -> None:
        self._enclosure, self._rungs, self._label = enclosure, rungs, label
        self._of = {label: LadderBounds(enclosure, rungs, label)}

    def settle(self, part: Part) -> Settled:
        """One or two bound computations."""
        margins = self._of[self._label].margins(part)
        if proves(self._enclosure, self._label, margins):
            least = self._enclosure.shown(float(margins.low.min()))
            return Settled(self._label, least, margins.slopes, margins, least, margins.gains)
        rival = int(margins.high.argmin())
        if margins.high[rival] < -self._enclosure.gap:
            other = rival if rival < self._label else rival + 1
            if other not in self._of:
                self._of[other] = LadderBounds(self._enclosure, self._rungs, other)
            found = self._of[other].margins(part)
            if proves(self._enclosure, other, found):
                high, least = (
                    self._enclosure.shown(float(end))
                    for end in (margins.high[rival], found.low.min())
                )
                return Settled(other, high, margins.slopes, None, least, found.gains, wrong=True)
        return Settled(None, float(margins.low.min()), margins.slopes)


def proves(enclosure: Enclosure, label: int, margins: Margins) -> bool:
    """Is `label` the one label of the set? Outputs must stay off the ends of their range, where
    they saturate and could tie."""
    gap, last = enclosure.gap, enclosure.layers[-1]
    if not margins.low.min() > gap:
        return False
    others = [most for number, most in enumerate(margins.most) if number != label]
    below_cap = not isfinite(last.cap) or max(others) < last.cap - gap
    above_floor = not isfinite(last.floor) or margins.least[label] > last.floor + gap
    return bool(below_cap and above_floor)
