"""Keras layers, one by one, onto a `OperatorChain`: the settings and the weights of an MLP without
importing Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles
from relrob.domain.network import Dense
from relrob.errors import NetworkError
from relrob.networks.feed import Entry
from relrob.networks.keras.config import DENSE, LayerConfig, Model
from relrob.networks.keras.settings import check_settings
from relrob.networks.keras.wiring import path_of
from relrob.networks.operators import NotDenseError, OperatorChain

Shapes = tuple[tuple[int, ...], ...]
# (layer, the shapes that its settings give its weights) -> the weights. Raises NetworkError where
# the file has others.
Weights = Callable[[LayerConfig, Shapes], list[NDArray[Any]]]
# All layers that hold weights, in Keras's order, with how many -> their weights.
Matched = Callable[[tuple[LayerConfig, ...]], Weights]
# keras.backend.epsilon(), the least divisor of Normalization.
_EPSILON: Final = 1e-7
_RANKS: Final = {"SpatialDropout1D": 2, "SpatialDropout2D": 3}


def build(
    model: Model, dims: tuple[int, ...], matched: Matched, entry: Entry = ()
) -> tuple[Dense, bool]:
    """The MLP for one image of shape `dims`, and whether constants were folded into its weights.

    Raises NotDenseError when it is no MLP or holds anything that is not modelled; NetworkError or
    ShapeError, with the layer's name and position, when it is a broken one.
    """
    for layer in model.layers:
        if layer.kind not in DENSE:
            raise NotDenseError(str(layer))
    layers = path_of(model)
    for layer in layers:
        _in(layer, check_settings)
    weights, chain = matched(layers), OperatorChain(dims, entry)
    for layer in layers:
        _in(layer, lambda here: _apply(chain, here, weights))
    return chain.finish(), chain.folded


def _in(layer: LayerConfig, step: Callable[[LayerConfig], None]) -> None:
    """A step whose errors name the layer."""
    try:
        step(layer)
    except NetworkError as error:
        raise type(error)(f"{layer}: {error}") from error
    except NotDenseError as error:
        raise NotDenseError(f"{layer}: {error}") from error
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise NetworkError(
            f"{layer} has settings or weights that do not fit ({error})", "a model saved by Keras"
        ) from error


def _apply(chain: OperatorChain, layer: LayerConfig, weights: Weights) -> None:
    """One layer."""
    settings = layer.settings
    if layer.built is not None and tuple(layer.built[1:]) != chain.shape:
        raise NotDenseError(f"built for inputs of {layer.built[1:]}")
    match layer.kind:
        case "Dense":
            _dense(chain, layer, weights)
        case "Flatten":
            if settings.get("data_format") == "channels_first" and len(chain.shape) > 1:
                chain.transpose((*range(1, len(chain.shape)), 0))
            chain.reshape((-1,))
        case "Reshape":
            chain.reshape(tuple(settings["target_shape"]))
        case "Permute":
            chain.transpose(tuple(n - 1 for n in settings["dims"]))
        case "Activation":
            _activation(chain, settings["activation"])
        case "ReLU":
            chain.relu()
        case "Softmax":
            if settings.get("axis", -1) not in (-1, 1, [-1], [1]):
                raise NotDenseError("a softmax over another axis")
            chain.softmax()
        case "Rescaling":
            offset = _single(settings.get("offset", 0.0))
            chain.affine(_single(settings["scale"]), offset, size=np.abs(offset))
        case "Normalization":
            _normalise(chain, layer, weights)
        case "BatchNormalization":
            _batch_normalise(chain, layer, weights)
        case kind if len(chain.shape) != _RANKS.get(kind, len(chain.shape)):
            raise NotDenseError(f"a value of {len(chain.shape)} dimensions")


def _activation(chain: OperatorChain, name: str | None) -> None:
    """linear, relu, softmax or sigmoid."""
    match name:
        case "relu":
            chain.relu()
        case "softmax":
            if chain.shape == (1,):
                raise NotDenseError("a softmax of one value")
            chain.softmax()
        case "sigmoid":
            chain.sigmoid()


def has_weights(layer: LayerConfig) -> bool:
    """Does Keras keep weights of the layer? A normalisation whose constants are settings has
    none."""
    adapted = layer.settings.get("mean") is None
    return layer.kind in ("Dense", "BatchNormalization") or (
        layer.kind == "Normalization" and adapted
    )


def _dense(chain: OperatorChain, layer: LayerConfig, weights: Weights) -> None:
    """Kernel, bias where there is one, activation."""
    settings = layer.settings
    has_bias = settings.get("use_bias", settings.get("bias", True))
    units = settings.get("units", settings.get("output_dim"))
    if units is None:
        raise NetworkError("no number of units", "a model saved by Keras")
    shapes: Shapes = ((chain.shape[-1] if chain.shape else 1, units), (units,))
    kernel, *rest = weights(layer, shapes[: 1 + has_bias])
    chain.dense(kernel, rest[0] if has_bias else np.zeros(kernel.shape[1], np.float32))
    _activation(chain, settings.get("activation"))


def _single(value: Any) -> NDArray[np.float64]:
    """Constants as Keras holds them, in float32, widened."""
    with np.errstate(over="ignore"):
        return np.asarray(value, np.float32).astype(np.float64)


def _kept(chain: OperatorChain, axis: Any) -> list[int]:
    """The axes that keep constants of their own, counted with the batch, in order."""
    if axis == []:
        raise NotDenseError("an empty list of axes, which Keras reads in two ways")
    rank = len(chain.shape) + 1
    given = [] if axis is None else axis if isinstance(axis, list) else [axis]
    axes = sorted(n % rank for n in given)
    if 0 in axes or len(set(axes)) != len(axes) or not all(-rank <= n < rank for n in given):
        raise NotDenseError(f"constants along the axes {axis} of {rank}")
    return axes


def _normalise(chain: OperatorChain, layer: LayerConfig, weights: Weights) -> None:
    """The constants are settings or, in a layer that was adapted to data, weights."""
    settings = layer.settings
    axes = _kept(chain, settings.get("axis", -1))
    held: list[Any] = [settings.get("mean"), settings.get("variance")]
    if (held[0] is None) != (held[1] is None) or np.shape(held[0]) != np.shape(held[1]):
        raise NotDenseError("a mean and a variance of different shapes")
    if held[0] is None:
        shape = tuple(chain.shape[n - 1] for n in axes)
        held = list(weights(layer, (shape, shape, ()))[:2])
    mean, variance = (_spread(_single(value), axes, chain.shape) for value in held)
    if not (variance >= 0).all():
        raise NotDenseError("a variance below 0")
    factor, shift = factor_and_shift(mean, variance, settings.get("invert", False))
    chain.affine(factor, shift, size=np.abs(shift))


def factor_and_shift(mean: Doubles, variance: Doubles, invert: bool) -> tuple[Doubles, Doubles]:
    """Those of a Normalization, which gives (x - mean) / spread, inverted x * spread + mean. The
    spread is max(sqrt(variance), 1e-7), rounded to float32 as Keras does."""
    spread = np.maximum(_single(np.sqrt(_single(variance))), np.float32(_EPSILON))
    return (spread, mean) if invert else (1 / spread, -mean / spread)


def _spread(
    values: NDArray[np.float64], axes: list[int], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Constants along `axes` of a value of `shape`, aligned with the last of them."""
    if values.ndim > len(axes):
        raise NotDenseError(f"constants of {values.ndim} dimensions along {len(axes)} axes")
    wide = [1] * len(shape)
    for place in range(1, values.ndim + 1):
        wide[axes[-place] - 1] = values.shape[-place]
    return np.broadcast_to(
        values.reshape(wide), [shape[n] if n + 1 in axes else 1 for n in range(len(shape))]
    )


def _batch_normalise(chain: OperatorChain, layer: LayerConfig, weights: Weights) -> None:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, along one axis."""
    settings = layer.settings
    axes = _kept(chain, settings.get("axis", -1))
    shape = (chain.shape[axes[0] - 1],)
    scaled, centred = settings.get("scale", True), settings.get("center", True)
    rest = [
        _spread(_single(values), axes, chain.shape)
        for values in weights(layer, (shape,) * (2 + scaled + centred))
    ]
    gamma = rest.pop(0) if scaled else np.ones(1)
    beta = rest.pop(0) if centred else np.zeros(1)
    mean, variance = rest
    total = variance + float(settings.get("epsilon", 1e-3))
    if not (total > 0).all():
        raise NotDenseError("a variance of 0 or below")
    factor = gamma / np.sqrt(total)
    chain.affine(factor, beta - mean * factor, size=np.abs(beta) + np.abs(mean * factor))
