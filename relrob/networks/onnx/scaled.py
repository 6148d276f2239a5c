"""The factors of a Gemm: alpha before the weights, beta before the bias."""

from __future__ import annotations

from dataclasses import replace

from relrob.networks.weighted import NotReadError, Weighted


def times(layer: Weighted, alpha: float) -> Weighted:
    """The layer with its weights multiplied by alpha, and with their scales. Raises NotReadError
    for integers and an alpha that is not above 0, for which no scale stands."""
    if alpha == 1.0:
        return layer
    stored = layer.stored
    if stored is not None:
        if alpha <= 0:
            raise NotReadError(f"a Gemm of integers with alpha {alpha:g}")
        stored = replace(stored, scales=stored.scales * alpha)
    return replace(layer, values=layer.values * alpha, stored=stored)


def biased_times(layer: Weighted, beta: float) -> Weighted:
    """The layer with its bias multiplied by beta."""
    if beta == 1.0 or layer.bias is None:
        return layer
    steps = None if layer.bias_steps is None else layer.bias_steps * abs(beta)
    return replace(layer, bias=layer.bias * beta, bias_steps=steps)
