"""Probes at load: a model is compared with its runtime on some hundreds of images.

The runtime gives outputs of every image alone. It must give the same outputs again, and in a batch
where the graph treats images apart. The outputs of a modelled network must lie where its enclosure
says, and equal those of its emulator in every bit. One mismatch makes the network a black box
(docs/soundness.md, "The file, and the model of it").
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from relrob.domain.arrays import Bools, Doubles, Floats
from relrob.domain.network import Arithmetic, Network
from relrob.errors import NetworkError
from relrob.networks.batches import differs_in_batches, one_line, step_of_8_bits
from relrob.networks.content import runs_weights
from relrob.networks.details import ONNX_LEVELS
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure
from relrob.networks.evaluator import Evaluator
from relrob.networks.open import open_network
from relrob.networks.probe_images import driving_images, plain_images
from relrob.networks.softmax import outputs_are_probabilities, softmax_slack
from relrob.registry import load
from relrob.system.memory import unwritten

log = logging.getLogger(__name__)

# Images of a black box, which may be slow.
FEW: Final = 32
# Images that run twice.
TWICE: Final = 24
# Relative slack, more than float64 loses here.
_OUTWARD: Final = 1 + 2.0**-16
_INSIDE: Final[dict[str, str]] = {
    **dict.fromkeys(ONNX_LEVELS, "relrob.networks.onnx.inside:tensors"),
    "xnnpack": "relrob.networks.litert.inside:tensors",
    "builtin": "relrob.networks.litert.inside:tensors",
    "reference": "relrob.networks.litert.inside:tensors",
}
_BY_PLACE: Final = "relrob.networks.litert.runtime:rounds_by_place"


@dataclass(frozen=True, eq=False)
class Within:
    """An interval `low` .. `high` (n, width) for each value that a layer passes on, image by
    image."""

    low: Doubles
    high: Doubles

    def holds(self, values: NDArray[Any]) -> Bools:
        """Does each image keep to its interval? (n, width) -> (n,). Bounds of a sum that may
        overflow hold always."""
        unknown = ~(np.isfinite(self.low) & np.isfinite(self.high))
        return np.asarray((((values >= self.low) & (values <= self.high)) | unknown).all(axis=1))


def probed(network: Network, images: NDArray[Any] | None = None) -> Network:
    """The network after its probes.

    It becomes a black box, with the reason, where its model differs from its runtime. Its `apart`
    becomes False where a batch differs from single images. `images`: (n, ...) of the data set,
    uint8 levels or float32, which are probed besides. One thread: some hundreds of images are too
    few for several, which would wait for each other.

    Raises NetworkError where the same image gives different outputs from run to run.
    """
    if network.arithmetic is Arithmetic.REAL:
        # No program runs a network over the reals.
        return network
    with threadpool_limits(limits=1):
        return _probed(network, images)


def _probed(network: Network, images: NDArray[Any] | None) -> Network:
    single = open_network(network, batch=1)
    if network.black_box:
        shown = plain_images(network.inputs, images)
        shown = shown[np.linspace(0, len(shown) - 1, FEW).astype(int)]
        return _apart(network, shown, _twice(network, single, shown))
    enclosure, reason = _enclosure(network)
    shown = plain_images(network.inputs, images, 144 if enclosure is not None else 320)
    if enclosure is not None:
        shown = np.concatenate([shown, driving_images(enclosure)])
    alone = _twice(network, single, shown)
    reason = reason or _mismatch(network, enclosure, shown, alone)
    if not reason:
        return _apart(network, shown, alone)
    log.warning("%s is run as a black box: %s", network.path, reason)
    dense = network.dense if runs_weights(network) else None
    return _apart(replace(network, dense=dense, black_box=reason), shown, alone)


def _enclosure(network: Network) -> tuple[Enclosure | None, str]:
    """The enclosure, and the reason for None where its reader stumbles over the file."""
    try:
        found = enclosure_of.raw(network)
    except Exception as error:
        log.debug("the reader of %s", network.path, exc_info=True)
        return None, f"its reader stopped ({one_line(error)})"
    if found is not None and not _chained(found, network):
        return None, "layers that do not follow one another"
    return found, ""


def _chained(enclosure: Enclosure, network: Network) -> bool:
    """Does the first layer take the pixels, each later one the outputs before it, and does the last
    give the classes?"""
    widths = [network.inputs, *(len(layer.bias) for layer in enclosure.layers)]
    given = [len(layer.weights) for layer in enclosure.layers]
    return widths == [*given, network.classes]


def _twice(network: Network, single: Evaluator, shown: Floats) -> Floats:
    """Outputs (n, classes) of the images, alone.

    Raises NetworkError where some differ when they run again, in memory that holds other numbers.
    """
    outputs = single.outputs(shown)
    some = np.unique(np.linspace(0, len(shown) - 1, TWICE).astype(int))
    # A Keras model, which takes long to open, is opened only once.
    with unwritten():
        again = single if network.runtime == "keras" else open_network(network, batch=1)
        repeated = again.outputs(shown[some])
    if not _same(repeated, outputs[some]).all():
        raise NetworkError(
            f"{network.path} is no function: its outputs differ from run to run",
            "a network that gives an image the same outputs each time",
            "export it for inference, without dropout",
        )
    return outputs


def _same(one: Floats, other: Floats) -> Bools:
    """Are the numbers the same, image by image? Any NaN equals any other, and 0 equals -0."""
    return np.asarray(((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1))


def _apart(network: Network, shown: Floats, alone: Floats) -> Network:
    """The network, with `apart` False where a batch gives other outputs than single images.

    Other bits count of a black box, except on Keras. Of a model more than rounding and a step of 8
    bits counts. The warning stands here alone, because a network is opened often.
    """
    why = "may mix the images of a batch"
    if network.apart:
        exact = network.black_box != "" and network.runtime != "keras"
        step = None if exact else step_of_8_bits(network, alone)
        why = differs_in_batches(
            lambda images: open_network(network).outputs(images), shown, alone, step
        )
    place = not why and network.format == "tflite" and load(_BY_PLACE)(network)
    if why or place:
        log.warning(
            "%s %s: its images run one by one",
            network.path,
            why or "rounds by its place in a batch",
        )
    return replace(network, apart=False) if why and network.apart else network


def _mismatch(network: Network, enclosure: Enclosure | None, shown: Floats, alone: Floats) -> str:
    """The reason why the model is not the runtime. "" where nothing speaks against it."""
    if enclosure is not None:
        layers = at_points(enclosure, shown)
        shape = outputs_within(network, enclosure, layers[-1])
        outside = np.flatnonzero(~shape.holds(alone))
        if len(outside):
            return (
                "its runtime differs from the model at "
                f"{_place(network, layers, shown, int(outside[0]))}"
            )
    if network.format != "tflite":
        return ""
    try:
        return _emulated(network, shown, alone)
    except Exception as error:
        log.debug("the emulator of %s", network.path, exc_info=True)
        return f"its reader stopped ({one_line(error)})"


def _emulated(network: Network, shown: Floats, alone: Floats) -> str:
    """The reason why the emulator of a `.tflite` file is not its runtime, bit for bit."""
    found = load("relrob.networks.litert.emulate:emulator")(network)
    if found is None:
        return ""
    expected = (
        alone if found.exact else load("relrob.networks.litert.runtime:in_batches")(network, shown)
    )
    if _same(found.outputs(shown), expected).all():
        return ""
    return (
        f"its runtime differs from the model at the outputs, on {network.runtime} of this machine"
    )


def at_points(enclosure: Enclosure, images: Floats) -> list[Within]:
    """Intervals for the values that each layer passes on of single images (n, inputs), for every
    arithmetic that the enclosure allows."""
    centre, moved = _entered(enclosure, images)
    error: Doubles = np.zeros_like(centre)
    found = []
    for number, layer in enumerate(enclosure.layers):
        deviation = layer.deviation(np.maximum(centre + error, 0.0), None if number else moved)
        with np.errstate(all="ignore"):
            spread = ((error + deviation.moved) @ layer.size + deviation.rest) * _OUTWARD
            centre = centre @ layer.weights + layer.bias
        low, high = (0.0, layer.cap) if layer.relu else (layer.floor, layer.cap)
        within = Within(np.clip(centre - spread, low, high), np.clip(centre + spread, low, high))
        found.append(
            within
            if not np.isnan(spread).any()
            else Within(-np.inf + 0 * centre, np.inf + 0 * centre)
        )
        centre, error = np.clip(centre, low, high), spread
    return found


def _entered(enclosure: Enclosure, images: Floats) -> tuple[Doubles, Doubles]:
    """The levels for which the first layer takes the pixels, and the most by which those of a
    kernel differ."""
    pairs = [
        enclosure.layers[0].levels(row, float(row.max(initial=0.0)))
        for row in images.astype(np.float64)
    ]
    return np.stack([level for level, _ in pairs]), np.stack([off for _, off in pairs])


def outputs_within(network: Network, enclosure: Enclosure, last: Within) -> Within:
    """Intervals of the runtime's outputs, which are those of the last layer or their softmax."""
    if not outputs_are_probabilities(network, enclosure):
        return _shown(last)
    top = last.high.max(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        low, high = np.exp(last.low - top), np.exp(last.high - top)
        # Each sum leaves its own term out, because a subtraction would cancel.
        others = 1.0 - np.eye(low.shape[1])
        least = low / (low + high @ others)
        most = high / (high + low @ others)
    slack = softmax_slack(network, enclosure)
    return Within(least - slack, most + slack)


def _shown(layer: Within) -> Within:
    """The same intervals for values that were integers times a scale, rounded to float32."""
    slack = 2.0**-20 * np.maximum(np.abs(layer.low), np.abs(layer.high))
    return Within(layer.low - slack, layer.high + slack)


def _place(network: Network, layers: list[Within], shown: Floats, at: int) -> str:
    """The first layer at which the runtime, on one image, holds no tensor that the model allows."""
    try:
        tensors = load(_INSIDE[network.runtime])(network, shown[at])
    except Exception:
        log.debug("the inside of %s", network.path, exc_info=True)
        return "the outputs"
    for number, layer in enumerate(layers[:-1], start=1):
        here = _shown(Within(layer.low[at : at + 1], layer.high[at : at + 1]))
        alike = [values for values in tensors if values.size == here.low.size]
        if alike and not any(here.holds(values.reshape(1, -1))[0] for values in alike):
            return f"layer {number}"
    return "the outputs" if len(layers) == 1 else f"layer {len(layers)}"
