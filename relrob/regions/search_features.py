"""The features that a search combines: disjoint ones, or those of colour images as the founding
paper's code picked them.

That code descends from DLV. It fills a feature of a colour image axis by axis, in the order
channel, row, column. A pick starts from the first axis that this feature lacks, whether an earlier
feature has it or not. It goes on to an axis further from the mean only if no earlier feature has
that one. Once the axes further from the mean are used up, every feature picks the image's first
axes again. So features overlap, and the last ones can all be the same. (The code means to end at
the first feature that adds no axis, but compares lists whose order changes.) An axis of two chosen
features moves once. On images of one channel the code picks no axis twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Ints, read_only
from relrob.domain.region import Search
from relrob.errors import RegionError
from relrob.regions.exact import numerators
from relrob.regions.ladder import RungSet, rung_set, saliency_order


def repicked(pixels: list[int], size: int) -> list[list[int]]:
    """The `len(pixels) // size` features of `size` axes each, in the order in which they are made.

    `pixels` stand in the order in which picks look at them; an axis is its place there. Features
    can repeat.

    >>> repicked([250, 40, 0, 0, 0, 1], 2)
    [[0, 2], [0, 3], [0, 4]]
    """
    total, count = sum(pixels), len(pixels)
    away = [abs(count * pixel - total) for pixel in pixels]
    order, taken = saliency_order(pixels), set[int]()
    features: list[list[int]] = []
    for _ in range(count // size):
        feature: list[int] = []
        for _ in range(size):
            start = next(axis for axis in range(count) if axis not in feature)
            fresh = next(
                (axis for axis in order if axis not in taken and axis not in feature), start
            )
            feature.append(fresh if away[fresh] > away[start] else start)
        features.append(feature)
        taken.update(feature)
        order = [axis for axis in order if axis not in taken]
    return features


@final
@dataclass(frozen=True, eq=False)
class Groups:
    """The features that a search combines.

    `within`: disjoint parts, cut at the radius; `everything`: the same parts at any distance;
    `belongs`: bool (F, A), which of those A parts each of F features moves, or None where features
    and parts are the same.
    """

    within: RungSet
    everything: RungSet
    belongs: Bools | None

    @property
    def features(self) -> int:
        """F, the number of features."""
        return self.within.features if self.belongs is None else len(self.belongs)

    @property
    def budget(self) -> int:
        """The radius in units of 1/`denominator`."""
        return self.within.budget

    @property
    def denominator(self) -> int:
        """What costs are counted in."""
        return self.within.denominator

    def parts(self, masks: Bools) -> Bools:
        """The parts (n, A) that move where these features (n, F) do."""
        if self.belongs is None:
            return masks
        return (masks.astype(np.float32) @ self.belongs.astype(np.float32)) > 0

    def cost_units(self, masks: Bools) -> NDArray[Any]:
        """Exact L1 costs of masks (n, F) in units of 1/`denominator`: (n,)."""
        return self.within.cost_units(self.parts(masks))

    def cost(self, mask: Bools) -> Fraction:
        """Exact L1 cost of one mask (F,)."""
        return self.within.cost(self.parts(mask[None, :])[0])

    def distinct(self, masks: Bools) -> Ints:
        """Indices of the first of the masks (n, F) that moves each set of parts, ascending."""
        if self.belongs is None:
            return np.arange(len(masks))
        _, first = np.unique(np.packbits(self.parts(masks), axis=1), axis=0, return_index=True)
        return np.sort(first)


def groups_of(region: Search, image: NDArray[Any]) -> Groups:
    """The features of a search around an image (H, W, C), uint8 levels or float32 in [0,1].

    Raises RegionError for an image of fewer pixels than a feature has, and for one channel where
    pixels are to be picked again.
    """
    within, belongs = (
        _overlapping(region, image) if region.repick else (rung_set(region.ladder, image), None)
    )
    far = replace(within.region, radius=Fraction(image.size))
    return Groups(
        within, replace(within, region=far, budget=image.size * within.denominator), belongs
    )


def _overlapping(region: Search, image: NDArray[Any]) -> tuple[RungSet, Bools]:
    """The parts, and which feature has which: pixels that the same features have make a part.

    A small part is filled up with a pixel of no feature, which stays.
    """
    if image.ndim < 3 or image.shape[-1] == 1:
        raise RegionError(
            "picking pixels again in images of one channel",
            "images of several",
            "leave out --repick",
        )
    single = rung_set(replace(region.ladder, axes=1), image)
    pixels, _ = numerators(image, region.step, region.radius)
    looked = np.moveaxis(np.arange(image.size).reshape(image.shape), -1, 0).ravel()
    owners: dict[int, list[int]] = {}
    features = repicked([pixels[axis] for axis in looked], region.axes)
    for number, feature in enumerate(features):
        for axis in looked[feature].tolist():
            owners.setdefault(axis, []).append(number)
    parts: dict[tuple[int, ...], list[int]] = {}
    for axis, numbers in owners.items():
        parts.setdefault(tuple(numbers), []).append(axis)
    spare = next((axis for axis in range(image.size) if axis not in owners), 0)
    row = {axis: at for at, axis in enumerate(single.axes[:, 0].tolist())}
    axes = np.full((len(parts), region.axes), spare, np.int64)
    moved = single.base[axes]
    belongs = np.zeros((len(features), len(parts)), np.bool_)
    for part, (having, mine) in enumerate(parts.items()):
        axes[part, : len(mine)] = mine
        moved[part, : len(mine)] = [single.moved[row[axis], 0] for axis in mine]
        belongs[list(having), part] = True
    costs = tuple(sum(single.costs[row[axis]] for axis in mine) for mine in parts.values())
    whole = replace(
        single, region=region.ladder, axes=read_only(axes), moved=read_only(moved), costs=costs
    )
    return whole, read_only(belongs)
