"""Gradients of a float MLP from its weights, through the ReLUs that are open."""

from __future__ import annotations

from typing import Final, final

import numpy as np

from relrob.attacks.victim import Seeds
from relrob.domain.arrays import Bools, Floats
from relrob.domain.network import Dense

# Images in one pass.
_CHUNK: Final = 4096


@final
class DenseGradients:
    """The model of `Gradients` that an MLP is. `exact`: are these the weights of the network's own
    file?"""

    def __init__(self, dense: Dense, exact: bool = True, name: str = "weights") -> None:
        self._weights = [np.asarray(layer.weights, np.float32) for layer in dense.layers]
        self._biases = [np.asarray(layer.bias, np.float32) for layer in dense.layers]
        self._relu = [layer.relu for layer in dense.layers]
        self._exact, self._name = exact, name

    @property
    def classes(self) -> int:
        """Number of logits."""
        return int(self._biases[-1].shape[0])

    @property
    def exact(self) -> bool:
        """Are these the file's own weights?"""
        return self._exact

    @property
    def name(self) -> str:
        """The words of a report."""
        return self._name

    def logits(self, images: Floats) -> Floats:
        """Logits (n, classes) of flat images (n, d)."""
        parts = [self._forward(images[at : at + _CHUNK])[0] for at in _starts(images)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)

    def pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        """(logits (n, classes), gradients (n, d)); a ReLU at 0 exactly is closed."""
        parts = [self._pulled(images[at : at + _CHUNK], seeds) for at in _starts(images)]
        if not parts:
            return np.zeros((0, self.classes), np.float32), np.zeros_like(images)
        logits, gradients = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(gradients)

    def _forward(self, images: Floats) -> tuple[Floats, list[Bools | None]]:
        """(logits, for each layer which outputs a ReLU let through)."""
        values, gates = images, []
        for weights, bias, relu in zip(self._weights, self._biases, self._relu, strict=True):
            values = values @ weights + bias
            gates.append(values > 0 if relu else None)
            values = np.maximum(values, np.float32(0)) if relu else values
        return values, gates

    def _pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        logits, gates = self._forward(images)
        flow = np.asarray(seeds(logits), np.float32)
        for weights, gate in zip(reversed(self._weights), reversed(gates), strict=True):
            flow = (flow if gate is None else flow * gate) @ weights.T
        return logits, flow


def _starts(images: Floats) -> range:
    return range(0, len(images), _CHUNK)
