"""The graph of a Keras model: its layers with kernels, its ReLUs, and copies with layers put in
between. The import takes seconds (Keras)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import keras

from relrob.errors import QuantiseError

_KERNELS: Final = ("Conv2D", "DepthwiseConv2D", "Dense")
_MODELS: Final = ("Sequential", "Functional", "Model")
# Layers between a kernel and its ReLU.
_BETWEEN: Final = ("BatchNormalization", "Dropout", "SpatialDropout2D")
# Layers between a ReLU and the kernel that reads it, which move, choose or average values.
_PASSING: Final = (
    *("Flatten", "Reshape", "Dropout", "SpatialDropout2D", "MaxPooling2D", "AveragePooling2D"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", "Permute", "Mask"),
)
_RECTIFIERS: Final = ("relu", "relu6")


@final
@dataclass(frozen=True, eq=False)
class Graph:
    """A Functional model whose layers are each called once.

    Raises QuantiseError for any other model, and for one without a layer of `_KERNELS`.
    """

    model: Any
    feeds: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        for layer in self.model.layers:
            if type(layer).__name__ in _MODELS:
                raise QuantiseError(f"{layer.name!r}, a model in a model", "one graph of layers")
            if len(layer._inbound_nodes) != 1:
                raise QuantiseError(f"layer {layer.name!r}, called more than once", "once each")
        feeds = {layer.name: _sources(layer) for layer in self.model.layers}
        object.__setattr__(self, "feeds", feeds)
        if not self.kernels:
            raise QuantiseError("a model without dense layers and convolutions", "one or more")

    @property
    def kernels(self) -> list[Any]:
        """The layers with kernels, from the input to the output."""
        return [layer for layer in self.model.layers if self.is_kernel(layer.name)]

    def is_kernel(self, name: str) -> bool:
        """Has the named layer a kernel?"""
        return type(self.model.get_layer(name)).__name__ in _KERNELS

    @property
    def inner(self) -> list[Any]:
        """Those but the first and the last."""
        return self.kernels[1:-1]

    @property
    def rectified(self) -> list[str]:
        """The names of the layers that end in a ReLU, but for one that is the output."""
        outputs = {tensor._keras_history.operation.name for tensor in self.model.outputs}
        return [
            layer.name
            for layer in self.model.layers
            if rectifies(layer) and layer.name not in outputs
        ]

    def origin(self, name: str) -> str:
        """The layer with a kernel whose output the named ReLU takes, "" where it is another's, such
        as a sum's."""
        while True:
            if self.is_kernel(name):
                return name
            sources = self.feeds[name]
            kind = type(self.model.get_layer(sources[0])).__name__ if len(sources) == 1 else ""
            if kind not in (*_KERNELS, *_BETWEEN):
                return ""
            name = sources[0]

    def only_last(self, name: str) -> bool:
        """Does the named layer feed the last kernel, and nothing else?"""
        waiting, found = [name], set[str]()
        while waiting:
            here = waiting.pop()
            for reader in (other for other, sources in self.feeds.items() if here in sources):
                kind = type(self.model.get_layer(reader)).__name__
                found.add(reader) if kind not in _PASSING else waiting.append(reader)
        return found == {self.kernels[-1].name}


def rectifies(layer: Any) -> bool:
    """Does the layer end in a ReLU?"""
    kind = type(layer).__name__
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return kind == "ReLU" or (kind in ("Activation", *_KERNELS) and activation in _RECTIFIERS)


def rewired(
    model: Any, before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None
) -> Any:
    """A copy of the model with a layer before the named layers, or behind them, and with the
    model's weights. Layers that are put in keep their own."""
    first, then = before or {}, after or {}

    def called(layer: Any, *values: Any, **options: Any) -> Any:
        given = (first[layer.name](values[0]), *values[1:]) if layer.name in first else values
        made = layer(*given, **options)
        return then[layer.name](made) if layer.name in then else made

    functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    copied = keras.models.clone_model(functional, call_function=called)
    for layer in functional.layers:
        if layer.weights:
            copied.get_layer(layer.name).set_weights(layer.get_weights())
    return copied


def plain_graph(model: Any) -> Any:
    """A copy of a model as a Functional one of one input and one output, in which layers are called
    as often as the output needs them. Raises QuantiseError."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise QuantiseError(
            f"a model of {len(model.inputs)} inputs and {len(model.outputs)} outputs", "one each"
        )
    functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    copied = keras.models.clone_model(functional)
    copied.set_weights(functional.get_weights())
    return copied


def _sources(layer: Any) -> tuple[str, ...]:
    """The names of the layers that a layer reads."""
    if type(layer).__name__ == "InputLayer":
        return ()
    given = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return tuple(tensor._keras_history.operation.name for tensor in given)
