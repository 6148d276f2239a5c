"""The loop of training: epochs, validation, and the state between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relrob.domain.arrays import Ints
from relrob.domain.events import Event, Listener
from relrob.errors import TrainingError
from relrob.training.state import Arrays, Best, Named, State, StateFile
from relrob.training.step import Learner, optimiser_of, step_of, validation_of

# Number of batches between two events.
EVERY: Final = 20
# The most validation images that a method of compression is shown.
SHOWN: Final = 1000


def fit(
    learner: Learner,
    data: tuple[Any, Ints],
    held: tuple[Any, Ints],
    seed: int,
    file: StateFile,
    listener: Listener,
) -> None:
    """Train the model of `learner` on `data`; `held` images measure progress. It goes on from the
    state in `file` where there is one. Raises StoreError, TrainingError."""
    recipe, count = learner.recipe, len(data[0])
    batch = min(recipe.batch, count)
    steps = recipe.steps or count // batch
    total = recipe.epochs * steps
    optimiser = optimiser_of(recipe, total)
    optimiser.build(learner.variables)
    variables = [*learner.kept(), *optimiser.variables]
    rng = np.random.default_rng(seed)
    state = _resumed(learner, file.read(), variables, rng)
    best = state.best if state is not None else Best()
    first = state.epoch if state is not None else 0
    if first:
        note = f"the training goes on after epoch {first} of {recipe.epochs} ({file.path})"
        listener(Event("note", note))
    elif learner.compression is not None:
        learner.compression.shown(learner.model, learner.scaling.apply(held[0][:SHOWN]))
        learner.compression.after_epoch(learner.model, 0)
    # They are traced now, when the compression is as the first step needs it.
    step = step_of(learner, data, optimiser, batch, seed)
    validation = validation_of(learner, *held)
    for epoch in range(first, recipe.epochs):
        if recipe.optimiser != "adam-cosine":
            optimiser.learning_rate = recipe.rate(epoch)
        order = _order(rng, count, steps, batch)
        loss = _epoch(learner, step, order, (epoch * steps, total), listener)
        if learner.compression is not None:
            learner.compression.after_epoch(learner.model, epoch + 1)
        measured, accuracy = validation()
        if not np.isfinite(loss) or not np.isfinite(measured):
            raise TrainingError(
                f"the loss is {loss} after epoch {epoch + 1}", "a finite loss", "another --seed"
            )
        best = _better(learner, best, measured, epoch + 1)
        ended = recipe.patience is not None and epoch + 1 - best.epoch >= recipe.patience
        done = recipe.epochs if ended else epoch + 1
        file.write(_state(learner, done, rng, variables, best))
        text = f"epoch {epoch + 1}/{recipe.epochs}: loss {loss:.4f}, validation accuracy "
        listener(Event("train", f"{text}{accuracy:.4f}", done * steps, total))
        if ended:
            break
    if best.epoch:
        _assign(learner, learner.kept(), best.variables, best.own)
        note = f"kept: epoch {best.epoch}, of validation loss {best.loss:.4f}"
        listener(Event("note", note))


def _better(learner: Learner, best: Best, measured: float, epoch: int) -> Best:
    """The best epoch so far, where the recipe keeps it."""
    if learner.recipe.keep != "best" or measured >= best.loss:
        return best
    arrays = [variable.numpy() for variable in learner.kept()]
    return Best(measured, epoch, arrays, _own(learner))


def _state(
    learner: Learner, epoch: int, rng: np.random.Generator, variables: list[Any], best: Best
) -> State:
    """All that the next epoch needs."""
    arrays = [variable.numpy() for variable in variables]
    return State(epoch, json.dumps(rng.bit_generator.state), arrays, _own(learner), best)


def _own(learner: Learner) -> Named:
    """What the compression remembers beside variables."""
    return learner.compression.state() if learner.compression is not None else {}


def _resumed(
    learner: Learner, state: State | None, variables: list[Any], rng: np.random.Generator
) -> State | None:
    """Bring model, optimiser, generator and compression to the state."""
    if state is None:
        return None
    _assign(learner, variables, state.variables, state.own)
    rng.bit_generator.state = json.loads(state.generator)
    return state


def _assign(learner: Learner, variables: list[Any], arrays: Arrays, own: Named) -> None:
    """Give variables and compression the values of another time."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    if learner.compression is not None:
        learner.compression.restore(learner.model, own)


def _order(rng: np.random.Generator, count: int, steps: int, batch: int) -> NDArray[np.int32]:
    """Indices (steps, batch): as many passes over the images as they need, each in an order of its
    own."""
    passes = -(-steps * batch // count)
    drawn = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return drawn[: steps * batch].astype(np.int32).reshape(steps, batch)


def _epoch(
    learner: Learner,
    step: Callable[[Any, Any], Any],
    order: NDArray[np.int32],
    progress: tuple[int, int],
    listener: Listener,
) -> float:
    """The mean loss of an epoch; an event every few batches. `progress`: steps done, and in all."""
    loss, (done, total) = 0.0, progress
    each = learner.compression if learner.compression is not None else None
    for number, chosen in enumerate(order, start=1):
        loss += float(step(tf.constant(chosen), tf.constant(done + number, tf.int32)))
        if each is not None and each.every_step:
            each.after_step(learner.model, done + number)
        if number % EVERY == 0 and number < len(order):
            listener(Event("train", "", done + number, total))
    return loss / len(order)
