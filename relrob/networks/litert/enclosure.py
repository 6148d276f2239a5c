"""The enclosure of a dense `.tflite` file on a LiteRT runtime: dynamic range, full int8, float16
and float32."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.details import LITERT
from relrob.networks.enclosure import (
    LOOSE,
    EnclosedLayer,
    Enclosure,
    float_softmax_gap,
    int8_softmax_gap,
)
from relrob.networks.litert.file import LiteRtFile, litert_file
from relrob.networks.litert.flat import DAMAGED, NotModelledError
from relrob.networks.litert.graph import FULL, Graph
from relrob.networks.litert.layers import (
    DynamicFull,
    FloatFull,
    Int8Full,
    Quantise,
    Recode,
    Softmax,
    with_zero_point,
)
from relrob.networks.litert.limits import MOST_DYNAMIC, check_limits
from relrob.networks.litert.pixels import of_pixels

log = logging.getLogger(__name__)

# The least and the largest input scale for which the int8 softmax was compared with exp.
_LOGITS: Final = (
    2.0**-14,
    16.0,
)
# Float32 operations of a float kernel besides its products.
_EXTRA: Final = 6
# Times the sizes of weights and their integers, more than what a row loses whose scale, or whose
# product with a weight's scale, counts as 0 or has no inverse.
_TINY: Final = 2.0**-116


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


def modelled(file: LiteRtFile, runtime: str) -> Modelled:
    """The model of a file on "xnnpack", "builtin" or "reference". Raises NotModelledError."""
    found = Modelled(file.graph, file.kernels(runtime))
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


def black_box(file: LiteRtFile, runtime: str) -> str:
    """The reason why the file is only run on a runtime. "" where it is modelled."""
    if runtime not in LITERT:
        return "TFLM's kernels are not modelled"
    try:
        modelled(file, runtime)
    except NotModelledError as reason:
        return str(reason)
    except DAMAGED as error:
        log.debug("%r", error)
        return "the file is not read as a dense network"
    return ""


def tflite_enclosure(network: Network, data: bytes | None = None) -> Enclosure | None:
    """The enclosure of the file on `network.runtime`. None, with the reason logged, when it is no
    such network.

    `data`: the file's bytes, read from `network.path` when not given. Raises NetworkError when the
    file is not the one that was loaded.
    """
    file = litert_file(network, data)
    try:
        return _enclosure(network, modelled(file, network.runtime))
    except NotModelledError as reason:
        log.info("%s has no enclosure on %s: %s", network.path, network.runtime, reason)
        return None


def _enclosure(network: Network, model: Modelled) -> Enclosure:
    """The enclosure, layer by layer, with the rows of the first in raster order."""
    if model.graph.widths[0] != network.inputs:
        raise NotModelledError(
            f"the file reads {model.graph.widths[0]} values, an image has {network.inputs}"
        )
    layers = [_layer(layer, kernel) for layer, kernel in model.dense]
    layers[0] = replace(layers[0], weights=_raster(network, layers[0].weights))
    first, kernel = model.dense[0]
    if isinstance(first, Int8Full):
        layers[0] = replace(layers[0], moved=first.given.scale / 2 * LOOSE)
    if not network.contract.plain:
        layers[0] = of_pixels(network, layers[0], first, kernel)
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
        size = np.abs(weights)
        return EnclosedLayer(
            weights * scales,
            layer.bias.astype(np.float64),
            layer.relu,
            len(weights) + _EXTRA,
            share=share * LOOSE,
            most=MOST_DYNAMIC,
            slack=_TINY * ((size * scales).sum(axis=0) + size.sum(axis=0)),
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


def _raster(network: Network, weights: Doubles) -> Doubles:
    """Rows of the first layer in (H, W, C) order."""
    order = pixel_order(network)
    if order is None:
        return weights
    placed = np.empty_like(weights)
    placed[order] = weights
    return placed


def dynamic_model(network: Network) -> tuple[tuple[DynamicFull, ...], str] | None:
    """The dynamic-range layers of a file, and the kernel of the first.

    None where it has other layers, fewer than two, or kernels that quantise rows in different ways.
    `asymmetric` of a layer is that of its kernel. Raises NetworkError when the file is not the one
    that was loaded.
    """
    file = litert_file(network)
    try:
        model = modelled(file, network.runtime)
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
