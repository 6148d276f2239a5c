"""One perturbation for all images: fitted once, kept, and added to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np

from relrob.attacks.attack import Attack
from relrob.attacks.goal import Goal
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, read_only
from relrob.domain.region import Norm
from relrob.errors import ShapeError


@runtime_checkable
class Universal(Attack, Protocol):
    """An attack that fits one perturbation on images; its `run` fits on the images and adds it."""

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The perturbation (d,) for flat images (n, d)."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Shift:
    """The attack that adds a perturbation `delta` (d,) that was fitted before, and asks the network
    nothing."""

    delta: Floats
    norm: Norm

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", read_only(np.asarray(self.delta, np.float32)))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """clip(x + delta, 0, 1). Raises ShapeError for images of another size."""
        if self.delta.shape != images.shape[1:]:
            raise ShapeError(f"a perturbation {self.delta.shape}", f"{images.shape[1:]}")
        return np.clip(images + self.delta, 0.0, 1.0)
