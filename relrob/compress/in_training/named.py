"""A method of compression in training from its text, as what a training loop calls. The import
takes seconds (Keras)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from numpy.typing import NDArray

from relrob.compress.graph import Graph, plain_graph, rewired
from relrob.compress.in_training.masked_units import MaskedUnits
from relrob.compress.in_training.masks import (
    Choose,
    Masks,
    OneShot,
    Operated,
    SoftFilters,
    filtered,
    largest,
    untouched,
)
from relrob.compress.in_training.parse import method_of
from relrob.compress.in_training.weight_levels import (
    APOT_RATES,
    DoReFaLevels,
    GridLevels,
    PowerLevels,
)
from relrob.training.compression import Compression

State = dict[str, NDArray[Any]]
Layers = Mapping[str, Any]
# (layer's name, "kernel" or "bias", tensor) -> its compressed form.
Forward = Callable[[str, str, Any], Any]


class Memory(Protocol):
    """All that a method remembers beside variables."""

    def state(self) -> State:
        """For the disk."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take such a state."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A method put together from its parts, as `Compression` has them.

    `forward`: the compressed form of a value of a layer. `insertions`: the layers to put (before,
    behind) named layers of a graph. `own`: makes and gives its variables. `chosen`: the layers
    whose kernels change after steps and epochs, by `step` and `epoch`.
    """

    text: str
    forward: Forward
    insertions: Callable[[Graph], tuple[Layers, Layers]] = lambda graph: ({}, {})
    own: Callable[[Sequence[Any]], list[Any]] = lambda layers: []
    chosen: Callable[[Graph], list[str]] = lambda graph: [each.name for each in graph.kernels]
    step: Callable[[Sequence[Any], int], None] | None = None
    epoch: Callable[[Sequence[Any], int], None] = untouched
    memory: Memory | None = None
    look: Callable[[Any, Any], None] = lambda model, images: None
    factors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    closes_units: bool = False
    _names: list[str] = field(default_factory=list)

    @property
    def every_step(self) -> bool:
        """Does anything change after a step?"""
        return self.step is not None

    def prepared(self, model: Any) -> Any:
        """A copy of the model, with layers put in. Raises QuantiseError."""
        graph = Graph(plain_graph(model))
        self._names[:] = self.chosen(graph)
        made = rewired(graph.model, *self.insertions(graph))
        self.own(self._layers(made))
        return made

    def trained(self, model: Any) -> list[Any]:
        """The model's variables, then the method's."""
        return [*model.trainable_variables, *self.own(self._layers(model))]

    def rates(self) -> Mapping[str, tuple[float, float]]:
        """As in `Compression`."""
        return self.factors

    def logits(self, model: Any, images: Any, training: bool) -> Any:
        """The forward pass with compressed weights in place of the variables."""
        fixed = model.non_trainable_variables
        found, moved = model.stateless_call(
            self._compressed(model), fixed, images, training=training
        )
        for variable, value in zip(fixed, moved, strict=True) if training else ():
            variable.assign(value)
        return found

    def shown(self, model: Any, images: Any) -> None:
        """As in `Compression`."""
        self.look(model, images)

    def after_step(self, model: Any, number: int) -> None:
        """As in `Compression`."""
        if self.step is not None:
            self.step(self._layers(model), number)

    def after_epoch(self, model: Any, epoch: int) -> None:
        """As in `Compression`."""
        self.epoch(self._layers(model), epoch)

    def baked(self, model: Any) -> None:
        """The compressed weights become the model's own."""
        values = [value.numpy() for value in self._compressed(model)]
        for variable, value in zip(model.trainable_variables, values, strict=True):
            variable.assign(value)

    def state(self) -> State:
        """As in `Compression`."""
        return {} if self.memory is None else self.memory.state()

    def restore(self, model: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """As in `Compression`."""
        if self.memory is not None:
            self.memory.restore(state)

    def _layers(self, model: Any) -> list[Any]:
        return [model.get_layer(name) for name in self._names]

    def _compressed(self, model: Any) -> list[Any]:
        """The values of the model's trainable variables, compressed where they belong to a chosen
        layer."""
        owners = {
            variable.path: (layer.name, "kernel" if variable is layer.kernel else "bias")
            for layer in self._layers(model)
            for variable in layer.trainable_variables
        }
        return [
            self.forward(*owners[variable.path], variable.value)
            if variable.path in owners
            else variable.value
            for variable in model.trainable_variables
        ]


def named(text: str) -> Compression:
    """The method, for one training. Raises UsageError."""
    method = method_of(text)
    if method.kind == "dorefa":
        uniform = DoReFaLevels(method.bits)
        return Trained(method.text, uniform.forward, uniform.insertions, closes_units=True)
    if method.kind == "apot":
        powers = PowerLevels(method.bits)
        return Trained(
            method.text, powers.forward, powers.insertions, powers.own, factors=APOT_RATES
        )
    if method.form is not None:
        grid = GridLevels(method.form)
        return Trained(method.text, grid.forward, grid.insertions)
    if method.kind == "sfp":
        return softened(method.text, method.share)
    if method.kind == "magnitude":
        return once(method.text, largest(method.share))
    if method.kind == "pp":
        units = MaskedUnits(method.block, method.share, method.granularity)
        return Trained(method.text, plain, units.insertions, look=units.look)
    return operated(method.text, method.share, method.gradients)


def softened(text: str, keep: float) -> Trained:
    """Soft filter pruning that keeps a share of filters."""
    return Trained(text, plain, chosen=filtered, epoch=SoftFilters(keep).after_epoch)


def once(text: str, choose: Choose) -> Trained:
    """Weights that are chosen before the first epoch."""
    masks = Masks()
    shot = OneShot(choose, masks)
    return Trained(text, shot.forward, own=masks.made, epoch=shot.after_epoch, memory=masks)


def operated(text: str, density: float, gradients: str) -> Trained:
    """Dynamic network surgery."""
    masks = Masks()
    surgeon = Operated(density, gradients, masks=masks)
    return Trained(
        text,
        surgeon.forward,
        own=masks.made,
        step=surgeon.after_step if gradients == "full" else None,
        epoch=surgeon.after_epoch,
        memory=surgeon,
    )


def plain(layer: str, kind: str, value: Any) -> Any:
    """Weights as they are."""
    return value
