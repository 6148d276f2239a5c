"""The checker's reader of Keras files: `.keras` archives, whole `.h5` models, weights of Keras 1.

It knows chains of dense layers and elementwise arithmetic. Any other model has no rules.
Source: docs/certificates.md, "Which files have rules".
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np

from relrob.certificates.checking.reading.entry import completed, image_dims, raster
from relrob.certificates.checking.reading.facts import Deployed, NoRulesError
from relrob.certificates.checking.reading.keras_config import Layer, check_float32, model_of
from relrob.certificates.checking.reading.keras_hdf5 import (
    LARGEST,
    Array,
    array_at,
    group_at,
    opened,
    texts,
)
from relrob.certificates.checking.reading.steps import Steps
from relrob.domain.network import Arithmetic, Network

_COMMON: Final = {"name", "trainable", "dtype", "batch_input_shape"}
_BUILD: Final = {
    *(
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
    ),
    *(
        "kernel_constraint",
        "bias_constraint",
        "beta_initializer",
        "gamma_initializer",
        "moving_mean_initializer",
    ),
    *(
        "moving_variance_initializer",
        "beta_regularizer",
        "gamma_regularizer",
        "beta_constraint",
        "gamma_constraint",
    ),
}
_RENORM: Final = ("renorm_clipping", "renorm_momentum")
# keras.backend.epsilon(), which Normalization puts under its division.
_EPSILON: Final = float(np.float32(1e-7))
Weights = Callable[[Layer], list[Array]]


def read_archive(network: Network, data: bytes) -> Deployed:
    """A `.keras` archive of Keras 3."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names) or not {"config.json", "model.weights.h5"} <= set(
                names
            ):
                raise NoRulesError("a Keras archive with a member missing or twice")
            if max(archive.getinfo(name).file_size for name in names) > LARGEST:
                raise NoRulesError("a Keras archive of too large members")
            config, weights = (archive.read(name) for name in ("config.json", "model.weights.h5"))
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise NoRulesError("a Keras archive that is damaged") from error
    layers, dims = model_of(config)

    def held(layer: Layer) -> list[Array]:
        name = _SNAKE[layer.kind] + (f"_{layer.number}" if layer.number else "")
        group = group_at(group_at(group_at(file, "layers"), name), "vars")
        return [array_at(group, str(number)) for number in range(len(group))]

    with opened(weights) as file:
        return _build(network, layers, dims, held)


def read_h5(network: Network, data: bytes) -> Deployed:
    """A whole model of Keras 2 or 3: weights by position, as Keras loads them, whatever their names
    are."""
    with opened(data) as file:
        config = file.attrs.get("model_config")
        if not isinstance(config, str | bytes):
            raise NoRulesError("an HDF5 file without a configuration")
        layers, dims = model_of(config)
        weights = group_at(file, "model_weights")
        if "top_level_model_weights" in weights and texts(
            group_at(weights, "top_level_model_weights"), "weight_names"
        ):
            raise NoRulesError("a model with weights of its own")
        stored = []
        for name in texts(weights, "layer_names"):
            group = group_at(weights, name)
            arrays = [array_at(group, each) for each in texts(group, "weight_names")]
            stored += [arrays] if arrays else []
        weighted = [layer for layer in layers if layer.kind in _SNAKE and _has_weights(layer)]
        if len(stored) != len(weighted):
            raise NoRulesError("weights of another number of layers")
        return _build(network, layers, dims, lambda layer: stored[weighted.index(layer)])


def read_keras1(network: Network, data: bytes) -> Deployed:
    """Weights without an architecture: dense layers with ReLU between them; the label is the
    largest of the last."""
    with opened(data) as file:
        if "model_config" in file.attrs:
            raise NoRulesError("weights of Keras 1 with a configuration")
        pairs = []
        for name in texts(file, "layer_names"):
            group = group_at(file, name)
            held = texts(group, "weight_names")
            if held and held != [f"{name}_W", f"{name}_b"]:
                raise NoRulesError(
                    "arrays that are not the weights and the bias of a dense layer of Keras 1"
                )
            if held:
                pairs.append((array_at(group, held[0]), array_at(group, held[1])))
        if not pairs:
            raise NoRulesError("no dense layers")
        steps = Steps((prod(network.image_shape),), network.arithmetic is Arithmetic.REAL)
        for number, (weights, bias) in enumerate(pairs, start=1):
            steps.dense(weights, bias)
            if number < len(pairs):
                steps.relu()
        return steps.finish(raster(network))


