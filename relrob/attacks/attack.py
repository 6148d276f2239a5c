"""An attack proposes images; one final call clips them, runs them as deployed, and knows success.

The author of an attack writes `run` (CONTRIBUTING, "Add an attack"). Nothing that `run` says of
success is believed: `attacked` runs every proposal once more on the named runtime, alone.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.universal import Fitted, Universal, added
from relrob.attacks.victim import Gradients, Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.record import NO_SIGNAL
from relrob.domain.region import Norm
from relrob.errors import ShapeError
from relrob.networks.deployed import labelled_outputs
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened

# A pixel-channel has changed where it differs by more.
CHANGED = 1e-6


class Attack(Protocol):
    """A frozen dataclass whose fields are the parameters, with the field's names: `eps`, `steps`.

    What it asks of a network (gradients, outputs or labels) is a fact of its entry in
    `relrob.attacks.table.ATTACKS`.
    """

    @property
    def norm(self) -> Norm:
        """The distance that it keeps small."""
        ...

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """Proposals (n, d) for flat images (n, d) float32 in [0,1], all at once; where nothing was
        found, the best try, or the image itself."""
        ...


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack found, after the replay.

    `attack`: its text (`relrob.attacks.parameters.named`). `images`, `adversarial` (n, d); `labels`
    (n,) true; `clean`, `found` (n,): the labels of both on the runtime, those of each image alone.
    `success` (n,): does `found` meet the goal? `on_model` (n,): does the differentiable model say
    so? None without a model. `queries`, `gradients` (n,), `history`, `words`: as in `Victim`.
    `seconds`: of it all.
    `fitted`: the perturbation that all images share, of a universal attack.
    """

    attack: str
    norm: Norm
    images: Floats
    adversarial: Floats
    labels: Ints
    clean: Ints
    found: Ints
    success: Bools
    on_model: Bools | None
    queries: Ints
    gradients: Ints
    history: tuple[Doubles, ...]
    words: dict[int, str]
    seconds: float
    fitted: Fitted | None = None

    def distances(self, norm: Norm) -> Doubles:
        """Distances (n,) of the proposals from their images, in [0,1] units."""
        return distances(self.adversarial, self.images, norm)


def attacked(
    attack: Attack,
    text: str,
    opened: Opened,
    images: Floats,
    goal: Goal,
    *,
    model: Gradients | None = None,
    seed: int = 0,
) -> Attacked:
    """Run an attack on all images, then replay what it proposes.

    `images` (n, d) float32 in [0,1]; `text`: the name with parameters, which is in the seed of the
    random numbers, so that one command gives the same bytes. Proposals are clipped to [0,1]; a NaN
    becomes the image's own pixel. Raises ShapeError, UsageError.
    """
    if images.ndim != 2 or images.shape[1] != opened.network.inputs:
        raise ShapeError(f"images {images.shape}", f"(n, {opened.network.inputs})")
    if len(goal.labels) != len(images):
        raise ShapeError(f"{len(goal.labels)} labels for {len(images)} images", "one an image")
    begin = time.perf_counter()
    victim = Victim(opened, len(images), model)
    rng, fitted = generator(seed, text), None
    if isinstance(attack, Universal):
        fitted = attack.fit(victim, images, goal, rng)
        proposed = added(images, fitted.perturbation)
    else:
        proposed = attack.run(victim, images, goal, rng)
    if proposed.shape != images.shape:
        raise ShapeError(f"{text} proposed images {proposed.shape}", f"{images.shape}")
    proposed = np.where(np.isnan(proposed), images, proposed)
    proposed = np.clip(proposed, 0.0, 1.0).astype(np.float32)
    found = labels(opened.replayer.outputs(proposed))
    success = goal.reached(found)
    victim.remark(victim.flat(np.flatnonzero(~success)), NO_SIGNAL)
    return Attacked(
        text,
        attack.norm,
        images,
        proposed,
        goal.labels,
        labels(labelled_outputs(opened, images)),
        found,
        success,
        None if model is None else goal.reached(labels(model.logits(proposed))),
        victim.queries,
        victim.gradients,
        tuple(victim.history),
        victim.words,
        time.perf_counter() - begin,
        fitted,
    )


def generator(seed: int, text: str) -> np.random.Generator:
    """The random numbers of an attack: they follow from the seed and the attack's text alone."""
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng([seed, *digest[:16]])


def distances(images: Floats, others: Floats, norm: Norm) -> Doubles:
    """Distances (n,) of flat images (n, d), row by row, in float64; L0 counts pixel-channels that
    differ by more than `CHANGED`."""
    difference = np.abs(images.astype(np.float64) - others)
    if norm is Norm.LINF:
        return np.asarray(difference.max(axis=1, initial=0.0))
    if norm is Norm.L2:
        return np.asarray(np.sqrt((difference * difference).sum(axis=1)))
    return np.asarray((difference if norm is Norm.L1 else difference > CHANGED).sum(axis=1), float)
