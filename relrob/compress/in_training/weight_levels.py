"""Weights at levels while a network is trained: DoReFa, APoT and fixed point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import keras
import tensorflow as tf

from relrob.compress.graph import Graph
from relrob.compress.in_training.straight import apot, dorefa, eight_bits
from relrob.domain.formats import FixedFormat
from relrob.networks.keras.quantisers import APoT, DoReFa, FixedPoint, fixed_point

Layers = Mapping[str, Any]
# The first alpha of the weights of a layer, and its place in the variable's path.
_START: Final = 3.0
_ALPHA: Final = "_alpha_weights"


@final
@dataclass(frozen=True, eq=False)
class DoReFaLevels:
    """DoReFa (Zhou et al. 2016) of `bits` bits: weights but those of the first and the last layer,
    and the ReLUs behind kernels but the one that feeds the last layer."""

    bits: int
    inner: set[str] = field(default_factory=set)

    def insertions(self, graph: Graph) -> tuple[Layers, Layers]:
        """(before, behind) named layers: quantised activations."""
        self.inner.update(layer.name for layer in graph.inner)
        chosen = (name for name in graph.rectified if graph.origin(name))
        return {}, {
            name: DoReFa(self.bits, name=f"{name}_levels")
            for name in chosen
            if not graph.only_last(name)
        }

    def forward(self, layer: str, kind: str, value: Any) -> Any:
        """The quantised kernel of an inner layer; other values as they are."""
        return dorefa(value, self.bits) if kind == "kernel" and layer in self.inner else value


@final
@dataclass(frozen=True, eq=False)
class PowerLevels:
    """APoT (Li et al. 2020) of `bits` bits: normalised weights, and the inputs, of inner layers; 8
    bits for the weights of the first and the last layer."""

    bits: int
    alphas: dict[str, Any] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)

    def insertions(self, graph: Graph) -> tuple[Layers, Layers]:
        """(before, behind) named layers: quantised activations."""
        names = [layer.name for layer in graph.inner]
        self.ends.update(layer.name for layer in (graph.kernels[0], graph.kernels[-1]))
        return {name: APoT(self.bits, name=f"{name}_input") for name in names}, {}

    def own(self, layers: Sequence[Any]) -> list[Any]:
        """The alphas of the weights of inner layers, made once."""
        for layer in layers:
            if layer.name not in self.ends and layer.name not in self.alphas:
                start = keras.Variable(_START, name=f"{layer.name}{_ALPHA}")
                self.alphas[layer.name] = start
        return list(self.alphas.values())

    def forward(self, layer: str, kind: str, value: Any) -> Any:
        """The quantised kernel of a layer; biases as they are."""
        if kind != "kernel":
            return value
        if layer in self.ends:
            return eight_bits(value)
        return apot(value, self.bits, tf.convert_to_tensor(self.alphas[layer].value))


@final
@dataclass(frozen=True, eq=False)
class GridLevels:
    """Fixed point Q(w, p) (Zhao et al. 2018) in the format `form`: kernels and biases of all
    layers, and every ReLU. Logits and images stay as they are."""

    form: FixedFormat

    def insertions(self, graph: Graph) -> tuple[Layers, Layers]:
        """(before, behind) named layers: quantised activations."""
        return {}, grid_behind(graph, self.form)

    def forward(self, layer: str, kind: str, value: Any) -> Any:
        """The quantised kernel or bias of a layer."""
        return fixed_point(value, self.form)


def grid_behind(graph: Graph, form: FixedFormat, halves: str = "even") -> Layers:
    """A layer behind every ReLU of a graph that quantises to a fixed-point format."""
    made = {}
    for name in graph.rectified:
        made[name] = FixedPoint(form.width, form.point, halves, name=f"{name}_fixed")
    return made


# Rates of the learning rate and L2 decay by the end of a variable's path: APoT's alphas of weights
# and of activations, beside a rate of 0.04 in the authors' code.
APOT_RATES: Final = {_ALPHA: (0.5, 1e-4), "_input/alpha": (2.5, 1e-4)}
