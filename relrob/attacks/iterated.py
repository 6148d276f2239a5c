"""Iterated gradient steps: IFGSM along signs and IFGM along raw gradients (Zhao et al. 2018,
Algorithm 1; Kurakin et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import among, positive, whole
from relrob.attacks.projection import Around
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats
from relrob.domain.region import Norm

CLIP_REFS: Final = ("previous", "clean", "none")
# Pixels in one unit of eps: a pixel itself, or a model's value where it reads pixels as [-1, 1].
_UNITS: Final = {"pixel": 1.0, "model": 0.5}


@dataclass(frozen=True)
class Ifgsm:
    """X' = Clip(X + eps sign(dJ/dX)), then clipped to [0,1]; J the cross-entropy.

    `eps`: step and clip radius. `clip_ref`: the clip is around the `previous` iterate, as Zhao et
    al. write (no more than the step itself, so that `none` gives the same), or around the `clean`
    image (Kurakin et al.). `eps_space`: eps in `pixel` units, or in those of a `model` that reads
    pixels as [-1, 1], which are half a pixel's. An image that is broken is not left alone.
    """

    eps: float = 0.02
    steps: int = 12
    clip_ref: str = "previous"
    eps_space: str = "pixel"
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        _check(self.eps, self.steps, self.clip_ref, self.eps_space)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """`steps` passes an image."""
        return _iterated(self, victim, images, goal, np.sign)


@dataclass(frozen=True)
class Ifgm:
    """X' = Clip(X + eps dJ/dX), then clipped to [0,1]; J the cross-entropy of the image itself,
    never a mean over a batch.

    Parameters as for IFGSM. With `eps_space` model the gradient is by the model's value, too. The
    move grows with the loss, and fades where a network is sure.
    """

    eps: float = 10.0
    steps: int = 5
    clip_ref: str = "previous"
    eps_space: str = "pixel"
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        _check(self.eps, self.steps, self.clip_ref, self.eps_space)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """`steps` passes an image."""
        # By the chain rule, a gradient by model values is `unit` times the one by pixels. The
        # units are powers of 2, so that nothing is rounded.
        unit = np.float32(_UNITS[self.eps_space])
        return _iterated(self, victim, images, goal, lambda slopes: unit * slopes)


def _check(eps: float, steps: int, clip_ref: str, eps_space: str) -> None:
    positive("eps", eps)
    whole("steps", steps)
    among("clip_ref", clip_ref, CLIP_REFS)
    among("eps_space", eps_space, tuple(_UNITS))


def _iterated(
    attack: Ifgsm | Ifgm,
    victim: Victim,
    images: Floats,
    goal: Goal,
    direction: Callable[[Floats], Floats],
) -> Floats:
    """The images after all steps, each of eps times the `direction` of the gradients (n, d)."""
    here, radius = images, attack.eps * _UNITS[attack.eps_space]
    for _ in range(attack.steps):
        moves = np.float32(radius) * direction(_slopes(victim, here, goal))
        here = _clipped(here, moves, images, radius, attack.clip_ref)
    return here


def _slopes(victim: Victim, images: Floats, goal: Goal) -> Floats:
    """The gradient of each image's own loss, (n, d)."""
    rows = np.arange(len(images))
    seeds, _ = seeds_of(cross_entropy(goal), rows)
    return victim.pulled(images, rows, seeds)[1]


def _clipped(here: Floats, moves: Floats, images: Floats, radius: float, clip_ref: str) -> Floats:
    """The images behind the moves, clipped around `clip_ref` and to [0,1]."""
    if clip_ref == "clean":
        return Around(images, radius, Norm.LINF).nearest(here + moves)
    if clip_ref == "previous":
        moves = np.clip(moves, np.float32(-radius), np.float32(radius))
    return np.asarray(np.clip(here + moves, np.float32(0), np.float32(1)))
