"""`.keras` archives, Keras `.h5` files and weights of Keras 1: a chain of dense layers and elementwise arithmetic, or no rules."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from relrob.certificates.reading.entry import image_dims, raster
from relrob.certificates.reading.facts import Deployed, NoRulesError
from relrob.certificates.reading.steps import Steps
from relrob.domain.network import Arithmetic, Network

_LARGEST: Final = 2**31
_COMMON: Final = {"name", "trainable", "dtype", "batch_input_shape"}
_BUILD: Final = {
    *("kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer"),
    *("kernel_constraint", "bias_constraint", "beta_initializer", "gamma_initializer", "moving_mean_initializer"),
    *("moving_variance_initializer", "beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"),
}
_POLICY: Final = {"module", "class_name", "config", "registered_name", "shared_object_id"}
_RENORM: Final = ("renorm_clipping", "renorm_momentum")
_EPSILON: Final = float(np.float32(1e-7))  # keras.backend.epsilon(), which Normalization puts under its division
Array = NDArray[Any]
Weights = Callable[["_Layer"], list[Array]]


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer; `number`: how many layers of its class come before it."""

    kind: str
    name: str
    settings: dict[str, Any]
    number: int


def read_archive(network: Network, data: bytes) -> Deployed:
    """A `.keras` archive of Keras 3."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names) or not {"config.json", "model.weights.h5"} <= set(names):
                raise NoRulesError("a Keras archive with a member missing or twice")
            if max(archive.getinfo(name).file_size for name in names) > _LARGEST:
                raise NoRulesError("a Keras archive of too large members")
            config, weights = (archive.read(name) for name in ("config.json", "model.weights.h5"))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise NoRulesError("a Keras archive that is damaged") from error
    layers, dims = _model(config)

    def held(layer: _Layer) -> list[Array]:
        name = _SNAKE[layer.kind] + (f"_{layer.number}" if layer.number else "")
        group = _group(_group(_group(file, "layers"), name), "vars")
        return [_array(group, str(number)) for number in range(len(group))]

    with _opened(weights) as file:
        return _build(network, layers, dims, held)


def read_h5(network: Network, data: bytes) -> Deployed:
    """A whole model of Keras 2 or 3: weights by position, as Keras loads them, whatever their names are."""
    with _opened(data) as file:
        config = file.attrs.get("model_config")
        if not isinstance(config, str | bytes):
            raise NoRulesError("an HDF5 file without a configuration")
        layers, dims = _model(config)
        weights = _group(file, "model_weights")
        if "top_level_model_weights" in weights and _texts(_group(weights, "top_level_model_weights"), "weight_names"):
            raise NoRulesError("a model with weights of its own")
        stored = []
        for name in _texts(weights, "layer_names"):
            group = _group(weights, name)
            arrays = [_array(group, each) for each in _texts(group, "weight_names")]
            stored += [arrays] if arrays else []
        weighted = [layer for layer in layers if layer.kind in _SNAKE and _has_weights(layer)]
        if len(stored) != len(weighted):
            raise NoRulesError("weights of another number of layers")
        return _build(network, layers, dims, lambda layer: stored[weighted.index(layer)])


def read_keras1(network: Network, data: bytes) -> Deployed:
    """Weights without an architecture: dense layers with ReLU between them; the label is the largest of the last."""
    with _opened(data) as file:
        if "model_config" in file.attrs:
            raise NoRulesError("weights of Keras 1 with a configuration")
        pairs = []
        for name in _texts(file, "layer_names"):
            group = _group(file, name)
            held = _texts(group, "weight_names")
            if held and held != [f"{name}_W", f"{name}_b"]:
                raise NoRulesError("arrays that are not the weights and the bias of a dense layer of Keras 1")
            if held:
                pairs.append((_array(group, held[0]), _array(group, held[1])))
        if not pairs:
            raise NoRulesError("no dense layers")
        steps = Steps((prod(network.image_shape),), network.arithmetic is Arithmetic.REAL)
        for number, (weights, bias) in enumerate(pairs, start=1):
            steps.dense(weights, bias)
            if number < len(pairs):
                steps.relu()
        return steps.finish(raster(network))


def _opened(data: bytes) -> Any:
    try:
        return h5py.File(io.BytesIO(data), "r")
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise NoRulesError("an HDF5 file that is damaged") from error


def _member(group: Any, name: str) -> Any:
    """What lies at a path of hard links: nothing leads to another place or another file."""
    for part in name.strip("/").split("/"):
        try:
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                raise NoRulesError(f"no weights at {name[:60]!a}")
            group = group[part]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise NoRulesError("an HDF5 file that is damaged") from error
    return group


def _group(parent: Any, name: str) -> Any:
    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise NoRulesError(f"no group at {name[:60]!a}")
    return found


def _array(group: Any, name: str) -> Array:
    """A float32 dataset, all of it in this file (or a single whole number, which Normalization counts with)."""
    item = _member(group, name)
    plain = isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual
    if not plain or not (item.dtype == np.float32 or (item.dtype.kind == "i" and item.shape == ())):
        raise NoRulesError(f"weights at {name[:60]!a} that are no float32 array in this file")
    if item.nbytes > _LARGEST:
        raise NoRulesError("weights that are too large")
    try:
        values: Array = item[()]
    except (OSError, RuntimeError, ValueError) as error:
        raise NoRulesError("an HDF5 file that is damaged") from error
    if not np.isfinite(values).all():
        raise NoRulesError("weights that are not finite")
    return np.asarray(values)


def _texts(group: Any, attribute: str) -> list[str]:
    """An attribute that lists names."""
    if attribute not in group.attrs:
        raise NoRulesError(f"an HDF5 group without {attribute}")
    values = np.atleast_1d(group.attrs[attribute]).tolist()
    found = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(value, str) and value for value in found):
        raise NoRulesError(f"an HDF5 group whose {attribute} are no names")
    return found


def _model(text: str | bytes) -> tuple[list[_Layer], list[int]]:
    """The layers in the order of the chain, and the dimensions of the input; open ones -1."""
    try:
        model = json.loads(text)
        kind, config = model["class_name"], model["config"]
        if kind not in ("Sequential", "Functional", "Model") or model.get("registered_name") not in (
            None,
            kind,
            "Functional",
        ):
            raise NoRulesError("a Keras file that holds no Sequential or Functional model")
        config = {"layers": config} if isinstance(config, list) else config
        _float32(config)
        entries = config["layers"]
        if kind != "Sequential":
            entries = _chain(entries, config)
        layers, counts = list[_Layer](), dict[str, int]()
        for entry in entries:
            settings, name = entry["config"], entry["class_name"]
            if entry.get("module") not in (None, "keras.layers") or entry.get("registered_name") not in (None, name):
                raise NoRulesError("a layer that is none of Keras's own")
            if set(entry) - {
                "class_name",
                "config",
                "module",
                "registered_name",
                "build_config",
                "name",
                "inbound_nodes",
            }:
                raise NoRulesError("a layer with entries that the checker does not know")
            layers.append(_Layer(name, str(settings.get("name", "")), settings, counts.get(name, 0)))
            counts[name] = counts.get(name, 0) + 1
        first = layers[0].settings
        dims = first.get("batch_shape", first.get("batch_input_shape", config.get("build_input_shape")))
        if not isinstance(dims, list):
            raise NoRulesError("a model that does not say what it reads")
        return layers, [-1 if size is None else int(size) for size in dims]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NoRulesError("a configuration that is not as Keras writes it") from error


def _chain(entries: list[dict[str, Any]], config: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of a functional model from its input to its output, each fed by the one before. Keras drops those beside the
    way, and takes weights in the order of the wires, not of the list."""
    feeds: dict[str, str] = {}
    named = {entry["name"]: entry for entry in entries}
    starts, ends = ([_end(each) for each in _nested(config[key])] for key in ("input_layers", "output_layers"))
    if len(starts) != 1 or len(ends) != 1 or len(named) != len(entries) or named[starts[0]]["inbound_nodes"]:
        raise NoRulesError("a model with several inputs or outputs, or whose input is fed")
    for name, entry in named.items():
        if entry["config"].get("name", name) != name:
            raise NoRulesError("a layer of two names")
        if name != starts[0]:
            feeds[name] = _feed(entry["inbound_nodes"])
    order = [ends[0]]
    while order[-1] != starts[0] and len(order) <= len(named):
        order.append(feeds[order[-1]])
    if order[-1] != starts[0] or not set(feeds.values()) <= set(named):
        raise NoRulesError("layers that are no chain")
    return [named[name] for name in reversed(order)]


