"""Compression while a network is trained: what a training and its loop ask of a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray


class CompressionMethod(Protocol):
    """A method of compression in training as it was asked for, known without Keras."""

    @property
    def text(self) -> str:
        """The method with all its parameters, such as "dorefa:2"."""
        ...

    def compression(self) -> Compression:
        """A new object for one training. Imports Keras. Raises UsageError."""
        ...


class Compression(Protocol):
    """A method that trains a compressed network. One object serves one training.

    A float master copy of the weights is trained. The forward pass computes with their compressed
    form, which becomes the weights of the file at the end (`baked`).
    """

    @property
    def text(self) -> str:
        """The method with all its parameters, such as "dorefa:2"."""
        ...

    @property
    def closes_units(self) -> bool:
        """Does a unit of ResNet20 end in a batch normalisation and a ReLU of its own?"""
        ...

    @property
    def every_step(self) -> bool:
        """Is `after_step` to be called?"""
        ...

    def prepared(self, model: Any) -> Any:
        """The model to train: `model`, whose layers are built, with quantised activations. Called
        once, before the optimiser is built; the weights that `model` has are kept."""
        ...

    def trained(self, model: Any) -> list[Any]:
        """The variables for the optimiser, in a fixed order: the model's and the method's own."""
        ...

    def rates(self) -> Mapping[str, tuple[float, float]]:
        """For variables whose path ends in a key: the factor of their learning rate, and their L2
        decay."""
        ...

    def logits(self, model: Any, images: Any, training: bool) -> Any:
        """The forward pass with compressed weights, for the step and for validation. Called inside
        `tf.function` and the tape; gradients reach the master copy straight through."""
        ...

    def shown(self, model: Any, images: Any) -> None:
        """Clean validation images as the model reads them, once, before the first epoch."""
        ...

    def after_step(self, model: Any, number: int) -> None:
        """After each step of the optimiser, `number` 1, 2, ... over the whole training."""
        ...

    def after_epoch(self, model: Any, epoch: int) -> None:
        """After each epoch, before its validation; `epoch` 0 before the first."""
        ...

    def baked(self, model: Any) -> None:
        """At the end: the compressed weights become the model's own."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the method remembers beside the variables of `trained`, to resume from."""
        ...

    def restore(self, model: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such a state, on a model with the weights of that time."""
        ...
