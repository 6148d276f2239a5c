"""The codes of activations: do their ranges fit the images?

A calibration chooses, for each activation, the reals that codes can stand for. Here some of the
images are run, and the codes in use, and where the reference is read its own activations too, are
held against that range.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.ends import (
    Standing,
    first_inputs,
    standing_for,
    varied_outputs,
    varied_pixels,
)
from relrob.audit.matching import Match
from relrob.audit.tails import tail
from relrob.audit.weight_report import Activation
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.networks.batches import one_line, pixel_order
from relrob.networks.feed import fed, reversed_channels
from relrob.networks.weighted import Codes, Weighted, weights_of
from relrob.registry import load

log = logging.getLogger(__name__)

_INSIDE: Final = {
    "tflite": "relrob.networks.litert.inside:values_inside",
    "onnx": "relrob.networks.onnx.inside:values_inside",
}
# The steps whose ranges a calibration may have given to what they read, and the values of a file
# that rounds nothing, where a format has them.
_LENDERS: Final = {"tflite": "relrob.networks.litert.lent:lenders"}
_REALS: Final = {"tflite": "relrob.networks.litert.reals:reals_inside"}
_NOTHING: Final = 1e-5


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
    lenders = load(_LENDERS[quantised.format])(quantised) if quantised.format in _LENDERS else {}
    names = [codes.name for _, _, codes in wanted]
    steps = [each.codes.name for name in names for each in lenders.get(name, ())]
    try:
        inside = load(_INSIDE[quantised.format])
        found = inside(quantised, [*names, *steps], images)
    # The runtimes' own exceptions; the checks that run the network say more.
    except Exception as error:
        log.warning("the activations of %s are not compared (%s)", quantised.path, one_line(error))
        return ()
    theirs, rectified = _of_reference(reference, layers, matches, images)
    seen = _Seen(quantised, np.asarray(fed(images, quantised), np.float64))
    read = _read_first(reference, matches, images)
    deepest = max(layer.depth for layer in layers)
    dead = _dead(quantised, wanted, found, theirs, images)
    made = []
    for layer, role, codes in wanted:
        if codes.name not in found:
            continue
        lent = lenders.get(codes.name, ())
        cut = any(each.cuts for each in lent)
        told = replace(
            layer, relu=layer.relu or codes.name in rectified, capped=layer.capped or cut
        )
        rows, last = found[codes.name], layer.depth == deepest
        if role == "input":
            right = standing_for(codes, rows, seen.pixels, read.get(codes.name, ()))
        elif codes.name in theirs:
            values = theirs[codes.name]
            right = Standing(
                np.minimum(values, codes.top) if cut else values, codes.bottom, codes.top
            )
        else:
            right = None
        each = replace(
            _activation(told, role, codes, rows, right, last=last, fused=layer.relu),
            dead=codes.name in dead,
            lent=_lent([each.codes for each in lent], found),
        )
        made.append(each if each.beyond is not None else seen.told(each, layer, codes, rows))
    return tuple(made)


def _lent(steps: Sequence[Codes], found: Mapping[str, NDArray[Any]]) -> float | None:
    """The largest share of its codes that one of these steps uses."""
    return max(
        (
            float(np.ptp(found[each.name].astype(np.int64))) / (each.most - each.least)
            for each in steps
        ),
        default=None,
    )


def _dead(
    quantised: Network,
    wanted: Sequence[tuple[Weighted, str, Codes]],
    found: Mapping[str, NDArray[Any]],
    theirs: Mapping[str, Doubles],
    images: Floats,
) -> set[str]:
    """The outputs that have one value whatever the image, and not because it is rounded: the
    reference's have too, or where these are not known, those of the file in reals. Their codes are
    all one, or stand for next to nothing: the converter's range of zeros alone is one of 2e-6."""
    still = [
        codes.name
        for _, role, codes in wanted
        if role == "output"
        and codes.name in found
        and (codes.top - codes.bottom < _NOTHING or not np.ptp(found[codes.name]))
    ]
    asked = [name for name in still if name not in theirs]
    values: dict[str, NDArray[Any]] = {name: theirs[name] for name in still if name in theirs}
    if asked and quantised.format in _REALS:
        try:
            values |= load(_REALS[quantised.format])(quantised, asked, images)
        # The runtimes' own exceptions, and files that have no such values.
        except Exception as error:
            log.info("%s is not computed in reals (%s)", quantised.path, one_line(error))
    return {name for name, rows in values.items() if not np.ptp(rows)}


@dataclass(frozen=True, eq=False)
class _Seen:
    """A quantised network and the `pixels` (n, d) that it reads, in raster order."""

    network: Network
    pixels: Doubles

    def told(
        self, each: Activation, layer: Weighted, codes: Codes, found: NDArray[Any]
    ) -> Activation:
        """An activation, whose own values are not known, with what its inputs tell of its ends."""
        if each.role == "input":
            order = pixel_order(self.network)
            pixels = self.pixels if order is None else self.pixels[:, order]
            return replace(each, varied=varied_pixels(found, codes, pixels))
        ends = (found == codes.most) & (not each.capped)
        ends |= (found == codes.least) & (not each.floor)
        first = self.network.format == "onnx" and layer.kind != "dense"
        return replace(each, varied=varied_outputs(found, ends, layer, channels_first=first))


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
    right: Standing | None,
    *,
    last: bool,
    fused: bool,
) -> Activation:
    whole = codes.most - codes.least
    relu = layer.relu and role == "output"
    values = outside = None
    if right is not None:
        values = np.maximum(right.values, 0.0) if relu else right.values
        step = max(codes.scale, 0.01 * (codes.top - codes.bottom))
        outside = (values > right.high + step) | (values < right.low - step)
    seen = (found.astype(np.float64) - codes.zero) * codes.scale if values is None else values
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
        last,
        None if values is None else (float(values.min()), float(values.max())),
        None if outside is None else float(outside.mean()),
        fused and role == "output",
        images_beyond=None if outside is None else float(outside.any(axis=1).mean()),
        tail=tail(seen),
    )


def _read_first(
    reference: Network, matches: Sequence[Match], images: Floats
) -> dict[str, list[Doubles]]:
    """What each first layer of the quantised network may read, by the name of its input."""
    if not matches:
        return {}
    layers = {layer.label: layer for layer in weights_of(reference)}
    pixels = np.asarray(fed(images, reference), np.float64)
    if reference.contract.bgr:
        pixels = pixels[:, reversed_channels(reference)]
    return {
        match.quantised.given.name: first_inputs(
            layers[match.reference.label], pixels, reference.image_shape[2]
        )
        for match in matches
        if match.quantised.given is not None and match.quantised.depth == 1
    }


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
    # The runtimes' own exceptions.
    except Exception as error:
        log.warning("the activations of %s are not compared (%s)", reference.path, one_line(error))
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
