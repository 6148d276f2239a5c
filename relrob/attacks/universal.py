"""Universal attacks: one perturbation for all images, fitted once, kept, and added to other images
of other networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, read_only
from relrob.domain.region import Norm
from relrob.errors import ShapeError, UsageError


@dataclass(frozen=True, eq=False)
class Fitted:
    """A universal perturbation.

    `perturbation` (d,) float32, in raster order. `fooling`: the share of the images that it was
    fitted on which meet the goal with it, on the model. `converged`: did the fit end because that
    was enough? A fit that always spends all its passes has not. `passes`: over the images, 0 where
    nobody tells.

    Raises ShapeError where the perturbation is not flat, UsageError where it is not finite.
    """

    perturbation: Floats
    fooling: float
    converged: bool
    passes: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "perturbation", checked(self.perturbation))


@runtime_checkable
class Universal(Protocol):
    """An attack that fits one perturbation; its `run` adds it to the images that it was fitted
    on."""

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Fitted:
        """The perturbation for flat images (n, d) float32 in [0,1]."""
        ...


@dataclass(frozen=True, eq=False)
class Applied:
    """A kept perturbation (d,) as an attack on any network and images: x' = clip(x + it, 0, 1)."""

    perturbation: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "perturbation", checked(self.perturbation))

    @property
    def norm(self) -> Norm:
        """The largest change of a pixel."""
        return Norm.LINF

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """No query, no gradient. Raises ShapeError where the images have another size."""
        return added(images, self.perturbation)


def added(images: Floats, perturbation: Floats) -> Floats:
    """Images (n, d) with the perturbation (d,), clipped to [0,1]. Raises ShapeError.

    >>> added(np.array([[0.5, 1.0]], np.float32), np.array([0.25, 0.25], np.float32)).tolist()
    [[0.75, 1.0]]
    """
    if images.shape[1:] != perturbation.shape:
        raise ShapeError(
            f"a perturbation of {perturbation.size} pixels", f"{images.shape[1]}, as the images"
        )
    return np.asarray(np.clip(images + perturbation, 0.0, 1.0), np.float32)


def checked(perturbation: Floats) -> Floats:
    """It as a read-only float32 array. Raises ShapeError, UsageError."""
    flat = np.asarray(perturbation, np.float32)
    if flat.ndim != 1:
        raise ShapeError(f"a perturbation of shape {flat.shape}", "(pixels x channels,)")
    if not np.isfinite(flat).all():
        raise UsageError("a perturbation with NaN or infinity", "finite numbers")
    return read_only(flat)
