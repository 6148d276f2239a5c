"""One compiled step of training, and the validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from relrob.domain.arrays import Floats, Ints
from relrob.training.augment import augmented, mixed
from relrob.training.compression import Compression
from relrob.training.recipes import ALL, CONVOLUTIONS, KERNELS, NONE, Recipe
from relrob.training.scaling import Scaling

# Images in one pass of validation.
CHUNK: Final = 500


@dataclass(frozen=True)
class Learner:
    """A model with all that a step needs of it.

    `variables`: those that are trained. `compression`: None for plain training. `neutral`: the
    pixels of what cutout takes away.
    """

    model: Any
    recipe: Recipe
    scaling: Scaling
    neutral: tuple[float, ...]
    compression: Compression | None

    @property
    def variables(self) -> list[Any]:
        """The variables for the optimiser, in a fixed order."""
        if self.compression is not None:
            return self.compression.trained(self.model)
        found: list[Any] = self.model.trainable_variables
        return found

    def kept(self) -> list[Any]:
        """All variables that a training changes, each once: what a state holds."""
        every = [*self.model.variables, *self.variables]
        return list({id(variable): variable for variable in every}.values())

    def logits(self, pixels: Any, training: bool) -> Any:
        """Logits (n, classes) of scaled pixels."""
        if self.compression is not None:
            return self.compression.logits(self.model, pixels, training)
        return self.model(pixels, training=training)


def optimiser_of(recipe: Recipe, steps: int) -> Any:
    """The optimiser of a recipe of so many steps in all, at the rate of its first epoch."""
    rate: Any = recipe.rate(0)
    if recipe.optimiser == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    if recipe.optimiser == "rmsprop-momentum":
        return keras.optimizers.RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1.0)
    if recipe.optimiser in ("sgd", "momentum"):
        return keras.optimizers.SGD(rate, momentum=0.9 if recipe.optimiser == "momentum" else 0.0)
    if recipe.optimiser == "adam-cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.Adam(rate)


def step_of(
    learner: Learner, data: tuple[Any, Ints], optimiser: Any, batch: int, seed: int
) -> Callable[[Any, Any], Any]:
    """One compiled step of the optimiser: (int32 indices of a batch of images, int32 number of the
    step) -> the loss without decay. The whole training set stays in memory."""
    variables = learner.variables
    factors, decays = _rates(learner, variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = tf.constant(data[0]), tf.constant(data[1])
    words = learner.recipe.augment

    def step(chosen: Any, number: Any) -> Any:
        pixels, right = learner.scaling.apply(tf.gather(images, chosen)), tf.gather(labels, chosen)
        drawn = tf.stack([tf.constant(seed, tf.int32), number])
        pixels = augmented(pixels, words, drawn, learner.neutral)
        pixels, other, share = (
            mixed(pixels, right, drawn) if "mixup" in words else (pixels, right, 1)
        )
        with tf.GradientTape() as tape:
            logits = learner.logits(pixels, True)
            loss: Any = loss_of(right, logits)
            if "mixup" in words:
                beside: Any = loss_of(other, logits)
                loss = share * loss + (1.0 - share) * beside
            total = loss
            for variable, decay in decays:
                total += decay * tf.nn.l2_loss(variable)
        gradients: Any = tape.gradient(total, variables)
        for number_of, factor in factors:
            gradients[number_of] *= factor
        optimiser.apply(gradients, variables)
        return loss

    signature = [tf.TensorSpec((batch,), tf.int32), tf.TensorSpec((), tf.int32)]
    compiled: Callable[[Any, Any], Any] = tf.function(
        step, input_signature=signature
    ).get_concrete_function()
    return compiled


def _rates(
    learner: Learner, variables: list[Any]
) -> tuple[list[tuple[int, float]], list[tuple[Any, float]]]:
    """Factors of gradients by the variable's number, and the weight decay of variables, as the
    recipe and the compression have them."""
    factors, decays = [], []
    own = learner.compression.rates() if learner.compression is not None else {}
    for number, variable in enumerate(variables):
        ending = next((each for each in own if variable.path.endswith(each)), None)
        if ending is not None:
            factor, decay = own[ending]
            factors += [(number, factor)] if factor != 1 else []
        else:
            decay = learner.recipe.decay if decayed(variable, learner.recipe.decayed) else 0.0
        decays += [(variable, decay)] if decay else []
    return factors, decays


def decayed(variable: Any, which: str) -> bool:
    """Does a recipe that decays `which` weights decay this variable?"""
    path: str = variable.path
    kernel = path.endswith("/kernel")
    if which == CONVOLUTIONS:
        return kernel and len(variable.shape) == 4
    if which in (NONE, ALL, KERNELS):
        return which == ALL or (which == KERNELS and kernel)
    return path == f"{which}/kernel" or path.endswith(f"/{which}/kernel")


def validation_of(learner: Learner, images: Any, labels: Ints) -> Callable[[], tuple[float, float]]:
    """A function that gives mean cross-entropy and accuracy on these images, in float64."""
    signature = [tf.TensorSpec((None, *images.shape[1:]), images.dtype)]
    compiled = tf.function(
        lambda stored: learner.logits(learner.scaling.apply(stored), False),
        input_signature=signature,
    ).get_concrete_function()

    def measured() -> tuple[float, float]:
        parts = [
            compiled(tf.constant(images[at : at + CHUNK])).numpy()
            for at in range(0, len(images), CHUNK)
        ]
        return score(np.concatenate(parts), labels)

    return measured


def score(logits: Floats, labels: Ints) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of logits (n, classes)."""
    wide = logits.astype(np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    losses = np.log(np.exp(wide).sum(axis=1)) - wide[rows, labels]
    return float(losses.mean()), float((logits.argmax(axis=1) == labels).mean())
