"""The ladder of a certificate, built again with exact fractions, and its partition into leaves.

Source: docs/certificates.md, "The region" and "The partition".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor, lcm
from typing import Any

import numpy as np

from relrob.certificates.checking.entries import InvalidError, fraction, keys, nearest, pixels
from relrob.certificates.checking.levels import Region


class Rebuilt:
    """The region, built again from its definition with exact fractions (docs/certificates.md, "The
    region")."""

    def __init__(self, content: dict[str, Any]) -> None:
        region = keys(
            content["region"], ("kind", "radius", "step", "features", "axes"), "the region"
        )
        self.radius, step = fraction(region["radius"], "radius"), fraction(region["step"], "step")
        count, k = region["features"], region["axes"]
        exact, self.base = pixels(content["image"])
        if (
            region["kind"] != "ladder"
            or step > 1
            or type(count) is not int
            or type(k) is not int
            or min(count, k) < 1
        ):
            raise InvalidError("a region that is no ladder")
        if count * k > len(exact):
            raise InvalidError("more features than the image has pixels for")
        mean = sum(exact, Fraction(0)) / len(exact)
        distance = [abs(value - mean) for value in exact]
        order = sorted(range(len(exact)), key=lambda axis: (-distance[axis], axis))
        self.axes = [order[g * k : (g + 1) * k] for g in range(count)]
        target = {
            a: max(v - step, Fraction(0)) if 2 * v > 1 else min(v + step, Fraction(1))
            for a, v in enumerate(exact)
        }
        self.costs = [
            sum((abs(target[a] - exact[a]) for a in axes), Fraction(0)) for axes in self.axes
        ]
        rounded = {
            value: nearest(value) for value in {target[a] for axes in self.axes for a in axes}
        }
        self.moved = [[rounded[target[a]] for a in axes] for axes in self.axes]
        self.words = (
            f"the region: a ladder of radius {self.radius} and step {step}, {count} features of "
            f"{k} pixels, built again"
            " from the image with exact fractions"
        )

    def part(self, path: list[int]) -> tuple[Region, list[int]]:
        """The part at the end of a path of splits, and its free features. Raises InvalidError when
        it is beyond the radius."""
        done = {abs(split) - 1: split > 0 for split in path}
        fed, room = list(self.base), self.radius
        for g in (g for g, taken in done.items() if taken):
            room -= self.costs[g]
            for axis, value in zip(self.axes[g], self.moved[g], strict=True):
                fed[axis] = value
        if room < 0:
            raise InvalidError(f"the leaf {path} lies beyond the radius")
        free = [g for g in range(len(self.costs)) if g not in done and self.costs[g] <= room]
        change = [
            [v - fed[a] for a, v in zip(self.axes[g], self.moved[g], strict=True)] for g in free
        ]
        return Region(
            fed,
            [self.axes[g] for g in free],
            change,
            [self.costs[g] for g in free],
            room,
            whole=True,
        ), free


@dataclass(frozen=True)
class Leaf:
    """A checked path, and the claim of the certificate there: its `kind` ("bound" or "run") and
    `entry`."""

    path: list[int]
    kind: str
    entry: dict[str, Any]


def leaves_of(given: Any, ladder: Rebuilt) -> list[Leaf]:
    """The leaves, after checking that their paths form one tree in which every split has both its
    halves."""
    if not isinstance(given, list):
        raise InvalidError("leaves that are not a list")
    leaves = []
    for each in given:
        kind = "bound" if isinstance(each, dict) and "bound" in each else "run"
        keys(each, ("path", kind), "a leaf")
        path = each["path"]
        if not (
            isinstance(path, list)
            and all(type(s) is int and 0 < abs(s) <= len(ladder.costs) for s in path)
        ):
            raise InvalidError("a path that does not name features")
        if len({abs(split) for split in path}) != len(path):
            raise InvalidError(f"the path {path} splits a feature twice")
        leaves.append(Leaf(path, kind, each[kind]))
    groups = [(0, leaves)]
    while groups:
        depth, group = groups.pop()
        if len(group) == 1 and len(group[0].path) == depth:
            continue
        splits = {leaf.path[depth] if len(leaf.path) > depth else 0 for leaf in group}
        if len(splits) != 2 or sum(splits) != 0:
            raise InvalidError("leaves that leave points out, or hold them twice")
        groups += [
            (depth + 1, [leaf for leaf in group if leaf.path[depth] == split]) for split in splits
        ]
    return leaves


class Subsets:
    """The subsets of features within the room, in rank order: as binary numbers, the first feature
    the leading bit.

    `most`: where there are more, the list is not complete; `count` is above it then.
    """

    def __init__(self, costs: list[Fraction], room: Fraction, most: int = 1 << 20) -> None:
        unit = lcm(*(cost.denominator for cost in costs), 1)
        whole = [int(cost * unit) for cost in costs]
        left = floor(room * unit)
        kind: Any = np.int64 if max(sum(whole), left) < 2**62 else object
        # Of each subset: its sum, the feature that was added last, and the rank of what it was
        # added to.
        sums = np.zeros(1, kind)
        added, origins = [np.array([-1])], [np.array([-1])]
        for g in reversed(range(len(whole))):
            onto = np.flatnonzero(sums <= left - whole[g])
            if onto.size:
                sums = np.concatenate([sums, sums[onto] + whole[g]])
                added.append(np.full(onto.size, g))
                origins.append(onto)
            if len(sums) > most:
                break
        self.count = len(sums)
        self._at = np.concatenate(added), np.concatenate(origins)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return map(self.of_rank, range(self.count))

    def of_rank(self, rank: int) -> tuple[int, ...]:
        """The features of a subset, ascending."""
        added, onto = self._at
        taken = list[int]()
        while rank > 0:
            taken.append(int(added[rank]))
            rank = int(onto[rank])
        return tuple(taken)
