"""A victim as ART sees it: an estimator, and the global random generators that ART draws from."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints

__all__ = ["Estimator", "by_gradients", "evasion", "seeded"]

with warnings.catch_warnings():
    # ART misses PyTorch, aloud.
    warnings.simplefilter("ignore")
    from art.attacks import evasion
    from art.estimators.classification import ClassGradientsMixin, ClassifierMixin
    from art.estimators.estimator import BaseEstimator, LossGradientsMixin, NeuralNetworkMixin


def by_gradients(art: Any) -> bool:
    """Does an attack of ART ask its estimator for gradients?"""
    needs = art._estimator_requirements
    return ClassGradientsMixin in needs or LossGradientsMixin in needs


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """The global generators, seeded; as they were before, afterwards."""
    held, held_too = random.getstate(), np.random.get_state()
    random.seed(int(rng.integers(2**32)))
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        random.setstate(held)
        np.random.set_state(held_too)


@final
class Estimator(
    ClassGradientsMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    LossGradientsMixin,  # type: ignore[misc]
    NeuralNetworkMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """A victim as ART sees it, for the attacked images `rows`."""

    def __init__(self, victim: Victim, rows: Ints, by_gradients: bool) -> None:
        super().__init__(channels_first=False, model=None, clip_values=(0.0, 1.0))
        self.nb_classes = victim.classes
        self._victim, self._rows, self._by_gradients = victim, rows, by_gradients

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self._victim.image_shape

    def shaped(self, images: Floats) -> Floats:
        """(m, H, W, C)."""
        return images.reshape(-1, *self.input_shape)

    def predict(self, x: Any, batch_size: int = 128, **options: Any) -> Floats:
        """Logits of the model, or outputs of the runtime."""
        flat = self._flat(x)
        if self._by_gradients:
            return self._victim.logits(flat, self._counted(flat))
        return self._victim.outputs(flat, self._counted(flat))

    def loss_gradient(self, x: Any, y: Any, **options: Any) -> Floats:
        """Of the cross-entropy of labels (m,) or their unit vectors (m, classes)."""
        flat = self._flat(x)
        labels = np.asarray(y).argmax(axis=1) if np.ndim(y) == 2 else np.asarray(y)
        seeds, _ = seeds_of(cross_entropy(Goal(labels)), np.arange(len(flat)))
        return self.shaped(self._victim.pulled(flat, self._counted(flat), seeds)[1])

    def class_gradient(self, x: Any, label: Any = None, **options: Any) -> Floats:
        """Of all logits, of one, or of one an image: (m, 1 or classes, H, W, C)."""
        flat = self._flat(x)
        chosen = np.arange(self.nb_classes)[None] if label is None else np.reshape(label, (-1, 1))
        classes = np.broadcast_to(chosen, (len(flat), chosen.shape[1])).astype(np.int64)
        _, gradients = self._victim.jacobian(flat, self._counted(flat), classes)
        return gradients.reshape(*classes.shape, *self.input_shape)

    def fit(self, x: Any, y: Any, *args: Any, **options: Any) -> None:
        """Not this one."""
        raise NotImplementedError

    def get_activations(self, *args: Any, **options: Any) -> Any:
        """Not of this one."""
        raise NotImplementedError

    def _flat(self, images: Any) -> Floats:
        return np.asarray(images, np.float32).reshape(len(images), -1)

    def _counted(self, flat: Floats) -> Ints:
        """ART does not say which candidate belongs to which image of its batch."""
        counted: Ints = self._rows[np.arange(len(flat)) % len(self._rows)]
        return counted
