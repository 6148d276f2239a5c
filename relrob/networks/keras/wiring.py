"""The layers of a model in the order in which an image passes them, which is the file's wiring and
not its list."""

from __future__ import annotations

from collections import Counter
from typing import Final

from relrob.networks.keras.calls import Tensor
from relrob.networks.keras.config import (
    MERGING,
    MODELS,
    PRESERVING,
    SPATIAL,
    LayerConfig,
    Model,
)
from relrob.networks.keras.own import OWN, STEPPED
from relrob.networks.operators import NotDenseError

# Layers that treat the images of a batch apart, whatever their settings, and that round alike in
# any place of it.
_APART: Final = {
    *SPATIAL,
    *MERGING,
    *PRESERVING,
    *(name for name in OWN if name not in STEPPED),
    *("RepeatVector", "LeakyReLU", "PReLU", "Dense", "Permute", "Activation", "ReLU"),
}
# Layers that treat images apart along some axes only: along the last, or along one that is counted
# from the front, with the batch, and is not the first.
_ALONG: Final = {"Softmax", "Normalization", "BatchNormalization", "Concatenate"}
# Layers whose one argument is a list of tensors, all of the same images.
_MERGING: Final = {*MERGING, "Concatenate"}
# Activations whose last bits do not depend on the place in a batch. Those that are made of
# exponentials, logarithms and inverse roots do.
_ROUNDED_ALIKE: Final = (
    None,
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "softmax",
    "tanh",
    "softsign",
    "hard_sigmoid",
)
_PASSING: Final = ("Activation", "Softmax", "ReLU", "Dropout")


def input_of(model: Model) -> LayerConfig | None:
    """The layer that takes the images, None where the file does not say it."""
    if not model.graph:
        return model.layers[0] if model.layers else None
    return _named(model).get(model.inputs[0].layer) if model.inputs else None


def dims_of(model: Model) -> tuple[int, ...] | None:
    """The input's shape with its batch, -1 where open, None when the file does not say it."""
    first = input_of(model)
    settings = first.settings if first is not None else {}
    for shape in (settings.get("batch_shape"), settings.get("batch_input_shape")):
        if isinstance(shape, list):
            return tuple(-1 if n is None else int(n) for n in shape)
    return None if model.graph else model.build_shape


def path_of(model: Model) -> tuple[LayerConfig, ...]:
    """The layers from the input to the output, each of which reads the one before it and is called
    once. Raises NotDenseError."""
    counts = Counter(layer.name for layer in model.layers)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise NotDenseError(f"two layers are called {twice!r}")
    if model.odd:
        raise NotDenseError(f"the model: {model.odd}")
    layers = _walk(model) if model.graph else _listed(model)
    for layer in layers:
        if layer.odd:
            raise NotDenseError(f"{layer}: {layer.odd}")
    return layers


def _listed(model: Model) -> tuple[LayerConfig, ...]:
    """The order of a Sequential model, which is that of its list."""
    for layer in model.layers:
        if layer.calls and any(call.odd for call in layer.calls):
            raise NotDenseError(f"{layer}: {layer.calls[0].odd}")
        if layer.kind == "InputLayer" and layer.position > 1:
            raise NotDenseError(f"{layer}: an input behind the first layer")
    return model.layers


def _walk(model: Model) -> tuple[LayerConfig, ...]:
    """The order of a Functional model, found backwards from its output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise NotDenseError(f"{len(model.inputs)} inputs and {len(model.outputs)} outputs")
    named, here, found = _named(model), model.outputs[0], list[LayerConfig]()
    while True:
        layer = named.get(here.layer)
        if layer is None:
            raise NotDenseError(f"a layer {here.layer!r} that is not there")
        if layer in found or len(layer.calls) > 1:
            raise NotDenseError(f"{layer} is called more than once")
        found.append(layer)
        if (here.call, here.output) != (0, 0):
            raise NotDenseError(f"{layer}: output {here.output} of call {here.call}")
        if not layer.calls:
            break
        call = layer.calls[0]
        if call.odd or len(call.feeds) != 1:
            raise NotDenseError(f"{layer}: {call.odd or 'several inputs'}")
        here = call.feeds[0]
    if found[-1].kind != "InputLayer" or model.inputs[0] != Tensor(found[-1].name, 0, 0):
        raise NotDenseError(f"the way back from the output ends in {found[-1]}, not at the input")
    _check_rest(model, named)
    return tuple(reversed(found))


def _check_rest(model: Model, named: dict[str, LayerConfig]) -> None:
    """Raise NotDenseError for a layer beside the way that reads a tensor which is not there. Keras
    builds such layers too."""
    for layer in model.layers:
        for feed in (feed for call in layer.calls for feed in call.feeds):
            source = named.get(feed.layer)
            if source is None or not 0 <= feed.call < max(len(source.calls), 1):
                raise NotDenseError(f"{layer} reads {feed.layer!r}, which is not there")


def _named(model: Model) -> dict[str, LayerConfig]:
    """Layers by name."""
    return {layer.name: layer for layer in model.layers}


def classes_of(model: Model) -> int | None:
    """Units of the dense layer that ends the model, when nothing after it can change their
    number."""
    named = _named(model)
    layer = named.get(model.outputs[0].layer) if model.graph and model.outputs else None
    rest = list(model.layers)
    for _ in range(len(model.layers)):
        if not model.graph:
            layer = rest.pop()
        if layer is None:
            return None
        if layer.kind == "Dense":
            units = layer.settings.get("units", layer.settings.get("output_dim"))
            return units if isinstance(units, int) else None
        feeds = [feed for call in layer.calls for feed in call.feeds]
        if layer.kind not in _PASSING or (model.graph and len(feeds) != 1):
            return None
        layer = named.get(feeds[0].layer) if model.graph else None
    return None


def treats_apart(model: Model) -> bool:
    """Is the model known to treat the images of a batch apart?"""
    dims = dims_of(model)
    if dims is not None and len(dims) < 2:
        return False
    return all(_apart(layer) for layer in model.layers)


def _apart(layer: LayerConfig) -> bool:
    """Does one layer treat the images of a batch apart? Models in models are not looked into."""
    settings, axis = layer.settings, layer.settings.get("axis", -1)
    merges = layer.kind in _MERGING
    odd = any(call.odd and not (merges and call.listed) for call in layer.calls)
    if layer.kind in MODELS or odd:
        return False
    if settings.get("activation") not in _ROUNDED_ALIKE or settings.get("target_shape", [1]) == []:
        return False
    if layer.kind == "Rescaling":
        # Lists of numbers could lie along the batch.
        return all(isinstance(settings.get(name, 0), (int, float)) for name in ("scale", "offset"))
    if layer.kind in _ALONG:
        axes = axis if isinstance(axis, list) else [axis]
        return all(isinstance(n, int) and (n >= 1 or n == -1) for n in axes)
    return layer.kind in _APART