def _nested(ends: Any) -> list[Any]:
    """Keras 3 writes a single end without the list around it."""
    return [ends] if ends and isinstance(ends[0], str) else list(ends)


def _end(given: Any) -> str:
    name, node, tensor = given
    if (node, tensor) != (0, 0):
        raise NoRulesError("a layer that is used twice")
    return str(name)


def _feed(nodes: Any) -> str:
    """The layer that feeds a layer, once, without arguments of its own."""
    (node,) = nodes
    if isinstance(node, dict):  # Keras 3
        (tensor,) = node["args"]
        if (
            any(value not in (None, False) for value in node["kwargs"].values())
            or tensor["class_name"] != "__keras_tensor__"
        ):
            raise NoRulesError("a layer that is called with arguments")
        return _end(tensor["config"]["keras_history"])
    ((name, number, tensor, arguments),) = node
    if any(value not in (None, False) for value in arguments.values()):
        raise NoRulesError("a layer that is called with arguments")
    return _end((name, number, tensor))


def _float32(settings: dict[str, Any]) -> None:
    policy = settings.get("dtype")
    if isinstance(policy, dict):
        known = set(policy) <= _POLICY and set(policy["config"]) <= {"name"}
        policy = policy["config"].get("name") if policy["class_name"] == "DTypePolicy" and known else ""
    if policy not in (None, "float32"):
        raise NoRulesError("a layer that does not compute in float32")


