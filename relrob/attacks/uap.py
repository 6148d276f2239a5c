"""Universal adversarial perturbations from an inner attack (Moosavi-Dezfooli et al. 2017, algorithm
1), as ART fits them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from relrob.attacks.deepfool import DeepFool
from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import positive, whole, within
from relrob.attacks.projection import inward
from relrob.attacks.universal import Fitted, added
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels

# From perturbed images (m, d), which may lie outside [0,1], and their rows to proposals (m, d).
Inner = Callable[[Floats, Ints], Floats]

# The most images that are tried ahead with one perturbation.
_AHEAD: Final = 256


@dataclass(frozen=True)
class Uap:
    """The inner attack is one FGSM step of `eps`.

    v = 0; in each pass, for each image in random order that v does not move to another label, a is
    the inner attack's proposal from x + v, and v = a - x clipped to [-`xi`, `xi`] where a is wrong.
    Passes end when the share 1 - `delta` of the images is fooled, or after `passes`: an adversarial
    accuracy below `delta` says no more than that.
    """

    eps: float = 0.1
    xi: float = 0.6
    delta: float = 0.2
    passes: int = 10
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        positive("eps", self.eps, most=1)
        _checked(self.xi, self.delta, self.passes)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The images with the perturbation that is fitted on them."""
        return added(images, self.fit(victim, images, goal, rng).perturbation)

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Fitted:
        """Sequential: the perturbation depends on the order of the images, which `rng` draws."""

        def inner(at: Floats, rows: Ints) -> Floats:
            seeds, _ = seeds_of(cross_entropy(goal), rows)
            _, gradients = victim.pulled(at, rows, seeds)
            moved = np.clip(at + np.float32(self.eps) * np.sign(gradients), 0.0, 1.0)
            return at + np.clip(moved - at, -self.eps, self.eps).astype(np.float32)

        return _fitted(victim, images, goal, rng, inner, (self.xi, self.delta, self.passes))


@dataclass(frozen=True)
class UapDeepFool:
    """The same with DeepFool's proposals, `steps` and `overshoot` as there."""

    steps: int = 10
    overshoot: float = 0.02
    xi: float = 0.6
    delta: float = 0.2
    passes: int = 10
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        self._inner()
        _checked(self.xi, self.delta, self.passes)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The images with the perturbation that is fitted on them."""
        return added(images, self.fit(victim, images, goal, rng).perturbation)

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Fitted:
        """Sequential, as for `Uap`."""
        inner = self._inner()

        def proposed(at: Floats, rows: Ints) -> Floats:
            return inner.moved(victim, at, goal, rows)

        return _fitted(victim, images, goal, rng, proposed, (self.xi, self.delta, self.passes))

    def _inner(self) -> DeepFool:
        return DeepFool(self.steps, self.overshoot)


def _checked(xi: float, delta: float, passes: int) -> None:
    positive("xi", xi, most=1)
    within("delta", delta, 0, 1)
    whole("passes", passes)


def _fitted(
    victim: Victim,
    images: Floats,
    goal: Goal,
    rng: np.random.Generator,
    inner: Inner,
    limits: tuple[float, float, int],
) -> Fitted:
    most, delta, passes = inward(limits[0]), *limits[1:]
    noise = np.zeros(images.shape[1], np.float32)
    fooled, done = 0.0, 0
    everyone = np.arange(len(images))
    while fooled < 1 - delta and done < passes:
        order, at, ahead = rng.permutation(len(images)), 0, 1
        while at < len(order):
            rows = order[at : at + ahead]
            changed, new = _first_change(victim, images, goal, noise, inner, rows)
            if new is None:
                at, ahead = at + len(rows), min(2 * ahead, _AHEAD)
            else:
                noise = np.clip(new - images[rows[changed]], -most, most).astype(np.float32)
                at, ahead = at + changed + 1, max(1, (changed + 1) // 2)
        done += 1
        found = labels(victim.logits(added(images, noise), everyone))
        fooled = float(goal.reached(found).mean()) if len(images) else 1.0
    return Fitted(noise, fooled, fooled >= 1 - delta, done)


def _first_change(
    victim: Victim, images: Floats, goal: Goal, noise: Floats, inner: Inner, rows: Ints
) -> tuple[int, Floats | None]:
    """(which of the images `rows` is the first that changes the perturbation, its proposal (d,)),
    or (0, None). All are tried with the same perturbation, which is the right one up to that
    image."""
    tried = images[rows] + noise
    still = np.flatnonzero(~goal.reached(labels(victim.logits(tried, rows)), rows))
    if not len(still):
        return 0, None
    proposed = inner(tried[still], rows[still])
    found = labels(victim.logits(proposed, rows[still]))
    moved = np.flatnonzero(goal.reached(found, rows[still]))
    return (int(still[moved[0]]), proposed[moved[0]]) if len(moved) else (0, None)
