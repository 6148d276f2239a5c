"""The codes of activations: do their ranges fit the images?

A calibration chooses, for each activation, the reals that codes can stand for. Here some of the
images are run, and the codes in use, and where the reference is read its own activations too, are
held against that range.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.matching import Match
from relrob.audit.weight_report import Activation
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.networks.batches import one_line
from relrob.networks.feed import fed
from relrob.networks.weighted import Codes, Weighted, weights_of
from relrob.registry import load

log = logging.getLogger(__name__)

_INSIDE: Final = {
    "tflite": "relrob.networks.litert.inside:values_inside",
    "onnx": "relrob.networks.onnx.inside:values_inside",
}


def activations(
    quantised: Network,
    layers: Sequence[Weighted],
    reference: Network,
    matches: Sequence[Match],
    images: Floats,
) -> tuple[Activation, ...]:
    """The activations of the quantised network, whose `layers` these are, on the images (n, d),
    each once. `matches`: its layers and the reference's, none where that is not known."""
    wanted = list(_wanted(layers))
    if not wanted or quantised.format not in _INSIDE or not len(images):
        return ()
    try:
        inside = load(_INSIDE[quantised.format])
        found = inside(quantised, [codes.name for _, _, codes in wanted], images)
    # The runtimes' own exceptions; the checks that run the network say more.
    except Exception as error:
        log.warning("the activations of %s are not compared (%s)", quantised.path, one_line(error))
        return ()
    theirs, rectified = _of_reference(reference, layers, matches, images)
    sample = fed(images, quantised)
    deepest = max(layer.depth for layer in layers)
    return tuple(
        _activation(
            replace(layer, relu=layer.relu or codes.name in rectified),
            role,
            codes,
            found[codes.name],
            theirs.get(codes.name),
            sample,
            deepest,
            layer.relu,
        )
        for layer, role, codes in wanted
        if codes.name in found
    )


def _wanted(layers: Sequence[Weighted]) -> Iterator[tuple[Weighted, str, Codes]]:
    """The image's own codes, then those of each layer's output."""
    seen: set[str] = set()
    for layer in layers:
        pairs = [("output", layer.result)]
        if layer.depth == 1:
            pairs.insert(0, ("input", layer.given))
        for role, codes in pairs:
            if codes is not None and codes.name not in seen:
                seen.add(codes.name)
                yield layer, role, codes


def _activation(
    layer: Weighted,
    role: str,
    codes: Codes,
    found: NDArray[Any],
    reference: Doubles | None,
    images: Floats,
    deepest: int,
    fused: bool,
) -> Activation:
    whole = codes.most - codes.least
    relu = layer.relu and role == "output"
    values = _pixels(codes, found, images) if role == "input" else reference
    beyond = None
    if values is not None:
        if relu:
            values = np.maximum(values, 0.0)
        step = max(codes.scale, 0.01 * (codes.top - codes.bottom))
        beyond = float(((values > codes.top + step) | (values < codes.bottom - step)).mean())
    middle = 0 if codes.least < 0 else (codes.most + 1) // 2
    return Activation(
        layer.label,
        role,
        codes.name,
        codes.scale,
        codes.zero,
        codes.bottom,
        codes.top,
        (int(found.max()) - int(found.min())) / whole,
        float((found == codes.least).mean()),
        float((found == codes.most).mean()),
        bool(codes.zero == codes.least),
        whole > 255,
        relu,
        layer.capped and role == "output",
        codes.zero == middle,
        layer.depth == deepest,
        None if values is None else (float(values.min()), float(values.max())),
        beyond,
        fused and role == "output",
    )


def _pixels(codes: Codes, found: NDArray[Any], images: Floats) -> Doubles | None:
    """The images, where the codes stand for their pixels and for nothing computed from them."""
    values = np.sort(np.asarray(images, np.float64), axis=1)
    stands = np.sort((found.astype(np.float64) - codes.zero) * codes.scale, axis=1)
    if stands.shape != values.shape:
        return None
    away = np.abs(stands - np.clip(values, codes.bottom, codes.top))
    return values if float(away.max()) <= codes.scale else None


def _of_reference(
    reference: Network, layers: Sequence[Weighted], matches: Sequence[Match], images: Floats
) -> tuple[dict[str, Doubles], set[str]]:
    """The reference's activations under the names of the quantised network's that stand where
    theirs do, and the names of those behind a ReLU."""
    found = _values(reference, images) if matches else {}
    values: dict[str, Doubles] = {}
    rectified: set[str] = set()
    for match in matches:
        # Weights that stand where another layer is do not take its activations along.
        codes = layers[match.partner].result
        if codes is None:
            continue
        if match.reference.label in found:
            values[codes.name] = found[match.reference.label]
        if match.reference.relu:
            rectified.add(codes.name)
    return values, rectified


def _values(reference: Network, images: Floats) -> dict[str, Doubles]:
    """The output of each layer (n, values) on the images, by its label; none where it is not
    known."""
    layers = weights_of(reference)
    if reference.dense is not None and len(reference.dense.layers) == len(layers):
        found, value = {}, np.asarray(fed(images, reference), np.float64)
        for layer, dense in zip(layers, reference.dense.layers, strict=True):
            value = value @ dense.weights + dense.bias
            value = np.maximum(value, 0.0) if dense.relu else value
            found[layer.label] = value
        return found
    if reference.format not in _INSIDE or not all(layer.tensor for layer in layers):
        return {}
    try:
        inside = load(_INSIDE[reference.format])
        rows = inside(reference, [layer.tensor for layer in layers], images)
    except Exception:
        return {}
    return {
        layer.label: _reals(rows[layer.tensor], layer.result)
        for layer in layers
        if layer.tensor in rows
    }


def _reals(found: NDArray[Any], codes: Codes | None) -> Doubles:
    """What values stand for: a quantised file may be the reference."""
    values = np.asarray(found, np.float64)
    if codes is None or not np.issubdtype(found.dtype, np.integer):
        return values
    return (values - codes.zero) * codes.scale
