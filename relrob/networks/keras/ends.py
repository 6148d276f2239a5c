"""The two ends of a Keras model: the range that a first layer scales, and the meaning of a single
output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from relrob.domain.contract import InputContract
from relrob.networks.inputs import read_factor
from relrob.networks.keras.config import PRESERVING, LayerConfig, Model
from relrob.networks.keras.wiring import input_of

_MOVING: Final = PRESERVING | {"Permute"}


def reads_of(model: Model) -> tuple[InputContract, str] | None:
    """The contract that a first Rescaling or Normalization says, None where none does."""
    for layer in _from_input(model):
        if layer.kind in ("Rescaling", "Normalization"):
            factor = _factor(layer)
            return None if factor is None else read_factor(factor, str(layer))
        if layer.kind not in _MOVING:
            return None
    return None


def head_of(model: Model) -> str:
    """The meaning of the one output of the last layer, "" where that is not known."""
    last = _last(model)
    if last is None or last.kind not in ("Dense", "Activation"):
        return ""
    activation = last.settings.get("activation")
    if activation == "sigmoid":
        return "probability"
    return "logit" if last.kind == "Dense" and activation in (None, "linear") else ""


def _last(model: Model) -> LayerConfig | None:
    if not model.graph:
        return model.layers[-1] if model.layers else None
    names = {layer.name: layer for layer in model.layers}
    return names.get(model.outputs[0].layer) if model.outputs else None


def _from_input(model: Model) -> Iterator[LayerConfig]:
    """The layers behind the input, one after the other, as long as one layer reads each."""
    if not model.graph:
        yield from model.layers
        return
    here, seen = input_of(model), set[str]()
    while here is not None and here.name not in seen:
        seen.add(here.name)
        yield here
        readers = [
            layer
            for layer in model.layers
            if any(feed.layer == here.name for call in layer.calls for feed in call.feeds)
        ]
        here = readers[0] if len(readers) == 1 else None


def _factor(layer: LayerConfig) -> float | None:
    """The one factor of a layer that scales; None of several, or where it is a weight."""
    try:
        if layer.kind == "Rescaling":
            return _one(layer.settings["scale"])
        variance = layer.settings.get("variance")
        if variance is None or layer.settings.get("invert", False):
            return None
        spread = _one(variance)
        return None if spread is None or spread <= 0 else float(spread**-0.5)
    except (TypeError, ValueError, KeyError, OverflowError):
        return None


def _one(value: Any) -> float | None:
    """The number that all of some numbers are."""
    numbers = np.asarray(value, np.float64).reshape(-1)
    return float(numbers[0]) if len(numbers) and bool((numbers == numbers[0]).all()) else None
