"""Which layers with weights each value of a graph is computed from, as a reader walks along it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from relrob.networks.weighted import Weighted

Name = TypeVar("Name", int, str)


class Lineage(Generic[Name]):
    """The layers behind each value, by its name, and whether an activation stands between. A value
    that is not known, a constant or the image, has none."""

    def __init__(self) -> None:
        self._ancestors: dict[Name, frozenset[int]] = {}
        self._activated: set[Name] = set()

    def put_before(self, layer: Weighted, sources: Iterable[Name]) -> Weighted:
        """The layer, which reads these values, with what stands before it."""
        names = list(sources)
        activated = any(name in self._activated for name in names)
        return replace(layer, ancestors=self._behind(names), activated=activated)

    def put_behind(self, number: int, layer: Weighted, out: Name, *, activation: bool) -> None:
        """The output of layer `number`, with an activation of its own or none."""
        self._put(layer.ancestors | {number}, [out], activation)

    def pass_on(self, sources: Iterable[Name], outs: Iterable[Name], *, activation: bool) -> None:
        """Values that something without weights, an activation or not, makes of others."""
        names = list(sources)
        activated = activation or any(name in self._activated for name in names)
        self._put(self._behind(names), outs, activated)

    def _behind(self, names: list[Name]) -> frozenset[int]:
        return frozenset().union(*(self._ancestors.get(name, frozenset()) for name in names))

    def _put(self, ancestors: frozenset[int], outs: Iterable[Name], activated: bool) -> None:
        for out in outs:
            self._ancestors[out] = ancestors
            if activated:
                self._activated.add(out)
