"""The weights of a Keras file, without importing Keras: dense layers and convolutions, with the
batch normalisations behind them folded in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.content import checked_bytes
from relrob.networks.keras import hdf5
from relrob.networks.keras.config import (
    MODELS,
    PRESERVING,
    LayerConfig,
    Model,
    parse,
)
from relrob.networks.keras.files import members
from relrob.networks.keras.layers import factor_and_shift
from relrob.networks.keras.shared import called_once
from relrob.networks.keras.weights import Held, held_by_class, held_by_position
from relrob.networks.lineage import Lineage
from relrob.networks.steps import Trail, exact, normalised
from relrob.networks.weighted import Affine, NotReadError, Weighted

_READ: Final = (
    *("Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "BatchNormalization"),
    "Normalization",
)
# Layers that hold weights which are not read.
_OTHER: Final = (
    *("Conv1D", "Conv3D", "DepthwiseConv1D", "SeparableConv1D", "Conv1DTranspose", "EinsumDense"),
    *("Conv2DTranspose", "LayerNormalization", "GroupNormalization", "MultiHeadAttention", "PReLU"),
    *("Sequential", "Functional", "Model"),
)
# Layers that multiply by constants and add constants.
_AFFINE: Final = ("Rescaling", "Normalization", "BatchNormalization")
_RECTIFIED: Final = ("relu", "relu6")
# hard_sigmoid(x) is relu6(x + 3) / 6: a converter makes these two steps as any other.
_HARD: Final = "hard_sigmoid"
_ADDED: Final = Affine(np.ones(1), np.full(1, 3.0))
_DIVIDED: Final = exact(Affine(np.full(1, 1 / 6), np.zeros(1)))
# Each of their outputs is of one channel. The converter leaves steps on the side where they are.
_POOLING: Final = (
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
)
# Functions that no converter moves a step through.
_ENDING: Final = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")


def read_weighted(network: Network) -> tuple[Weighted, ...]:
    """The layers in the order of the file's list. Raises NotReadError."""
    path, data = network.path, checked_bytes(network)
    if network.format == "keras":
        config, weights = members(path, data)
        with hdf5.opened(weights, path) as file:
            return _layers(parse(config, path), held_by_class, file, path)
    with hdf5.opened(data, path) as file:
        text = hdf5.text(file, "model_config")
        if text is None:
            raise NotReadError("it has no configuration")
        return _layers(parse(text, path), held_by_position, file, path)


def _layers(
    model: Model, matched: Callable[..., dict[str, Held]], file: Any, path: str
) -> tuple[Weighted, ...]:
    """The weights of a model."""
    for layer in model.layers:
        if layer.kind in _OTHER and not _moves(layer):
            raise NotReadError(f"the weights of {layer} are not read")
    try:
        held = matched(file, path, model.layers, _owns)
        found = {
            each.position: _arrays(held[each.name], path)
            for each in model.layers
            if each.name in held
        }
        apart = called_once(model)
        arrays = {
            each.name: found[each.position] for each in apart.layers if each.position in found
        }
        return _Walk(apart, arrays).layers()
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise NotReadError(f"its weights do not fit its layers ({error})") from error
    except NetworkError as error:
        raise NotReadError(str(error)) from error


def _moves(layer: LayerConfig) -> bool:
    """Does it pass on each value as it is? So does a model of such layers."""
    if layer.kind not in MODELS:
        return layer.kind in PRESERVING
    inner = layer.settings.get("layers") or [{}]
    return all(each.get("class_name") in PRESERVING for each in inner)


def _owns(layer: LayerConfig) -> bool:
    """Does Keras keep weights of the layer?"""
    adapted = layer.kind != "Normalization" or layer.settings.get("mean") is None
    return layer.kind in _READ and adapted


def _arrays(held: Held, path: str) -> Callable[[], list[Doubles]]:
    return lambda: [hdf5.values(item, path).astype(np.float64) for item in held()]