def _build(network: Network, layers: list[Layer], dims: list[int], weights: Weights) -> Deployed:
    steps = Steps(image_dims(dims, network), network.arithmetic is Arithmetic.REAL)
    try:
        for number, layer in enumerate(layers):
            known = _LAYERS.get(layer.kind)
            if known is None or (layer.kind == "InputLayer" and number):
                raise NoRulesError(f"the layer {layer.kind[:40]!a}")
            apply, settings = known
            if settings is not None and set(layer.settings) - settings - _COMMON:
                more = min(set(layer.settings) - settings - _COMMON)
                raise NoRulesError(f"the setting {more[:40]!a} of {layer.kind}")
            check_float32(layer.settings)
            apply(steps, layer, weights)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NoRulesError("settings that are not as Keras writes them") from error
    found = steps.finish(raster(network))
    plain = all(facts.extra is None for facts in found.layers)
    # onnxruntime runs these layers, exported, without the softmax.
    if network.runtime == "onnxruntime" and plain:
        return Deployed(found.layers, "logits")
    return found


def _input(steps: Steps, layer: Layer, weights: Weights) -> None:
    if any(layer.settings.get(name) for name in ("sparse", "ragged", "optional")):
        raise NoRulesError("an input that is sparse, ragged or optional")


def _activate(steps: Steps, activation: Any) -> None:
    if activation == "relu":
        steps.relu()
    elif activation == "softmax":
        steps.softmax()
    elif activation not in (None, "linear"):
        raise NoRulesError("an activation other than ReLU, softmax or none")


def _dense(steps: Steps, layer: Layer, weights: Weights) -> None:
    settings = layer.settings
    arrays, biased = weights(layer), settings.get("use_bias", True)
    if (
        settings.get("quantization_config")
        or settings.get("lora_rank")
        or biased not in (True, False)
    ):
        raise NoRulesError("a dense layer that is quantised or adapted")
    if len(arrays) != 1 + biased or arrays[0].ndim != 2 or arrays[0].shape[1] != settings["units"]:
        raise NoRulesError("a dense layer with weights of another shape")
    steps.dense(arrays[0], arrays[1] if biased else None)
    _activate(steps, settings.get("activation"))


def _flatten(steps: Steps, layer: Layer, weights: Weights) -> None:
    form, rank = layer.settings.get("data_format"), len(steps.shape)
    if form not in (None, "channels_last", "channels_first"):
        raise NoRulesError("a Flatten of another data format")
    if form == "channels_first" and rank > 1:
        steps.transpose((*range(1, rank), 0))
    steps.reshape((prod(steps.shape),))


def _reshape(steps: Steps, layer: Layer, weights: Weights) -> None:
    sizes = [int(size) for size in layer.settings["target_shape"]]
    steps.reshape(completed(tuple(sizes), steps.shape))


def _permute(steps: Steps, layer: Layer, weights: Weights) -> None:
    steps.transpose(tuple(int(axis) - 1 for axis in layer.settings["dims"]))


def _activation(steps: Steps, layer: Layer, weights: Weights) -> None:
    _activate(steps, layer.settings["activation"])


def _relu(steps: Steps, layer: Layer, weights: Weights) -> None:
    settings = layer.settings
    if (
        settings.get("max_value") is not None
        or settings.get("negative_slope")
        or settings.get("threshold")
    ):
        raise NoRulesError("a capped, leaky or shifted ReLU")
    steps.relu()


def _softmax(steps: Steps, layer: Layer, weights: Weights) -> None:
    if layer.settings.get("axis", -1) not in (-1, [-1]):
        raise NoRulesError("a softmax over another axis")
    steps.softmax()


def _rescale(steps: Steps, layer: Layer, weights: Weights) -> None:
    scale, offset = layer.settings["scale"], layer.settings.get("offset", 0.0)
    if not all(type(value) in (int, float) for value in (scale, offset)):
        raise NoRulesError("a Rescaling by several numbers")
    steps.multiply(np.array(scale, np.float32))
    if offset:
        steps.add(np.array(offset, np.float32))


