"""Examples of one attack on one network; a universal perturbation is fitted first."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from relrob.attacks.attack import Attack, Attacked, attacked, generator
from relrob.attacks.goal import Goal
from relrob.attacks.model_of import gradients_of
from relrob.attacks.parameters import named, whole_number
from relrob.attacks.table import ATTACKS
from relrob.attacks.universal import Applied, Fitted, Universal
from relrob.attacks.victim import Gradients, Victim
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.registry import Entry


@dataclass(frozen=True)
class Asked:
    """An attack as the user asked for it: its full `text`, the attack, what it `needs` of a network
    ("gradients", "outputs" or "labels"), and the seed.

    Raises UsageError for a seed that is no whole number, or below 0.
    """

    text: str
    attack: Attack
    needs: str
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole_number("seed", self.seed, 0, "--seed 0"))

    @staticmethod
    def of(text: str, seed: int = 0, **parameters: Any) -> Asked:
        """From its text and parameters (`relrob.attacks.parameters.named`). Raises UsageError."""
        full, attack = named(text, **parameters)
        return Asked(full, attack, _entry(full).needs, seed)

    @property
    def universal(self) -> bool:
        """Does it fit one perturbation for all images?"""
        return isinstance(self.attack, Universal)

    def model(self, network: Network) -> Gradients | None:
        """The differentiable model of a network that the attack follows, which the network keeps;
        None where it needs none. Raises UsageError for a network without one."""
        if self.needs != "gradients":
            return None
        found = network.derived.once(gradients_of, partial(gradients_of, network))
        if found is None:
            raise UsageError(
                f"{_entry(self.text).name} needs gradients, which relrob does not have of "
                f"{network.path}",
                "an attack by outputs or labels, relrob attacks",
                _OTHERS,
            )
        return found


_OTHERS: Final = ", ".join(
    f"--attack {entry.name}" for entry in ATTACKS if entry.needs != "gradients"
)


def _entry(text: str) -> Entry:
    """The entry of an attack's full text; a name may hold a colon."""
    known = [each for each in ATTACKS if f"{text}:".startswith(f"{each.name}:")]
    return max(known, key=lambda each: len(each.name))


@dataclass(frozen=True, eq=False)
class Crafted:
    """`attacked`: the examples after their replay; `fitted`: the perturbation that they share, or
    None; `model`: the differentiable model that the attack followed, or None; `agreement`: the
    share of the clean images to which the model gives the network's own label, or None."""

    attacked: Attacked
    fitted: Fitted | None
    model: Gradients | None
    agreement: float | None


def crafted(
    asked: Asked,
    opened: Opened,
    images: Floats,
    goal: Goal,
    fit: tuple[Floats, Goal] | None = None,
) -> Crafted:
    """Attack flat images (n, d) float32 in [0, 1].

    `fit`: the images and goal that a universal perturbation is fitted on, None for the same ones;
    only their queries count for single images. Raises ShapeError, UsageError.
    """
    model, begin = asked.model(opened.network), time.perf_counter()
    attack: Attack = asked.attack
    fitted = None
    if fit is not None and isinstance(attack, Universal):
        victim = Victim(opened, len(fit[0]), model)
        fitted = attack.fit(victim, *fit, generator(asked.seed, asked.text))
        attack = Applied(fitted.perturbation)
    found = attacked(attack, asked.text, opened, images, goal, model=model, seed=asked.seed)
    agreement = None
    if model is not None:
        agreement = float(np.mean(labels(model.logits(images)) == found.clean))
    done = replace(found, seconds=time.perf_counter() - begin)
    return Crafted(done, fitted or found.fitted, model, agreement)