class _Walk:
    """The layers in the order of the file's list, with their depth."""

    def __init__(self, model: Model, arrays: dict[str, Callable[[], list[Doubles]]]) -> None:
        self._model, self._arrays = model, arrays
        self._depth: dict[str, int] = {}
        # The number of the layer with weights whose plain output a layer gives.
        self._owner: dict[str, int] = {}
        self._trail = Trail[str]()
        self._lineage = Lineage[str]()
        self._found: list[Weighted] = []
        self._readers: dict[str, int] = {}
        for layer in model.layers:
            for name in self._feeds(layer):
                self._readers[name] = self._readers.get(name, 0) + 1

    def layers(self) -> tuple[Weighted, ...]:
        """All layers with weights. Layers of a graph stand behind those that they read."""
        waiting = list(self._model.layers)
        while waiting:
            ready = [
                layer
                for layer in waiting
                if all(name in self._depth for name in self._feeds(layer))
            ]
            if not ready:
                raise NotReadError("its layers read each other in a circle")
            for layer in ready:
                self._visit(layer)
            waiting = [layer for layer in waiting if layer.name not in self._depth]
        return tuple(self._found)

    def _feeds(self, layer: LayerConfig) -> list[str]:
        """The layers that a layer reads."""
        if self._model.graph:
            return [feed.layer for call in layer.calls for feed in call.feeds]
        place = layer.position - 1
        return [self._model.layers[place - 1].name] if place else []

    def _visit(self, layer: LayerConfig) -> None:
        feeds = self._feeds(layer)
        depth = max((self._depth[name] for name in feeds), default=0)
        owner = self._owner.get(feeds[0]) if len(feeds) == 1 else None
        alone = len(feeds) == 1 and self._readers.get(feeds[0], 0) == 1
        if layer.kind in _KINDS:
            feeder, source = (owner if alone else None), feeds[0] if feeds else ""
            for made in _KINDS[layer.kind](layer, self._arrays[layer.name]()):
                depth += 1
                told = replace(made, label=str(layer), depth=depth, feeder=feeder)
                told = self._lineage.put_before(self._trail.put_before(told, source), [source])
                feeder, source = None, layer.name
                self._lineage.put_behind(len(self._found), told, source, activation=False)
                self._found.append(told)
            self._lineage.pass_on([source], [source], activation=_bends(layer))
            activation = layer.settings.get("activation")
            self._rectified(len(self._found) - 1, activation, layer.name)
            if activation == _HARD:
                self._trail.add(layer.name, layer.name, _DIVIDED)
        else:
            followed = alone and owner is not None
            if followed and owner is not None:
                self._follow(layer, owner)
            self._lineage.pass_on(feeds, [layer.name], activation=_bends(layer))
            self._step(layer, feeds, followed=followed)
        self._depth[layer.name] = depth

    def _step(self, layer: LayerConfig, feeds: list[str], *, followed: bool) -> None:
        """A layer that multiplies by constants, passes on what it is given, or does something else.
        Steps behind a layer with weights belong to that, which it has `followed`."""
        name = layer.name
        if not feeds or name in self._owner:
            return
        activation = layer.settings.get("activation")
        linear = layer.kind == "Activation" and activation in (None, "linear")
        if len(feeds) == 1 and (_moves(layer) or linear or _pools(layer)):
            self._trail.pass_on(feeds[0], name)
            return
        if layer.kind == "Activation" and activation == _HARD:
            if not followed:
                self._trail.add(feeds[0], name, exact(_ADDED))
            self._trail.end(feeds if followed else [name], name, sure=True)
            self._trail.add(name, name, _DIVIDED)
            return
        affine = layer.kind in _AFFINE
        made = self._constants(layer) if affine else None
        if made is not None:
            self._trail.add(feeds[0], name, exact(made))
        else:
            self._trail.end(feeds, name, sure=layer.kind in _ENDING, unread=affine)

    def _follow(self, layer: LayerConfig, owner: int) -> None:
        """A layer that reads the plain output of one with weights, and alone does."""
        if layer.kind in _AFFINE:
            self._end(layer, owner)
        elif layer.kind == "ReLU":
            self._rectified(owner, _rectifier(layer), layer.name)
        elif layer.kind == "Activation":
            self._rectified(owner, layer.settings.get("activation"), layer.name)
        elif _moves(layer):
            self._owner[layer.name] = owner

    def _end(self, layer: LayerConfig, owner: int) -> None:
        """A layer that multiplies and adds constants. A batch normalisation is always folded into
        what is nearest to it."""
        made, found = self._constants(layer, self._found[owner].kind), self._found[owner]
        if made is None or any(len(each) not in (1, found.shape[0]) for each in made):
            return
        self._found[owner] = _stepped(found, made, whole=layer.kind == "BatchNormalization")
        self._owner[layer.name] = owner

    def _constants(self, layer: LayerConfig, kind: str = "") -> Affine | None:
        """Those of a layer of `_AFFINE`, behind a layer of this kind or behind none."""
        arrays = self._arrays[layer.name]() if _owns(layer) else []
        return _affine(layer, arrays, _axis(layer) in ((-1, 1, 3) if kind == "dense" else (-1, 3)))

    def _rectified(self, owner: int, activation: Any, name: str) -> None:
        """Take in the activation of a layer."""
        if activation in (None, "linear"):
            self._owner[name] = owner
        elif activation in _RECTIFIED:
            self._found[owner] = replace(
                self._found[owner], relu=True, capped=activation == "relu6"
            )
        elif activation == _HARD:
            found = _stepped(self._found[owner], _ADDED, whole=True)
            self._found[owner] = replace(found, relu=True, capped=True)


