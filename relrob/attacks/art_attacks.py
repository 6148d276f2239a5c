"""ART's attacks behind our protocol: the oracle of our own, and the exact variants of papers that
used ART (extra `relrob[art]`).

ART sees an estimator: our differentiable model for attacks by gradients, the runtime for the
others. Parameters have ART's names. ART draws from NumPy's and Python's global generators: they are
seeded from our own around each call, and put back. Boundary and HopSkipJump draw their start from a
generator that nothing can seed: they are given one that is drawn here in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from inspect import signature
from typing import Any, ClassVar, Final

import numpy as np

from relrob.attacks.art_estimator import Estimator, by_gradients, evasion, seeded
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import among, whole, within
from relrob.attacks.universal import Fitted, added
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints
from relrob.domain.record import NO_START
from relrob.domain.region import Norm
from relrob.errors import UsageError

_NORMS: Final = {Norm.L2: 2, Norm.LINF: np.inf}
_BOTH: Final = ("l2", "linf")


@dataclass(frozen=True)
class ArtFgsm:
    """FastGradientMethod, L-infinity."""

    eps: float = 0.3
    batch_size: int = 32
    art: ClassVar[Any] = evasion.FastGradientMethod
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """Queries and gradients of a batch are shared evenly among its images."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtBim:
    """BasicIterativeMethod, clipped to the ball of `eps` around the clean image."""

    eps: float = 0.3
    eps_step: float = 0.1
    max_iter: int = 100
    batch_size: int = 32
    art: ClassVar[Any] = evasion.BasicIterativeMethod
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtPgd:
    """ProjectedGradientDescent, with NumPy."""

    norm: Norm = Norm.LINF
    eps: float = 0.3
    eps_step: float = 0.1
    max_iter: int = 100
    num_random_init: int = 0
    batch_size: int = 32
    art: ClassVar[Any] = evasion.ProjectedGradientDescentNumpy

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtDeepFool:
    """DeepFool: from the predicted label, be it the true one or not; no targets."""

    max_iter: int = 100
    epsilon: float = 1e-6
    nb_grads: int = 10
    batch_size: int = 1
    art: ClassVar[Any] = evasion.DeepFool
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        _refuse_targets("art:deepfool", goal)
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtJsma:
    """SaliencyMapMethod: without targets it draws one for all images of a label."""

    theta: float = 0.1
    gamma: float = 1.0
    batch_size: int = 1
    art: ClassVar[Any] = evasion.SaliencyMapMethod
    norm: ClassVar[Norm] = Norm.L0

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtCarliniWagner:
    """CarliniL2Method."""

    confidence: float = 0.0
    learning_rate: float = 0.01
    binary_search_steps: int = 10
    max_iter: int = 10
    initial_const: float = 0.01
    max_halving: int = 5
    max_doubling: int = 5
    batch_size: int = 1
    art: ClassVar[Any] = evasion.CarliniL2Method
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtElasticNet:
    """ElasticNet (EAD): small L1 and L2 distances together."""

    confidence: float = 0.0
    learning_rate: float = 0.01
    binary_search_steps: int = 9
    max_iter: int = 100
    beta: float = 0.001
    initial_const: float = 0.001
    decision_rule: str = "EN"
    batch_size: int = 1
    art: ClassVar[Any] = evasion.ElasticNet
    norm: ClassVar[Norm] = Norm.L1

    def __post_init__(self) -> None:
        among("decision_rule", self.decision_rule, ("EN", "L1", "L2"))
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        return _generated(self, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtUap:
    """UniversalPerturbation with FGSM inside: steps of `step`, a perturbation within `eps`. (ART's
    own `eps` of the inner attack is a parameter of a parameter.)"""

    step: float = 0.1
    eps: float = 0.6
    delta: float = 0.2
    max_iter: int = 20
    art: ClassVar[Any] = evasion.UniversalPerturbation
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The images with the perturbation that is fitted on them."""
        return added(images, self.fit(victim, images, goal, rng).perturbation)

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Fitted:
        """On all images at once; `converged` is ART's word for it: before the last pass; how many
        there were it does not tell."""
        _refuse_targets("art:uap", goal)
        rows = np.arange(len(images))
        estimator: Any = Estimator(victim, rows, True)
        attack: Any = evasion.UniversalPerturbation(
            estimator,
            attacker="fgsm",
            attacker_params={"eps": self.step},
            delta=self.delta,
            max_iter=self.max_iter,
            eps=self.eps,
            norm=np.inf,
            verbose=False,
        )
        with seeded(rng), _one_line():
            attack.generate(estimator.shaped(images), y=goal.labels)
        noise = np.asarray(attack.noise, np.float32).reshape(-1)
        return Fitted(noise, float(attack.fooling_rate), bool(attack.converged), 0)


@dataclass(frozen=True)
class ArtBoundary:
    """BoundaryAttack, whose `max_iter` is 15 here (Shrestha and Grossmann 2024) and 5000 there."""

    delta: float = 0.01
    epsilon: float = 0.01
    step_adapt: float = 0.667
    max_iter: int = 15
    num_trial: int = 25
    sample_size: int = 20
    init_size: int = 100
    min_epsilon: float = 0.0
    art: ClassVar[Any] = evasion.BoundaryAttack
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """One image after the other; that without a start in `init_size` draws stays as it is."""
        return _from_starts(self, self.init_size, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtHopSkipJump:
    """HopSkipJump, `norm` l2 or linf."""

    norm: Norm = Norm.L2
    max_iter: int = 50
    max_eval: int = 10000
    init_eval: int = 100
    init_size: int = 100
    art: ClassVar[Any] = evasion.HopSkipJump

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtBoundary`."""
        return _from_starts(self, self.init_size, victim, images, goal, rng)


@dataclass(frozen=True)
class ArtSquare:
    """SquareAttack, `norm` l2 or linf; no targets."""

    norm: Norm = Norm.LINF
    max_iter: int = 100
    eps: float = 0.3
    p_init: float = 0.8
    nb_restarts: int = 1
    batch_size: int = 128
    art: ClassVar[Any] = evasion.SquareAttack

    def __post_init__(self) -> None:
        _check(self)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """As for `ArtFgsm`."""
        _refuse_targets("art:square", goal)
        return _generated(self, victim, images, goal, rng)


def _check(attack: Any) -> None:
    """Raise UsageError for parameters that no attack of ART takes; the rest ART checks itself."""
    for field in fields(attack):
        value = getattr(attack, field.name)
        if field.name == "norm":
            among("norm", str(value), _BOTH)
            object.__setattr__(attack, "norm", Norm(value))
        elif isinstance(value, int):
            whole(field.name, value, least=int(field.default != 0))
        elif isinstance(value, float):
            within(field.name, value, 0, 1e6)


def _refuse_targets(name: str, goal: Goal) -> None:
    if goal.targets is not None:
        raise UsageError(f"{name} with target labels", "an attack that can have targets")


def _generated(
    attack: Any, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator
) -> Floats:
    """ART's proposals, one batch of `batch_size` images after the other."""
    found = images.copy()
    size: int = attack.batch_size
    for first in range(0, len(images), size):
        rows = np.arange(first, min(first + size, len(images)))
        estimator = Estimator(victim, rows, by_gradients(attack.art))
        made = _made(attack, estimator, goal)
        shaped = estimator.shaped(images[rows])
        with seeded(rng), _one_line():
            proposed = made.generate(shaped, y=_labels(attack, goal, rows))
        found[rows] = proposed.reshape(len(rows), -1)
    return found


def _labels(attack: Any, goal: Goal, rows: Ints) -> Ints | None:
    """The labels that ART is given: JSMA takes targets alone, and draws them where it gets none."""
    if goal.targets is not None:
        return goal.targets[rows]
    return None if attack.art is evasion.SaliencyMapMethod else goal.labels[rows]


def _from_starts(
    attack: Any, draws: int, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator
) -> Floats:
    """The same for attacks that begin at an image that is already adversarial: the first of so many
    with uniform pixels."""
    found = images.copy()
    everyone = np.arange(len(images))
    for row in np.flatnonzero(~goal.reached(victim.labels(images, everyone))):
        rows = np.array([row])
        for _ in range(draws):
            start = rng.random(images[rows].shape, np.float32)
            if goal.reached(victim.labels(start, rows), rows)[0]:
                break
        else:
            victim.remark(rows, NO_START)
            continue
        estimator = Estimator(victim, rows, False)
        shaped, begin = estimator.shaped(images[rows]), estimator.shaped(start)
        made = _made(attack, estimator, goal)
        with seeded(rng), _one_line():
            proposed = made.generate(shaped, y=_labels(attack, goal, rows), x_adv_init=begin)
        found[row] = proposed.reshape(-1)
    return found


def _made(attack: Any, estimator: Estimator, goal: Goal) -> Any:
    """The attack of ART. Raises UsageError with ART's own words."""
    accepted = signature(attack.art.__init__).parameters
    given = {field.name: getattr(attack, field.name) for field in fields(attack)}
    if "norm" in given:
        given["norm"] = _NORMS[given["norm"]]
    if "targeted" in accepted:
        given["targeted"] = goal.targets is not None
    if "verbose" in accepted:
        given["verbose"] = False
    with _one_line():
        return attack.art(estimator, **given)


@contextmanager
def _one_line() -> Iterator[None]:
    """ART's complaints as ours: of a parameter, or of images that are not square."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(f"ART refuses this: {error}") from error
