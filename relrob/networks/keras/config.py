"""Keras configurations as data: layers and their calls, checked to hold nothing that needs foreign
code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from relrob.errors import NetworkError, UnsupportedLayerError
from relrob.networks.keras.calls import Call, Tensor, calls_of, ends_of
from relrob.networks.keras.own import OWN, PACKAGE, owned

IDENTITIES = {
    *(
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
    ),
    *("ActivityRegularization", "Identity"),
}
# Layers that change images in training alone.
AUGMENTING = {
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
    "RandomBrightness",
}
# Layers that, outside training, give the values that they are given in the same order.
PRESERVING: Final = frozenset({"InputLayer", "Reshape", "Flatten", *AUGMENTING, *IDENTITIES})
DENSE = {
    *("InputLayer", "Dense", "Flatten", "Reshape", "Permute", "Activation", "ReLU", "Softmax"),
    *("Rescaling", "Normalization", "BatchNormalization", *IDENTITIES),
}
# Layers over space. They treat the images of a batch apart, whatever their settings.
SPATIAL = {
    *(
        f"{kind}{n}D"
        for kind in ("Conv", "MaxPooling", "AveragePooling", "Cropping", "UpSampling")
        for n in (1, 2, 3)
    ),
    *(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)),
    *(f"ZeroPadding{n}D" for n in (1, 2, 3)),
    *(f"{kind}{n}D" for kind in ("DepthwiseConv", "SeparableConv") for n in (1, 2)),
    *("Conv1DTranspose", "Conv2DTranspose"),
}
# Layers of several inputs that work value by value.
MERGING = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}
BLACK_BOX = {
    *SPATIAL,
    *MERGING,
    *AUGMENTING,
    *("LayerNormalization", "GroupNormalization", "UnitNormalization"),
    *("Concatenate", "Dot", "RepeatVector"),
    *("LeakyReLU", "PReLU", "ELU", "EinsumDense", "MultiHeadAttention", "Resizing", "CenterCrop"),
    *("Sequential", "Functional", "Model"),
    *OWN,
}
MODELS = {"Sequential", "Functional", "Model"}
# The most models within one another. Keras takes minutes for thirty.
DEEPEST: Final = 16
_ALLOWED = (
    *(
        "keras",
        "keras.layers",
        "keras.models",
        "keras.initializers",
        "keras.regularizers",
        "keras.constraints",
    ),
    *("keras.src.models.functional", "keras.src.models.sequential", "keras.dtype_policies"),
)
_ENTRY = {
    "module",
    "class_name",
    "config",
    "registered_name",
    "name",
    "inbound_nodes",
    "build_config",
}
_MODEL = {
    "name",
    "trainable",
    "layers",
    "input_layers",
    "output_layers",
    "build_input_shape",
    "dtype",
}
_ACCEPTED, _HINT = "the layers of MLPs and CNNs", "export it to ONNX, or save it without this layer"


@dataclass(frozen=True)
class LayerConfig:
    """One layer: its class, its name in the graph, its place (1 for the first), its settings, its
    calls in order.

    `built`: the shape for which it is built before it is called, None where the file names none.
    `odd`: a reason why the file says more of it than is modelled, or "".
    """

    kind: str
    name: str
    position: int
    settings: dict[str, Any]
    calls: tuple[Call, ...]
    built: tuple[int | None, ...] | None = None
    odd: str = ""

    def __str__(self) -> str:
        return f"layer {self.position} {self.name!r} ({self.kind})"


@dataclass(frozen=True)
class Model:
    """The layers of a model in the order of the file's list.

    `graph`: it is a Functional model, wired by its layers' calls, whose ends are `inputs` and
    `outputs`. `odd`: as of a layer.
    """

    layers: tuple[LayerConfig, ...]
    graph: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    build_shape: tuple[int, ...] | None = None
    odd: str = ""


def parse(text: str | bytes, path: str) -> Model:
    """A Sequential or Functional model whose layers are all of known classes.

    Raises UnsupportedLayerError that names the layer and its position, always for Lambda and custom
    layers. Raises NetworkError when this is no such configuration.
    """
    try:
        model = json.loads(text)
        kind, config = model["class_name"], model["config"]
        if kind not in MODELS:
            raise NetworkError(f"{path} holds a {kind!r}", "a Sequential or Functional Keras model")
        config = {"layers": config} if isinstance(config, list) else config
        layers = tuple(
            _layer(number, entry) for number, entry in enumerate(config["layers"], start=1)
        )
        for layer, entry in zip(layers, config["layers"], strict=True):
            _check(layer, entry, path)
        graph = kind != "Sequential"
        inputs, outputs, nested = ((), (), "") if not graph else _ends(config)
        odd = nested or _strange(config, _MODEL) or _shared(model)
        return Model(layers, graph, inputs, outputs, _shape(config.get("build_input_shape")), odd)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise NetworkError(
            f"{path} holds no readable Keras configuration ({type(error).__name__}: "
            f"{str(error)[:200]})",
            "a Sequential or Functional model saved whole",
            "save the model again",
        ) from error


def _ends(config: dict[str, Any]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], str]:
    """Inputs and outputs of a Functional model, and whether they are more than a tensor or a list
    of tensors."""
    (inputs, plain), (outputs, flat) = (
        ends_of(config["input_layers"]),
        ends_of(config["output_layers"]),
    )
    return inputs, outputs, "" if plain and flat else "inputs or outputs in a structure"


def _strange(found: dict[str, Any], known: set[str]) -> str:
    """The first key that is not known."""
    return next((f"{key!r} is not known" for key in found if key not in known), "")


def _shape(value: Any) -> tuple[int, ...] | None:
    """A shape with its batch, -1 where open."""
    return tuple(-1 if n is None else int(n) for n in value) if isinstance(value, list) else None


def _layer(position: int, entry: dict[str, Any]) -> LayerConfig:
    """One entry of the list of layers."""
    settings = entry["config"]
    nested = isinstance(settings, list)
    if not nested and not isinstance(settings, dict):
        raise TypeError("settings that are no dictionary")
    name = (
        entry.get("name")
        or ("" if nested else settings.get("name"))
        or f"{entry['class_name']}_{position}"
    )
    odd = _strange(entry, _ENTRY) or (
        "" if entry.get("module", "keras.layers") == "keras.layers" else "its module"
    )
    built, build = None, entry.get("build_config")
    if build:
        shape = (
            build.get("input_shape")
            if isinstance(build, dict) and set(build) == {"input_shape"}
            else None
        )
        built = tuple(shape) if isinstance(shape, list) else None
        odd = odd or ("" if built is not None else "its build_config")
    calls = calls_of(entry.get("inbound_nodes") or [])
    return LayerConfig(
        str(entry["class_name"]), str(name), position, {} if nested else settings, calls, built, odd
    )


def _shared(model: Any) -> str:
    """The reason why two objects of one id differ, or "". They are one object in Keras, which
    ignores the settings of the second."""
    seen: dict[Any, Any] = {}
    for inner, _ in _objects(model, 0):
        number = inner.get("shared_object_id")
        if number is not None and seen.setdefault(json.dumps(number), inner) != inner:
            return "different objects under one shared_object_id"
    return ""


def _check(layer: LayerConfig, entry: dict[str, Any], path: str) -> None:
    """Refuse all but plain Keras, at any depth."""
    if layer.kind not in DENSE | BLACK_BOX:
        raise UnsupportedLayerError(f"{path}: {layer}", _ACCEPTED, _HINT)
    for inner, depth in _objects(entry, 0):
        kind, module = inner.get("class_name"), inner.get("module")
        named = inner.get("registered_name")
        foreign = module not in (None, *_ALLOWED) or (
            named not in (None, kind) and module != "keras"
        )
        if (isinstance(kind, str) and kind in OWN) or str(named).startswith(f"{PACKAGE}>"):
            foreign = not owned(inner)
        if kind in ("Lambda", "__lambda__", "function", "TFSMLayer") or foreign:
            raise UnsupportedLayerError(
                f"{path}: {layer} holds {kind!r} of module {module!r}", _ACCEPTED, _HINT
            )
        if depth > DEEPEST:
            raise UnsupportedLayerError(
                f"{path}: {layer} holds models in models", f"{DEEPEST} of them", _HINT
            )
        config = inner.get("config")
        children = (
            config
            if isinstance(config, list)
            else config.get("layers")
            if isinstance(config, dict)
            else None
        )
        for child in (children or []) if kind in MODELS else []:
            if child["class_name"] not in DENSE | BLACK_BOX:
                raise UnsupportedLayerError(
                    f"{path}: {layer} holds {child['class_name']!r}", _ACCEPTED, _HINT
                )
    policy = json.dumps(layer.settings.get("dtype"))
    if layer.settings.get("quantization_config") or "_from_" in policy:
        raise UnsupportedLayerError(
            f"{path}: {layer}, quantised by Keras", "float layers", "quantise with LiteRT or ONNX"
        )


def _objects(node: Any, depth: int) -> list[tuple[dict[str, Any], int]]:
    """Every serialised object in a configuration, each once, with the number of models around
    it."""
    found: list[tuple[dict[str, Any], int]] = []
    waiting = [(node, depth)]
    while waiting:
        here, depth = waiting.pop()
        if isinstance(here, dict):
            if "class_name" in here:
                found.append((here, depth))
                depth += isinstance(here["class_name"], str) and here["class_name"] in MODELS
            waiting += [(value, depth) for value in here.values()]
        elif isinstance(here, list):
            waiting += [(value, depth) for value in here]
    return found
