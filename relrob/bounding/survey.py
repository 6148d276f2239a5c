"""The bounds over a part of a region, and the outputs that they leave to be refuted."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Generic, Protocol, TypeVar

import numpy as np

from relrob.bounding.ball import Moves
from relrob.bounding.linear import Margins
from relrob.bounding.relaxation import PreActivations
from relrob.bounding.sets import At
from relrob.domain.arrays import Bools, Doubles
from relrob.networks.enclosure import EnclosedLayer, Enclosure
from relrob.regions.part import Part

P = TypeVar("P", Part, Moves)


P_contra = TypeVar("P_contra", bound=Part | Moves, contravariant=True)


@dataclass(frozen=True, eq=False)
class Survey(Generic[P]):
    """The bounds over a part.

    `margin`: proved from below, in the unit of the runtime's outputs; `unstable`: number of ReLUs
    that may do more than one thing; `threats`: (class, signs, limit) each; the label is right
    unless signs @ outputs <= limit for one of them, and proved where there are none; `gains` (F,):
    the loss of the most threatened margin by each feature; `known`: bounds of every layer.
    """

    part: P
    margin: float
    unstable: int
    threats: tuple[tuple[int, Doubles, float], ...]
    gains: Doubles
    known: tuple[PreActivations, ...]

    @property
    def slopes(self) -> Doubles:
        """The change of the most threatened margin by each feature (F,)."""
        return np.abs(self.gains)


class Bounded(Protocol[P_contra]):
    """Bounds on the parts of a ladder, or on a ball."""

    enclosure: Enclosure
    label: int

    def margins(self, part: P_contra) -> Margins:
        """Of the label, over the part."""
        ...

    def neurons(self, part: P_contra) -> tuple[PreActivations, ...]:
        """Of every layer, over the part."""
        ...

    def at(self, part: P_contra) -> At:
        """The part as the first layer sees it."""
        ...


def survey(bounds: Bounded[P], part: P, every: bool = False) -> Survey[P]:
    """Survey a part: two bound computations. `every`: classes that the bounds rule out are threats
    as well."""
    margins, known = bounds.margins(part), bounds.neurons(part)
    layers = bounds.enclosure.layers
    unstable = sum(
        int(unstable_relus(each, layer).sum())
        for each, layer in zip(known, layers[:-1], strict=False)
    )
    threats = _threats(bounds.enclosure, bounds.label, margins, every)
    least = bounds.enclosure.shown(float(margins.low.min()))
    return Survey(part, least, unstable, tuple(threats), margins.gains, known)


def _threats(
    enclosure: Enclosure, label: int, margins: Margins, every: bool
) -> list[tuple[int, Doubles, float]]:
    """The threats: margins, the most threatened one first, then outputs that saturate.

    Outputs could tie where another class's is at its cap, or the label's at its floor.
    """
    gap, layer, unit = enclosure.gap, enclosure.layers[-1], np.eye(enclosure.classes)
    others = np.delete(np.arange(enclosure.classes), label)
    order = np.argsort(margins.low, kind="stable")
    found = [
        (int(others[n]), unit[label] - unit[others[n]], gap)
        for n in order
        if every or not margins.low[n] > gap
    ]
    if isfinite(layer.cap):
        found += [
            (int(r), -unit[r], gap - layer.cap)
            for r in others
            if every or not margins.most[r] < layer.cap - gap
        ]
    if isfinite(layer.floor) and (every or not margins.least[label] > layer.floor + gap):
        found.append((label, unit[label], layer.floor + gap))
    return found


def stable_relus(known: PreActivations, layer: EnclosedLayer) -> Bools:
    """ReLUs (n,) that are the identity on the whole part."""
    return np.asarray((known.low >= 0) & (known.high <= layer.cap), dtype=np.bool_)


def unstable_relus(known: PreActivations, layer: EnclosedLayer) -> Bools:
    """ReLUs (n,) that may do more than one thing on the part."""
    return np.asarray(~stable_relus(known, layer) & ~(known.high <= 0), dtype=np.bool_)
