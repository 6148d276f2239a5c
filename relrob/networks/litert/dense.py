"""FULLY_CONNECTED as one of four kinds of layer: int8, dynamic range, float32, float16 weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.networks.litert.flat import NotModelledError, Operator, Tensor
from relrob.networks.litert.layers import DynamicFull, FloatFull, Grid, Int8Full
from relrob.networks.litert.options import RELU
from relrob.networks.litert.scales import check_scales, weight_scales

Full = Int8Full | DynamicFull | FloatFull


def dense_layer(
    operator: Operator,
    tensors: Sequence[Tensor | None],
    width: int,
    given: Grid | None,
    out: Grid | None,
) -> Full:
    """The layer over `width` values an image.

    `tensors`: weights and bias, None for an absent bias. Raises NotModelledError.
    """
    stored = tensors[0] if tensors else None
    if stored is None or len(tensors) > 2:
        raise NotModelledError(f"{operator.name} has {1 + len(tensors)} inputs")
    weights = _weights(operator, stored, width)
    kind = np.dtype(np.float32 if given is None else np.int32)
    bias = _bias(operator, tensors[1] if len(tensors) == 2 else None, weights.shape[1], kind)
    relu = operator.options["fusedActivationFunction"] == RELU
    asymmetric = bool(operator.options["asymmetricQuantizeInputs"])
    if weights.dtype == np.float32 and given is None and out is None and not asymmetric:
        return FloatFull(weights, bias, relu)
    if weights.dtype != np.int8:
        raise NotModelledError(f"{operator.name} has {weights.dtype} weights between other types")
    scales = weight_scales(stored, weights.shape[1], turned=given is None)
    if given is None and out is None:
        return DynamicFull(
            weights,
            bias,
            scales,
            relu,
            asymmetric,
            turned=stored.dimension == 1 and len(scales) > 1,
        )
    if given is None or out is None or given.least != -128 or out.least != -128 or asymmetric:
        raise NotModelledError(f"{operator.name} goes from one type to another")
    return Int8Full(weights, bias, scales, relu, given, out)


def _weights(operator: Operator, stored: Tensor, width: int) -> NDArray[Any]:
    """Weights (n_in, n_out), int8 or float32."""
    if not stored.constant:
        raise NotModelledError(f"{operator.name} has weights that are computed")
    if stored.type not in ("INT8", "FLOAT32", "FLOAT16"):
        raise NotModelledError(f"{operator.name} has {stored.type.lower()} weights")
    if len(stored.shape) != 2 or min(stored.shape) < 1:
        raise NotModelledError(f"{operator.name} has weights of shape {stored.shape}")
    if stored.shape[1] != width:
        raise NotModelledError(
            f"{operator.name} reads {stored.shape[1]} of {width} values: several rows an image"
        )
    if stored.type != "INT8" and (stored.scales is not None or stored.zeros is not None):
        raise NotModelledError(f"{operator.name} has float weights with scales")
    values = stored.values().T
    return values if stored.type == "INT8" else _finite(operator, values.astype(np.float32))


def _bias(
    operator: Operator, stored: Tensor | None, outputs: int, kind: np.dtype[Any]
) -> NDArray[Any]:
    """The bias (n_out,). An int32 one is added to the sum as it is, whatever its own scale."""
    if stored is None:
        return np.zeros(outputs, kind)
    if not stored.constant or stored.shape != (outputs,):
        raise NotModelledError(
            f"{operator.name} has a bias of shape {stored.shape}, or a computed one"
        )
    if stored.type not in (("FLOAT32", "FLOAT16") if kind == np.float32 else ("INT32",)):
        raise NotModelledError(f"{operator.name} has a {stored.type.lower()} bias")
    if stored.zeros is not None and stored.zeros.any():
        raise NotModelledError(f"{operator.name} has a bias with a zero point")
    if stored.scales is not None:
        check_scales(f"tensor {stored.number}", stored.scales)
    values = stored.values()
    return values if kind == np.int32 else _finite(operator, values.astype(np.float32))


def _finite(operator: Operator, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float constants without NaN and infinities."""
    if not np.isfinite(values).all():
        raise NotModelledError(f"{operator.name} has NaN or infinite constants")
    return values
