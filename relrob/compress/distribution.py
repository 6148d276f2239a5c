"""The values of a Keras network: all its weights, and its activations on some images, as cumulative
distributions on one grid. Zhao et al. 2018, Figure 6. Imports Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from relrob.domain.arrays import Doubles, Floats
from relrob.networks.keras.own_layers import LAYERS
from relrob.system.quiet import quiet_native

# The grid of all networks: every multiple of 1/64 from -4 to 4.
GRID: Final = np.arange(-256, 257) / 64.0
_WEIGHTED: Final = ("Conv2D", "Dense", "DepthwiseConv2D")


def distributions(path: Path, images: Floats) -> dict[str, Doubles]:
    """All values, flat: the "weights" of kernels, and "activations", the outputs of ReLUs and of
    layers that quantise these, on images (n, H, W, C)."""
    model = _model(path)
    kernels = _kernels(model)
    tensors = [layer.output for layer in model.layers if _activates(layer)]
    # One layer may be read by many: its last form counts, the quantised one.
    with quiet_native():
        found = keras.Model(model.inputs, tensors)([images], training=False) if tensors else []
    several = found if isinstance(found, list) else [found]
    outputs = [np.asarray(each, np.float64).ravel() for each in several]
    return {
        "weights": np.concatenate(kernels) if kernels else np.zeros(0),
        "activations": np.concatenate(outputs) if outputs else np.zeros(0),
    }


def _model(path: Path) -> Any:
    return keras.saving.load_model(path, custom_objects=LAYERS, compile=False, safe_mode=True)


def counted(path: Path) -> dict[str, float]:
    """`parameters`: numbers that are trained; `density`: the share of weights of kernels, all but
    biases and normalisations, that are not 0."""
    model = _model(path)
    weights = np.concatenate(_kernels(model))
    count = sum(int(np.prod(each.shape)) for each in model.trainable_weights)
    return {"parameters": count, "density": round(float((weights != 0).mean()), 6)}


def _kernels(model: Any) -> list[Doubles]:
    """The kernels of a model, flat."""
    return [
        np.asarray(layer.get_weights()[0], np.float64).ravel()
        for layer in model.layers
        if type(layer).__name__ in _WEIGHTED
    ]


def _activates(layer: Any) -> bool:
    """Is it a ReLU, or a layer that quantises, whose output no other such layer replaces?"""
    return _is_activation(layer) and not any(
        _quantises(node.operation) for node in layer._outbound_nodes
    )


def _is_activation(layer: Any) -> bool:
    relu = getattr(layer, "activation", None) is keras.activations.relu
    return relu or type(layer).__name__ == "ReLU" or _quantises(layer)


def _quantises(layer: Any) -> bool:
    return type(layer).__name__ in ("FixedPoint", "DoReFa", "APoT")


def cumulative(values: Doubles) -> Doubles:
    """The share of values at most each point of `GRID`.

    >>> float(cumulative(np.array([-1.0, 0.0, 0.0, 2.0]))[256])
    0.75
    """
    ordered = np.sort(values)
    return np.searchsorted(ordered, GRID, side="right") / max(len(ordered), 1)


def figures(values: Doubles) -> dict[str, float | None]:
    """`zero`: the share of exact zeros; `cdf_0`: of values at most 0; `largest`: the largest
    magnitude; `saturated`: the share of values at it. None for no values."""
    if not len(values):
        return dict.fromkeys(("zero", "cdf_0", "largest", "saturated"))
    size = np.abs(values)
    return {
        "zero": float((values == 0).mean()),
        "cdf_0": float((values <= 0).mean()),
        "largest": float(size.max()),
        "saturated": float((size == size.max()).mean()),
    }
