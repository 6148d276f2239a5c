"""Gradients of a chain of flat products with roundings between, in NumPy: a quantised MLP, with
straight-through gradients."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np

from relrob.attacks.pixels import Pixels
from relrob.attacks.victim import Seeds
from relrob.domain.arrays import Bools, Floats
from relrob.domain.network import Network
from relrob.networks.flow import Affine, Clip, Flow, Product, Rounded, RowRounded, Shaped

_CHUNK: Final = 4096
# The share of a code by which a value may miss the ends and keep its gradient: roundings.
SLACK: Final = 0.01
# Which values a gradient passes on its way back; None: all.
Gate = Bools | None


@final
class ChainGradients:
    """A flow that is a `chain` as the model of a network."""

    def __init__(self, network: Network, flow: Flow, name: str) -> None:
        self._pixels, self._flow = Pixels(network), flow
        self._classes, self._name, self._head = network.classes, name, bool(network.head)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self._classes

    @property
    def exact(self) -> bool:
        """Is no activation rounded?"""
        return not self._flow.rounds

    @property
    def name(self) -> str:
        """The words of a report."""
        return self._name

    def logits(self, images: Floats) -> Floats:
        """Logits (n, classes) of flat images (n, d)."""
        found = np.empty((len(images), self.classes), np.float32)
        for at in range(0, len(images), _CHUNK):
            found[at : at + _CHUNK] = self._forward(images[at : at + _CHUNK])[0]
        return found

    def pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        """(logits (n, classes), gradients (n, d))."""
        found = np.empty((len(images), self.classes), np.float32)
        gradients = np.empty(images.shape, np.float32)
        for at in range(0, len(images), _CHUNK):
            rows = slice(at, at + _CHUNK)
            found[rows], gates = self._forward(images[rows])
            gradients[rows] = self._back(np.asarray(seeds(found[rows]), np.float32), gates)
        return found, gradients

    def _forward(self, images: Floats) -> tuple[Floats, list[Gate]]:
        values: Any = self._pixels.values(images)
        gates: list[Gate] = []
        for step in self._flow.steps:
            gate: Gate = None
            match step:
                case Product():
                    values = values @ step.weights + step.bias
                case Affine():
                    values = values * step.factor.ravel() + step.shift.ravel()
                case Clip():
                    gate = (values > step.least) & (values < step.most)
                    values = np.clip(values, np.float32(step.least), np.float32(step.most))
                case Rounded():
                    values, gate = _rounded(values, step)
                case RowRounded():
                    values = _by_rows(values, step.symmetric)
                case Shaped():
                    pass
                case _:
                    raise TypeError(f"no chain: {type(step).__name__}")
            gates.append(gate)
        if self._head:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        return values, gates

    def _back(self, flow: Floats, gates: list[Gate]) -> Floats:
        flow = flow[:, 1:] if self._head else flow
        for step, gate in zip(reversed(self._flow.steps), reversed(gates), strict=True):
            if gate is not None:
                flow = flow * gate
            elif isinstance(step, Product):
                flow = flow @ step.weights.T
            elif isinstance(step, Affine):
                flow = flow * step.factor.ravel()
        return self._pixels.back(flow)


def _rounded(values: Floats, step: Rounded) -> tuple[Floats, Gate]:
    """(values on the grid of the codes, which of them lie within its ends); halves go up."""
    codes = step.codes
    exact = values / np.float32(codes.scale) + np.float32(codes.zero)
    inside = None if step.end else _inside(exact, codes.least, codes.most)
    kept = np.floor(exact + np.float32(0.5)).clip(np.float32(codes.least), np.float32(codes.most))
    return (kept - np.float32(codes.zero)) * np.float32(codes.scale), inside


def _inside(places: Floats, least: int, most: int) -> Bools:
    """Which places lie within the ends of the codes, before they are rounded?"""
    return np.asarray((places >= least - SLACK) & (places <= most + SLACK))


def _by_rows(values: Floats, symmetric: bool) -> Floats:
    """Each row on a grid of its own."""
    if symmetric:
        scales = np.abs(values).max(axis=1, keepdims=True) / 127
        scales = np.maximum(scales, np.float32(1e-30))
        return np.asarray(np.rint(values / scales) * scales)
    least = np.minimum(values.min(axis=1, keepdims=True), 0)
    scales = np.maximum((values.max(axis=1, keepdims=True).clip(0) - least) / 255, 1e-30)
    zeros = np.rint(-128 - least / scales)
    places = np.clip(np.rint(values / scales) + zeros, -128, 127)
    return np.asarray((places - zeros) * scales, np.float32)