def _build(network: Network, layers: list[_Layer], dims: list[int], weights: Weights) -> Deployed:
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
            _float32(layer.settings)
            apply(steps, layer, weights)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise NoRulesError("settings that are not as Keras writes them") from error
    found = steps.finish(raster(network))
    plain = all(facts.extra is None for facts in found.layers)
    if network.runtime == "onnxruntime" and plain:  # runs these layers, exported, without the softmax
        return Deployed(found.layers, "logits")
    return found


def _input(steps: Steps, layer: _Layer, weights: Weights) -> None:
    if any(layer.settings.get(name) for name in ("sparse", "ragged", "optional")):
        raise NoRulesError("an input that is sparse, ragged or optional")


def _activate(steps: Steps, activation: Any) -> None:
    if activation == "relu":
        steps.relu()
    elif activation == "softmax":
        steps.softmax()
    elif activation not in (None, "linear"):
        raise NoRulesError("an activation other than ReLU, softmax or none")


def _dense(steps: Steps, layer: _Layer, weights: Weights) -> None:
    settings = layer.settings
    arrays, biased = weights(layer), settings.get("use_bias", True)
    if settings.get("quantization_config") or settings.get("lora_rank") or biased not in (True, False):
        raise NoRulesError("a dense layer that is quantised or adapted")
    if len(arrays) != 1 + biased or arrays[0].ndim != 2 or arrays[0].shape[1] != settings["units"]:
        raise NoRulesError("a dense layer with weights of another shape")
    steps.dense(arrays[0], arrays[1] if biased else None)
    _activate(steps, settings.get("activation"))


def _flatten(steps: Steps, layer: _Layer, weights: Weights) -> None:
    form, rank = layer.settings.get("data_format"), len(steps.shape)
    if form not in (None, "channels_last", "channels_first"):
        raise NoRulesError("a Flatten of another data format")
    if form == "channels_first" and rank > 1:
        steps.transpose((*range(1, rank), 0))
    steps.reshape((prod(steps.shape),))


