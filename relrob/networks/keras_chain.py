"""Keras layers, one by one, onto a `Chain`: the settings and the weights of an MLP without importing Keras."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.network import Dense
from relrob.errors import NetworkError
from relrob.networks.chain import Chain, NotDenseError
from relrob.networks.keras_config import DENSE, IDENTITIES, LayerConfig, Model, is_chain

Weights = Callable[[LayerConfig], list[NDArray[Any]]]
_EPSILON = 1e-7  # keras.backend.epsilon(), which Normalization puts under its division


def build(model: Model, dims: tuple[int, ...], weights: Weights) -> tuple[Dense, bool]:
    """The MLP for one image of shape `dims`, and whether constants were folded into its weights.

    Raises NotDenseError when it is no MLP; NetworkError or ShapeError, with the layer's name and position, when it is a broken one.
    """
    for layer in model.layers:
        if layer.kind not in DENSE:
            raise NotDenseError(str(layer))
    if not is_chain(model):
        raise NotDenseError("layers with branches")
    chain = Chain(dims)
    for layer in model.layers:
        try:
            _float32(layer)
            _apply(chain, layer, weights)
        except NetworkError as error:
            raise type(error)(f"{layer}: {error}") from error
        except NotDenseError as error:
            raise NotDenseError(f"{layer}: {error}") from error
        except (TypeError, ValueError, KeyError) as error:
            raise NetworkError(
                f"{layer} has settings or weights that do not fit ({error})", "a model saved by Keras"
            ) from error
    return chain.finish(), chain.folded


def _float32(layer: LayerConfig) -> None:
    """Only plain float32 layers are MLPs here."""
    policy = layer.settings.get("dtype")
    name = policy.get("config", {}).get("name") if isinstance(policy, dict) else policy
    if name not in (None, "float32"):
        raise NotDenseError(f"type {name}")


def _apply(chain: Chain, layer: LayerConfig, weights: Weights) -> None:
    """One layer."""
    settings = layer.settings
    match layer.kind:
        case "Dense":
            _dense(chain, layer, weights(layer))
        case "Flatten":
            if settings.get("data_format") == "channels_first" and len(chain.shape) > 1:
                chain.transpose((*range(1, len(chain.shape)), 0))
            chain.reshape((-1,))
        case "Reshape":
            chain.reshape(tuple(int(n) for n in settings["target_shape"]))
        case "Permute":
            chain.transpose(tuple(int(n) - 1 for n in settings["dims"]))
        case "Activation":
            _activation(chain, settings["activation"])
        case "ReLU":
            if settings.get("max_value") is not None or settings.get("negative_slope") or settings.get("threshold"):
                raise NotDenseError("a capped, leaky or shifted ReLU")
            chain.relu()
        case "Softmax":
            if settings.get("axis", -1) not in (-1, 1, [-1], [1]):
                raise NotDenseError("a softmax over another axis")
            chain.softmax()
        case "Rescaling":
            chain.affine(np.asarray(settings["scale"], np.float64), np.asarray(settings.get("offset", 0.0), np.float64))
        case "Normalization":
            _normalise(chain, layer, weights)
        case "BatchNormalization":
            _batch_normalise(chain, layer, weights(layer))
        case kind if kind != "InputLayer" and kind not in IDENTITIES:
            raise NotDenseError(kind)


def _activation(chain: Chain, activation: Any) -> None:
    """linear, relu or softmax, however the file writes it."""
    name = activation.get("class_name", "").lower() if isinstance(activation, dict) else activation
    if isinstance(activation, dict) and activation.get("config"):
        raise NotDenseError(f"activation {json.dumps(activation)[:80]}")
    match name:
        case "relu":
            chain.relu()
        case "softmax":
            chain.softmax()
        case "linear" | None:
            return
        case _:
            raise NotDenseError(f"activation {name!r}")


def _dense(chain: Chain, layer: LayerConfig, arrays: list[NDArray[Any]]) -> None:
    """Kernel, bias where there is one, activation."""
    settings = layer.settings
    has_bias = bool(settings.get("use_bias", settings.get("bias", True)))
    if len(arrays) != 1 + has_bias:
        raise NetworkError(
            f"{len(arrays)} weight arrays", "a kernel and a bias" if has_bias else "a kernel", "save again"
        )
    kernel = arrays[0]
    units = settings.get("units", settings.get("output_dim"))
    if kernel.ndim != 2 or (units is not None and kernel.shape[1] != units):
        raise NetworkError(f"a kernel of shape {kernel.shape}", f"(inputs, {units})", "save again")
    chain.dense(kernel, arrays[1] if has_bias else np.zeros(kernel.shape[1], np.float32))
    _activation(chain, settings.get("activation"))


def _normalise(chain: Chain, layer: LayerConfig, weights: Weights) -> None:
    """(x - mean) / max(sqrt(variance), 1e-7), from the settings or, where it was adapted to data, from the weights."""
    settings = layer.settings
    mean, variance = settings.get("mean"), settings.get("variance")
    if mean is None or variance is None:
        mean, variance, *_ = weights(layer)
    axis = settings.get("axis", -1)
    last = axis in (-1, [-1], len(chain.shape), [len(chain.shape)])
    centre = np.asarray(mean, np.float64)
    spread = np.maximum(np.sqrt(np.asarray(variance, np.float64)), _EPSILON)
    if centre.size > 1 and (not last or centre.squeeze().ndim > 1):
        raise NotDenseError("a normalisation over another axis")
    if centre.size > 1:
        centre, spread = centre.reshape(-1), spread.reshape(-1)
    if settings.get("invert"):
        chain.affine(spread, centre)
    else:
        chain.affine(1 / spread, -centre / spread)


def _batch_normalise(chain: Chain, layer: LayerConfig, arrays: list[NDArray[Any]]) -> None:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the last axis."""
    settings = layer.settings
    if settings.get("axis", -1) not in (-1, [-1], len(chain.shape), [len(chain.shape)]):
        raise NotDenseError("a batch normalisation over another axis")
    rest = [array.astype(np.float64) for array in arrays]
    gamma: Any = rest.pop(0) if settings.get("scale", True) else 1.0
    beta: Any = rest.pop(0) if settings.get("center", True) else 0.0
    mean, variance = rest
    factor = gamma / np.sqrt(variance + float(settings.get("epsilon", 1e-3)))
    chain.affine(factor, beta - mean * factor)