def _stepped(layer: Weighted, made: Affine, *, whole: bool) -> Weighted:
    """A layer with a step on its outputs; `whole`: always in its weights and its bias, where no
    other step stands before it."""
    bare = layer if layer.bare is None else layer.bare
    behind = (*layer.behind, made)
    if whole and not layer.after:
        wide = (np.broadcast_to(each, layer.shape[:1]) for each in made)
        return replace(layer.folded_in(*wide), behind=behind, bare=bare)
    return replace(layer, after=(*layer.after, made), behind=behind, bare=bare)


def _rectifier(layer: LayerConfig) -> str:
    """The activation that a ReLU layer is, by its settings."""
    if layer.settings.get("negative_slope") or layer.settings.get("threshold"):
        return "leaky_relu"
    return "relu" if layer.settings.get("max_value") is None else "relu6"


def _bends(layer: LayerConfig) -> bool:
    """Is it an activation, or does it end with one?"""
    if layer.kind in _ENDING and layer.kind != "Activation":
        return True
    return layer.settings.get("activation") not in (None, "linear")


def _pools(layer: LayerConfig) -> bool:
    """Does it give the mean or the maximum of places in one channel, channels last?"""
    return layer.kind in _POOLING and layer.settings.get("data_format") != "channels_first"


def _dense(layer: LayerConfig, arrays: list[Doubles]) -> list[Weighted]:
    """Kernel (in, out)."""
    kernel, *rest = arrays
    return [_made("dense", kernel.T, rest)]


def _conv(layer: LayerConfig, arrays: list[Doubles]) -> list[Weighted]:
    """Kernel (height, width, channels, out)."""
    kernel, *rest = arrays
    if layer.settings.get("data_format") == "channels_first" and kernel.ndim != 4:
        raise NotReadError(f"{layer} has a kernel of shape {kernel.shape}")
    return [_made("conv", kernel.transpose(3, 0, 1, 2), rest, _padded(layer))]


def _depthwise(layer: LayerConfig, arrays: list[Doubles]) -> list[Weighted]:
    """Kernel (height, width, channels, multiplier)."""
    kernel, *rest = arrays
    height, width, channels, multiplier = kernel.shape
    turned = kernel.reshape(height, width, channels * multiplier, 1).transpose(2, 0, 1, 3)
    return [_made("depthwise", turned, rest, _padded(layer))]


def _separable(layer: LayerConfig, arrays: list[Doubles]) -> list[Weighted]:
    """A depthwise convolution without bias, and one of 1x1."""
    return [*_depthwise(layer, arrays[:1]), *_conv(layer, arrays[1:])]


_KINDS: Final = {
    "Dense": _dense,
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
}


def _padded(layer: LayerConfig) -> bool:
    return bool(layer.settings.get("padding", "valid") != "valid")


def _made(kind: str, weights: Doubles, rest: list[Doubles], padded: bool = False) -> Weighted:
    flat = weights.reshape(len(weights), -1)
    bias = rest[0] if rest else None
    return Weighted(
        *("", kind, flat, weights.shape[1:], "float32", 0),
        bias=bias,
        padded=padded and max(weights.shape[1:3]) > 1,
    )


def _axis(layer: LayerConfig) -> Any:
    """The axis of a normalisation, None for none or for several."""
    axis = layer.settings.get("axis", -1)
    if isinstance(axis, list):
        return axis[0] if len(axis) == 1 else None
    return axis


def _affine(layer: LayerConfig, arrays: list[Doubles], last: bool) -> Affine | None:
    """Factor and shift of a layer of `_AFFINE`, whose axis is the last or not; None where they are
    several and not along it."""
    settings = layer.settings
    if layer.kind == "Rescaling":
        return Affine(_flat(settings["scale"]), _flat(settings.get("offset", 0.0)))
    if layer.kind == "BatchNormalization":
        return _normalisation(layer, arrays) if last else None
    mean, variance = arrays[:2] if arrays else (settings["mean"], settings["variance"])
    mean, variance = _flat(mean), _flat(variance)
    if len(mean) > 1 and not last:
        return None
    return Affine(*factor_and_shift(mean, variance, settings.get("invert", False)))


def _flat(values: Any) -> Doubles:
    return np.asarray(values, np.float64).reshape(-1)


def _normalisation(layer: LayerConfig, arrays: list[Doubles]) -> Affine:
    """Factor and shift of a batch normalisation."""
    rest = list(arrays)
    gamma = rest.pop(0) if layer.settings.get("scale", True) else None
    beta = rest.pop(0) if layer.settings.get("center", True) else None
    mean, variance = rest
    epsilon = float(layer.settings.get("epsilon", 1e-3))
    gamma = np.ones_like(mean) if gamma is None else gamma
    beta = np.zeros_like(mean) if beta is None else beta
    return normalised(gamma, beta, mean, variance, epsilon)