def _reshape(steps: Steps, layer: _Layer, weights: Weights) -> None:
    sizes = [int(size) for size in layer.settings["target_shape"]]
    if sizes == [-1]:
        sizes = [prod(steps.shape)]
    steps.reshape(tuple(sizes))


def _permute(steps: Steps, layer: _Layer, weights: Weights) -> None:
    steps.transpose(tuple(int(axis) - 1 for axis in layer.settings["dims"]))


def _activation(steps: Steps, layer: _Layer, weights: Weights) -> None:
    _activate(steps, layer.settings["activation"])


def _relu(steps: Steps, layer: _Layer, weights: Weights) -> None:
    settings = layer.settings
    if settings.get("max_value") is not None or settings.get("negative_slope") or settings.get("threshold"):
        raise NoRulesError("a capped, leaky or shifted ReLU")
    steps.relu()


def _softmax(steps: Steps, layer: _Layer, weights: Weights) -> None:
    if layer.settings.get("axis", -1) not in (-1, [-1]):
        raise NoRulesError("a softmax over another axis")
    steps.softmax()


def _rescale(steps: Steps, layer: _Layer, weights: Weights) -> None:
    scale, offset = layer.settings["scale"], layer.settings.get("offset", 0.0)
    if not all(type(value) in (int, float) for value in (scale, offset)):
        raise NoRulesError("a Rescaling by several numbers")
    steps.multiply(np.array(scale, np.float32))
    if offset:
        steps.add(np.array(offset, np.float32))


def _normalise(steps: Steps, layer: _Layer, weights: Weights) -> None:
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
    values = weights(layer)[:2] if held[0] is None else [np.asarray(value, np.float32) for value in held]
    mean, variance = (
        np.broadcast_to(value.astype(np.float64), _broadcast(value, form)).reshape(form) for value in values
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


def _batch_norm(steps: Steps, layer: _Layer, weights: Weights) -> None:
    settings = layer.settings
    axis = settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(steps.shape)) or settings.get("synchronized") or settings.get("renorm"):
        raise NoRulesError("a BatchNormalization over another axis")
    arrays, count = weights(layer), steps.shape[-1]
    scaled, centred = settings.get("scale", True), settings.get("center", True)
    if len(arrays) != 2 + bool(scaled) + bool(centred) or any(values.shape != (count,) for values in arrays):
        raise NoRulesError("a BatchNormalization with weights of another shape")
    held = [values.astype(np.float64) for values in arrays]
    gamma = held.pop(0) if scaled else np.ones(count)
    beta = held.pop(0) if centred else np.zeros(count)
    steps.batch_norm(gamma, beta, held[0], held[1], float(settings.get("epsilon", 1e-3)))


def _nothing(steps: Steps, layer: _Layer, weights: Weights) -> None:
    """The identity where nothing is trained."""


_SNAKE: Final = {"Dense": "dense", "BatchNormalization": "batch_normalization", "Normalization": "normalization"}


def _has_weights(layer: _Layer) -> bool:
    return layer.kind != "Normalization" or layer.settings.get("mean") is None


_Apply = Callable[[Steps, _Layer, Weights], None]
_IDENTITIES: Final = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *("ActivityRegularization", "Identity"),
)
# Class -> what it does, and the settings that are known (None: none of them changes anything).
_LAYERS: Final[dict[str, tuple[_Apply, set[str] | None]]] = {
    "InputLayer": (_input, {"batch_shape", "sparse", "ragged", "optional"}),
    "Dense": (_dense, {"units", "activation", "use_bias", "quantization_config", "lora_rank", *_BUILD}),
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
        {"axis", "momentum", "epsilon", "center", "scale", "synchronized", "renorm", *_RENORM, *_BUILD},
    ),
    **dict.fromkeys(_IDENTITIES, (_nothing, None)),
}
