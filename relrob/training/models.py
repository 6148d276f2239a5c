"""Keras models of an architecture, one to train and one to save."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from relrob.training.architectures import Architecture
from relrob.training.layouts import mlp, plain_nets, residual
from relrob.training.recipes import Recipe

_Built = Callable[[tuple[int, ...], int, int, float, float], Any]
_BUILT: Final[MappingProxyType[str, _Built]] = MappingProxyType(
    {
        "lenet5": plain_nets.lenet5,
        "mnist-a": plain_nets.mnist_a,
        "cifarnet": plain_nets.cifarnet,
        "resnet18": residual.resnet18,
    }
)


def models(
    architecture: Architecture,
    recipe: Recipe,
    shape: tuple[int, ...],
    classes: int,
    seed: int,
    apart: bool = False,
    closed: bool = False,
) -> tuple[Any, Any]:
    """The model that is trained and the one that is saved. They share their layers.

    `apart`: each ReLU is a layer of its own, as it always is in networks of convolutions. `closed`:
    of the units of ResNet20, which alone have it.
    """
    width, momentum = recipe.width, recipe.statistics
    if architecture.hidden and not apart:
        return mlp.fused(architecture, shape, classes, seed)
    if architecture.hidden:
        model = mlp.apart(architecture, shape, classes, seed)
    elif architecture.name == "resnet20":
        model = residual.resnet20(shape, classes, seed, width, momentum, closed)
    else:
        model = _BUILT[architecture.name](shape, classes, seed, width, momentum)
    return model, model
