"""Keras configurations as data: the layers of a model, checked against what may be built without running foreign code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from relrob.errors import NetworkError, UnsupportedLayerError

IDENTITIES = {
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *("ActivityRegularization", "Identity"),
}
DENSE = {
    *("InputLayer", "Dense", "Flatten", "Reshape", "Permute", "Activation", "ReLU", "Softmax"),
    *("Rescaling", "Normalization", "BatchNormalization", *IDENTITIES),
}
BLACK_BOX = {
    *(f"{kind}{n}D" for kind in ("Conv", "MaxPooling", "AveragePooling", "Cropping", "UpSampling") for n in (1, 2, 3)),
    *(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)),
    *(f"ZeroPadding{n}D" for n in (1, 2, 3)),
    *(f"{kind}{n}D" for kind in ("DepthwiseConv", "SeparableConv") for n in (1, 2)),
    *("Conv1DTranspose", "Conv2DTranspose", "LayerNormalization", "GroupNormalization", "UnitNormalization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "RepeatVector"),
    *("LeakyReLU", "PReLU", "ELU", "EinsumDense", "MultiHeadAttention", "Resizing", "CenterCrop"),
    *("Sequential", "Functional", "Model"),
}
_MODELS = {"Sequential", "Functional", "Model"}
_ALLOWED = (
    *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.src.models.functional", "keras.src.models.sequential", "keras.dtype_policies"),
)


@dataclass(frozen=True)
class LayerConfig:
    """One layer: its class, its own name, its place (1 for the first), its settings, and the layers that feed it."""

    kind: str
    name: str
    position: int
    settings: dict[str, Any]
    feeds: tuple[str, ...]

    def __str__(self) -> str:
        return f"layer {self.position} {self.name!r} ({self.kind})"


@dataclass(frozen=True)
class Model:
    """A model's layers in the file's order, the input's shape with its batch (-1 where open; None when the file does not say
    it), and the numbers of its inputs and outputs."""

    layers: tuple[LayerConfig, ...]
    dims: tuple[int, ...] | None
    inputs: int = 1
    outputs: int = 1


def parse(text: str | bytes, path: str) -> Model:
    """A Sequential or Functional model whose layers are all of known classes.

    Raises UnsupportedLayerError that names the layer and its position (Lambda and custom layers always), NetworkError when
    this is no such configuration.
    """
    try:
        model = json.loads(text)
        kind, config = model["class_name"], model["config"]
        if kind not in _MODELS:
            raise NetworkError(f"{path} holds a {kind!r}", "a Sequential or Functional Keras model")
        config = {"layers": config} if isinstance(config, list) else config
        entries = config["layers"]
        layers = tuple(_layer(number, entry) for number, entry in enumerate(entries, start=1))
        for layer, entry in zip(layers, entries, strict=True):
            _check(layer, entry, path)
        return Model(layers, _dims(layers, config), _ends(config, "input_layers"), _ends(config, "output_layers"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NetworkError(
            f"{path} holds no readable Keras configuration ({type(error).__name__}: {error})",
            "a Sequential or Functional model saved whole",
            "save the model again",
        ) from error


def is_chain(model: Model) -> bool:
    """Does every layer read the one before it, and nothing else? (A Sequential model names no feeds.)"""
    layers = model.layers
    if not any(layer.feeds for layer in layers):
        return True
    pairs = pairwise(layers)
    return not layers[0].feeds and all(after.feeds == (before.name,) for before, after in pairs)


def _dims(layers: tuple[LayerConfig, ...], config: dict[str, Any]) -> tuple[int, ...] | None:
    """The input's shape, from the first layer or from the model."""
    first = layers[0].settings if layers else {}
    for shape in (first.get("batch_shape"), first.get("batch_input_shape"), config.get("build_input_shape")):
        if isinstance(shape, list):
            return tuple(-1 if n is None else int(n) for n in shape)
    return None


def _ends(config: dict[str, Any], key: str) -> int:
    """How many inputs or outputs a Functional model has; a Sequential one has one of each."""
    ends = config.get(key) or ["", 0, 0]
    return 1 if isinstance(ends, list) and ends and isinstance(ends[0], str) else len(ends)


def _layer(position: int, entry: dict[str, Any]) -> LayerConfig:
    """One entry of the list of layers."""
    settings = entry["config"]
    nested = isinstance(settings, list)
    name = entry.get("name") or ("" if nested else settings.get("name")) or f"{entry['class_name']}_{position}"
    feeds = tuple(dict.fromkeys(_feeds(entry.get("inbound_nodes") or [])))
    return LayerConfig(str(entry["class_name"]), str(name), position, {} if nested else settings, feeds)


def _feeds(node: Any) -> Iterator[str]:
    """Names of the layers in `inbound_nodes`, in the form of Keras 3 (dictionaries) and of Keras 1 and 2 (lists)."""
    if isinstance(node, dict):
        history = node.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
        else:
            for value in node.values():
                yield from _feeds(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0]
        else:
            for value in node:
                yield from _feeds(value)


def _check(layer: LayerConfig, entry: dict[str, Any], path: str) -> None:
    """Refuse what is not plain Keras, at any depth."""
    accepted, hint = "the layers of MLPs and CNNs", "export it to ONNX, or save it without this layer"
    if layer.kind not in DENSE | BLACK_BOX:
        raise UnsupportedLayerError(f"{path}: {layer}", accepted, hint)
    for inner in _objects(entry):
        kind, module = inner.get("class_name"), inner.get("module")
        named = inner.get("registered_name")
        foreign = module not in (None, *_ALLOWED) or (named not in (None, kind) and module != "keras")
        if kind in ("Lambda", "__lambda__", "function", "TFSMLayer") or foreign:
            raise UnsupportedLayerError(f"{path}: {layer} holds {kind!r} of module {module!r}", accepted, hint)
        nested = inner is not entry and "layers" in (inner.get("config") or {})
        if nested and kind in _MODELS:
            for number, child in enumerate(inner["config"]["layers"], start=1):
                _check(_layer(number, child), child, f"{path}, {layer}")
    policy = json.dumps(layer.settings.get("dtype"))
    if layer.settings.get("quantization_config") or "_from_" in policy:
        raise UnsupportedLayerError(
            f"{path}: {layer}, quantised by Keras", "float layers", "quantise with LiteRT or ONNX"
        )


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a configuration, depth first."""
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)