def _normalise(steps: Steps, layer: Layer, weights: Weights) -> None:
    """(x - mean) / max(sqrt(variance), 1e-7); `invert`: x * max(...) + mean."""
    settings, dims = layer.settings, len(steps.shape)
    axis = settings.get("axis", -1)
    axes = [] if axis is None else list(axis) if isinstance(axis, list) else [axis]
    kept = sorted(at if at >= 0 else dims + 1 + at for at in axes)
    if not all(0 < at <= dims for at in kept) or len(set(kept)) != len(kept):
        raise NoRulesError("a Normalization over other axes")
    form = [size if at in kept else 1 for at, size in enumerate(steps.shape, start=1)]
    held = [settings.get("mean"), settings.get("variance")]
    if held.count(None) == 1:
        raise NoRulesError("a Normalization with half its numbers")
    values = (
        weights(layer)[:2] if held[0] is None else [np.asarray(value, np.float32) for value in held]
    )
    mean, variance = (
        np.broadcast_to(value.astype(np.float64), _broadcast(value, form)).reshape(form)
        for value in values
    )
    if not np.all(variance >= 0):
        raise NoRulesError("a Normalization of a variance below 0")
    root = np.maximum(np.sqrt(variance), _EPSILON)
    if settings.get("invert"):
        steps.multiply(root, roundings=2)
        steps.add(mean)
    else:
        steps.add(mean, negative=True)
        steps.divide(root, roundings=3)


def _broadcast(value: Array, form: list[int]) -> tuple[int, ...]:
    return value.shape if value.size == prod(form) else tuple(form)


def _batch_norm(steps: Steps, layer: Layer, weights: Weights) -> None:
    settings = layer.settings
    axis = settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(steps.shape)) or settings.get("synchronized") or settings.get("renorm"):
        raise NoRulesError("a BatchNormalization over another axis")
    arrays, count = weights(layer), steps.shape[-1]
    scaled, centred = settings.get("scale", True), settings.get("center", True)
    if len(arrays) != 2 + bool(scaled) + bool(centred) or any(
        values.shape != (count,) for values in arrays
    ):
        raise NoRulesError("a BatchNormalization with weights of another shape")
    held = [values.astype(np.float64) for values in arrays]
    gamma = held.pop(0) if scaled else np.ones(count)
    beta = held.pop(0) if centred else np.zeros(count)
    steps.batch_norm(gamma, beta, held[0], held[1], float(settings.get("epsilon", 1e-3)))


def _nothing(steps: Steps, layer: Layer, weights: Weights) -> None:
    """The identity where nothing is trained."""


_SNAKE: Final = {
    "Dense": "dense",
    "BatchNormalization": "batch_normalization",
    "Normalization": "normalization",
}


def _has_weights(layer: Layer) -> bool:
    return layer.kind != "Normalization" or layer.settings.get("mean") is None


_Apply = Callable[[Steps, Layer, Weights], None]
_IDENTITIES: Final = (
    *(
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
    ),
    *("ActivityRegularization", "Identity"),
)
# Class -> what it does, and the settings that are known (None: none of them changes anything).
_LAYERS: Final[dict[str, tuple[_Apply, set[str] | None]]] = {
    "InputLayer": (_input, {"batch_shape", "sparse", "ragged", "optional"}),
    "Dense": (
        _dense,
        {"units", "activation", "use_bias", "quantization_config", "lora_rank", *_BUILD},
    ),
    "Flatten": (_flatten, {"data_format"}),
    "Reshape": (_reshape, {"target_shape"}),
    "Permute": (_permute, {"dims"}),
    "Activation": (_activation, {"activation"}),
    "ReLU": (_relu, {"max_value", "negative_slope", "threshold"}),
    "Softmax": (_softmax, {"axis"}),
    "Rescaling": (_rescale, {"scale", "offset"}),
    "Normalization": (_normalise, {"axis", "mean", "variance", "invert"}),
    "BatchNormalization": (
        _batch_norm,
        {
            "axis",
            "momentum",
            "epsilon",
            "center",
            "scale",
            "synchronized",
            "renorm",
            *_RENORM,
            *_BUILD,
        },
    ),
    **dict.fromkeys(_IDENTITIES, (_nothing, None)),
}
