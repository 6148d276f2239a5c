"""Masks while a network is trained: one-shot pruning, dynamic surgery and soft filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relrob.compress.graph import Graph
from relrob.compress.in_training.straight import replaced
from relrob.compress.pruning.filters import kept_filters
from relrob.compress.pruning.magnitude import kept, thresholds
from relrob.compress.pruning.surgery import Surgery, rate_of, running_threshold, updated
from relrob.domain.arrays import Bools
from relrob.errors import QuantiseError

State = dict[str, NDArray[Any]]


@final
@dataclass(frozen=True, eq=False)
class Masks:
    """A mask of 0 and 1 for each kernel, as variables that a compiled step reads."""

    held: dict[str, Any] = field(default_factory=dict)

    def made(self, layers: Sequence[Any]) -> list[Any]:
        """Make masks of ones, where there are none yet. No variable of theirs is trained."""
        for layer in layers:
            if layer.name not in self.held:
                ones = np.ones(layer.kernel.shape, np.float32)
                self.held[layer.name] = tf.Variable(tf.constant(ones), trainable=False)
        return []

    def put(self, name: str, mask: NDArray[Any]) -> None:
        """Change one mask."""
        self.held[name].assign(mask.astype(np.float32))

    def state(self) -> State:
        """All masks, for the disk."""
        return {f"mask_{name}": mask.numpy() > 0 for name, mask in self.held.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the masks of such a state."""
        for name in self.held:
            self.put(name, state[f"mask_{name}"])


def untouched(layers: Sequence[Any], number: int) -> None:
    """After a step or an epoch at which nothing changes."""


Choose = Callable[[list[NDArray[Any]]], list[Bools]]


def largest(density: float) -> Choose:
    """Of each kernel the share `density` of its weights that are largest: Han et al. 2015."""

    def choose(kernels: list[NDArray[Any]]) -> list[Bools]:
        levels = thresholds(kernels, density)
        return [kept(*pair) for pair in zip(kernels, levels, strict=True)]

    return choose


@final
@dataclass(frozen=True, eq=False)
class OneShot:
    """The weights of each kernel that `choose` takes before the first epoch stay. The others stay
    0: they have no gradient."""

    choose: Choose
    masks: Masks = field(default_factory=Masks)

    def after_epoch(self, layers: Sequence[Any], epoch: int) -> None:
        """Choose before the first epoch."""
        if epoch == 0:
            chosen = self.choose([layer.kernel.numpy() for layer in layers])
            for layer, mask in zip(layers, chosen, strict=True):
                self.masks.put(layer.name, mask)

    def forward(self, layer: str, kind: str, value: Any) -> Any:
        """The masked kernel; its gradient is masked too."""
        return value * self.masks.held[layer] if kind == "kernel" else value


@final
@dataclass(frozen=True, eq=False)
class Operated:
    """Dynamic network surgery (Guo et al. 2016) that starts at the share `density` of each kernel.

    `gradients` "full": those of masked weights reach all weights, so that pruned ones come back,
    and masks change at steps of falling frequency, with the first threshold. "masked", as in the
    tool of Zhao et al. 2018: pruned weights have none, and masks change after each epoch, with a
    threshold that moves with the weights.
    """

    density: float
    gradients: str
    plan: Surgery = field(default_factory=Surgery)
    masks: Masks = field(default_factory=Masks)
    levels: dict[str, float] = field(default_factory=dict)

    def after_epoch(self, layers: Sequence[Any], epoch: int) -> None:
        """The first masks; with masked gradients, each epoch's."""
        for layer in layers if epoch == 0 or self.gradients == "masked" else ():
            array = layer.kernel.numpy()
            if epoch == 0:
                rate = rate_of(array, self.density)
                self.levels[layer.name] = (
                    rate if self.gradients == "masked" else running_threshold(array, rate)
                )
            self._change(layer, array)

    def after_step(self, layers: Sequence[Any], number: int) -> None:
        """Change the masks, with the probability of the step. The draw depends on its number
        alone."""
        draw = float(np.random.default_rng([number, 0x5]).random())
        if self.gradients == "full" and draw < self.plan.probability(number):
            for layer in layers:
                self._change(layer, layer.kernel.numpy())

    def forward(self, layer: str, kind: str, value: Any) -> Any:
        """The masked kernel."""
        if kind != "kernel":
            return value
        masked = value * self.masks.held[layer]
        return masked if self.gradients == "masked" else replaced(value, masked)

    def state(self) -> State:
        """Masks and thresholds."""
        levels = {f"level_{name}": np.array(level) for name, level in self.levels.items()}
        return {**self.masks.state(), **levels}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take masks and thresholds of such a state."""
        self.masks.restore(state)
        found = {name: state.get(f"level_{name}") for name in self.masks.held}
        self.levels.update({name: float(each) for name, each in found.items() if each is not None})

    def _change(self, layer: Any, array: NDArray[Any]) -> None:
        level = self.levels[layer.name]
        least = running_threshold(array, level) if self.gradients == "masked" else level
        mask = self.masks.held[layer.name].numpy() > 0
        self.masks.put(layer.name, updated(mask, array, least))


@final
@dataclass(frozen=True)
class SoftFilters:
    """Soft filter pruning (He et al. 2018): after each epoch, and before the first, the filters of
    least norm become 0 and train on; the share `keep` stays. Convolutions of 1x1 are left alone."""

    keep: float

    def after_epoch(self, layers: Sequence[Any], epoch: int) -> None:
        """Set filters to 0."""
        for layer in layers:
            array = layer.kernel.numpy()
            layer.kernel.assign(array * kept_filters(array, self.keep))


def filtered(graph: Graph) -> list[str]:
    """The convolutions whose filters are pruned: all but those of 1x1. Raises QuantiseError where
    there is none."""
    found = [
        layer.name
        for layer in graph.kernels
        if type(layer).__name__ == "Conv2D" and tuple(layer.kernel_size) != (1, 1)
    ]
    if not found:
        raise QuantiseError("soft filter pruning of a model without filters", "convolutions")
    return found
