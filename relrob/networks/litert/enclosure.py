"""The enclosure of a dense `.tflite` on a LiteRT runtime: dynamic range, full int8, float16 and
float32 files."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.enclosure import (
    LOOSE,
    EnclosedLayer,
    Enclosure,
    float_softmax_gap,
    int8_softmax_gap,
)
from relrob.networks.litert.flat import DAMAGED, NotModelledError
from relrob.networks.litert.graph import FULL, Graph, read_graph
from relrob.networks.litert.kernels import kernels_of
from relrob.networks.litert.layers import (
    DynamicFull,
    FloatFull,
    Int8Full,
    Quantise,
    Recode,
    Softmax,
)
from relrob.networks.litert.limits import check_limits

log = logging.getLogger(__name__)

_LOGITS: Final = (
    2.0**-14,
    16.0,
)  # steps of what an int8 softmax reads for which it was compared with exp
_EXTRA: Final = 6  # float32 operations of a float kernel besides its products


@dataclass(frozen=True, eq=False)
class Modelled:
    """A file on a runtime: its `graph`, and the kernel that runs each node."""

    graph: Graph
    kernels: tuple[str, ...]

    @property
    def dense(self) -> tuple[tuple[Int8Full | DynamicFull | FloatFull, str], ...]:
        """(dense layer, its kernel), in order."""
        each = zip(self.graph.layers, self.kernels, strict=True)
        return tuple((layer, kernel) for layer, kernel in each if isinstance(layer, FULL))


@lru_cache(maxsize=8)
def modelled(data: bytes, runtime: str) -> Modelled:
    """The model of a file on "xnnpack", "builtin" or "reference". Raises NotModelledError."""
    found = Modelled(read_graph(data), kernels_of(data, runtime))
    for layer, kernel in zip(found.graph.layers, found.kernels, strict=True):
        check_limits(layer, kernel)
        if (
            isinstance(layer, Softmax)
            and layer.given is not None
            and not _LOGITS[0] <= layer.given.scale <= _LOGITS[1]
        ):
            raise NotModelledError(f"an int8 softmax over steps of {layer.given.scale:g}")
    if not found.dense:
        raise NotModelledError("the file has no dense layer")
    before = itertools.takewhile(lambda layer: not isinstance(layer, FULL), found.graph.layers)
    if any(not isinstance(layer, Quantise | Recode) for layer in before):
        raise NotModelledError(
            "the file does more than quantise its input before the first dense layer"
        )
    relus = [layer.relu for layer, _ in found.dense]
    if relus != [True] * (len(relus) - 1) + [False]:
        raise NotModelledError("the dense layers do not end in ReLU, ..., ReLU, none")
    return found


def black_box(data: bytes, runtime: str) -> str:
    """Why the file is only run on a runtime, "" where it is modelled."""
    try:
        modelled(data, runtime)
    except NotModelledError as reason:
        return str(reason)
    except DAMAGED as error:
        log.debug("%r", error)
        return "the file is not read as a dense network"
    return ""


def tflite_enclosure(network: Network, data: bytes) -> Enclosure | None:
    """The enclosure of the file on `network.runtime`, or None, with the reason in the log, when it
    is not such a network."""
    try:
        return _enclosure(network, modelled(data, network.runtime))
    except NotModelledError as reason:
        log.info("%s has no enclosure on %s: %s", network.path, network.runtime, reason)
        return None


def _enclosure(network: Network, model: Modelled) -> Enclosure:
    """Layer by layer, the first one with its rows in raster order."""
    if model.graph.widths[0] != network.inputs:
        raise NotModelledError(
            f"the file reads {model.graph.widths[0]} values, an image has {network.inputs}"
        )
    layers = [_layer(layer, kernel) for layer, kernel in model.dense]
    layers[0] = replace(layers[0], weights=_raster(network, layers[0].weights))
    first = model.dense[0][0]
    if isinstance(first, Int8Full):
        layers[0] = replace(layers[0], moved=first.given.scale / 2 * LOOSE)
    softmax = [layer for layer in model.graph.layers if isinstance(layer, Softmax)]
    gap = 0.0
    if softmax:
        gap = float_softmax_gap() if softmax[0].out is None else int8_softmax_gap(network.classes)
    return Enclosure(tuple(layers), gap, probabilities=bool(softmax))


def _layer(layer: Int8Full | DynamicFull | FloatFull, kernel: str) -> EnclosedLayer:
    """One dense layer on the kernel that runs it."""
    weights = layer.weights.astype(np.float64)
    if isinstance(layer, FloatFull):
        return EnclosedLayer(
            weights, layer.bias.astype(np.float64), layer.relu, len(weights) + _EXTRA
        )
    scales = layer.scales.astype(np.float64)
    if isinstance(layer, DynamicFull):
        share = 0.5 / 255 if with_zero_point(layer, kernel) else 0.5 / 127
        bias = layer.bias.astype(np.float64)
        return EnclosedLayer(
            weights * scales, bias, layer.relu, len(weights) + _EXTRA, share=share * LOOSE
        )
    ratio = float(np.max(scales)) * layer.given.scale / layer.out.scale
    return EnclosedLayer(
        weights * scales,
        layer.bias.astype(np.float64) * (scales * layer.given.scale),
        layer.relu,
        terms=8,
        input_cap=layer.given.top,
        rounding=layer.out.scale * (0.5 + min(0.5, 2 * ratio)) * LOOSE,
        cap=layer.out.top,
        floor=layer.out.bottom,
    )


def with_zero_point(layer: DynamicFull, kernel: str) -> bool:
    """Do the kernel's rows have a zero point? Their step is then 1/255 of the row's range, else
    1/127 of its largest value."""
    return kernel == "xnnpack" or layer.asymmetric


def _raster(network: Network, weights: Doubles) -> Doubles:
    """Rows of the first layer in (H, W, C) order."""
    order = pixel_order(network)
    if order is None:
        return weights
    placed = np.empty_like(weights)
    placed[order] = weights
    return placed


def dynamic_model(data: bytes, runtime: str) -> tuple[tuple[DynamicFull, ...], str] | None:
    """The dynamic-range layers of a file and the kernel of the first, None where it has others,
    fewer than two, or kernels that quantise rows in different ways. `asymmetric` of a layer is what
    its kernel does."""
    try:
        model = modelled(data, runtime)
    except NotModelledError:
        return None
    layers = tuple(
        replace(layer, asymmetric=with_zero_point(layer, kernel))
        for layer, kernel in model.dense
        if isinstance(layer, DynamicFull)
    )
    whole = (
        len(layers) == len(model.dense) >= 2 and len({layer.asymmetric for layer in layers}) == 1
    )
    plain = all(isinstance(layer, DynamicFull | Softmax) for layer in model.graph.layers)
    return (layers, model.dense[0][1]) if whole and plain else None
