"""The attacks of a run: their full texts, and the differentiable models that they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from math import nextafter
from typing import Any, Final

from relrob.attacks.model_of import agreement, gradients_of
from relrob.attacks.parameters import named
from relrob.attacks.table import ATTACKS
from relrob.attacks.victim import Gradients
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.domain.record import NETWORKS
from relrob.domain.region import Norm, Region
from relrob.errors import UsageError
from relrob.networks.open import Opened, open_network
from relrob.registry import Entry, find
from relrob.relative.beside import Armed
from relrob.relative.radius import Arms
from relrob.store.attack_summary import GradientModel, name_of

_GRADIENTS: Final = "gradients"
COMPARED: Final = 1000  # images at most on which a model and a file are compared


@dataclass(frozen=True, eq=False)
class Lent:
    """A differentiable model, and the network "reference" or "quantised" that it is `of`."""

    model: Gradients | None = None
    of: str = ""


def attacks_of(text: str | None, region: Region) -> tuple[str, ...]:
    """The full texts of "fgsm,pgd:steps=10".

    In an L-infinity or L2 ball, an attack that searches such a ball takes the region's own radius,
    unless its text names another. Raises UsageError.

    >>> from relrob.domain.region import Ball
    >>> attacks_of("fgsm,fgsm:eps=0.5", Ball(Norm.LINF, Fraction(1, 4)))
    ('fgsm:eps=0.25', 'fgsm:eps=0.5')
    """
    if text is None:
        return ()
    asked = [part.strip() for part in text.split(",")]
    if not all(asked):
        raise UsageError(f"attacks {text!r}", "attacks with commas between", "--attacks fgsm,pgd")
    texts = [_full(part, region) for part in asked]
    for number, each in enumerate(texts):
        if each in texts[:number]:
            raise UsageError(
                f"attack {each} twice", "each once", "other parameters for one of them"
            )
    return tuple(texts)


def entry_of(text: str) -> Entry:
    """The line of the registry of an attack's text."""
    return find(ATTACKS, name_of(text), "attack")


def _full(text: str, region: Region) -> str:
    """The full text of one attack."""
    full, attack = named(text)
    if entry_of(text).universal:
        raise UsageError(
            f"attack {name_of(text)}, one perturbation for all images, beside proofs about each",
            ", ".join(entry.name for entry in ATTACKS if not entry.universal),
            f"relrob attack --attack {name_of(text)}",
        )
    typed = {part.partition("=")[0].replace("-", "_") for part in text.split(":") if "=" in part}
    if region.kind not in (Norm.LINF, Norm.L2):
        return full
    norm = Norm(region.kind)
    given: dict[str, Any] = {}
    own = {field.name for field in fields(attack)}  # type: ignore[arg-type]
    if "norm" in own - typed:
        given["norm"] = norm.value
    radius = entry_of(text).radius
    there = named(text, **given)[1].norm if given else attack.norm
    if radius and radius not in typed and there is norm:
        given[radius] = repr(_below(region.radius, norm))
    return named(text, **given)[0] if given else full


def _below(radius: Fraction, norm: Norm) -> float:
    """The float at or below the radius; an L-infinity ball of radius 1 is every image."""
    found = float(min(radius, Fraction(1)) if norm is Norm.LINF else radius)
    return found if Fraction(found) <= radius else nextafter(found, 0.0)


def models_of(texts: Sequence[str], networks: tuple[Network, Network]) -> tuple[Lent, Lent]:
    """The differentiable model for each network, none where no attack takes one. A network without
    one is lent the other's: what is found is replayed on the network itself all the same. Raises
    UsageError where neither has one.
    """
    needy = [text for text in texts if entry_of(text).needs == _GRADIENTS]
    if not needy:
        return Lent(), Lent()
    one, other = (
        Lent(gradients_of(each), name) for each, name in zip(networks, NETWORKS, strict=True)
    )
    if one.model is None and other.model is None:
        raise UsageError(
            f"attack {name_of(needy[0])}, which takes gradients, where "
            f"{networks[0].path} and {networks[1].path} have none",
            ", ".join(entry.name for entry in ATTACKS if entry.needs != _GRADIENTS),
        )
    return (one if one.model else other), (other if other.model else one)


def header_of(
    texts: Sequence[str], seed: int, networks: tuple[Network, Network], images: Floats
) -> dict[str, Any]:
    """The key `attacks` of a header, which `relrob.store.attack_summary.summarised` reads. It says
    where the gradients of each network come from, and how often model and file agree on flat
    `images` (n, d). Raises UsageError."""
    lent = models_of(texts, networks)
    each = zip(NETWORKS, networks, lent, strict=True)
    return {
        "seed": seed,
        "gradients": {name: _measured(network, own, images).json() for name, network, own in each},
        "each": [{"attack": text, "norm": named(text)[1].norm.value} for text in texts],
    }


def _measured(network: Network, lent: Lent, images: Floats) -> GradientModel:
    """The model that a network is attacked by, in words and numbers."""
    if lent.model is None:
        return GradientModel()
    batches = open_network(network)
    same = agreement(lent.model, Opened(network, batches, batches), images)
    return GradientModel(lent.model.name, lent.of, lent.model.exact, round(same, 6))


def armed(texts: Sequence[str], networks: tuple[Network, Network]) -> tuple[Armed, ...]:
    """The attacks, ready to run on both networks. Raises UsageError."""
    return _armed(texts, models_of(texts, networks))


def armed_in(text: str, networks: tuple[Network, Network], largest: Region) -> Arms:
    """The function that gives the attacks of "fgsm,pgd:steps=10" in a region as large as `largest`
    or smaller (`attacks_of`). Raises UsageError."""
    lent = models_of(attacks_of(text, largest), networks)
    return lambda region: _armed(attacks_of(text, region), lent)


def _armed(texts: Sequence[str], lent: tuple[Lent, Lent]) -> tuple[Armed, ...]:
    models = (lent[0].model, lent[1].model)
    return tuple(
        Armed(text, named(text)[1], models if entry_of(text).needs == _GRADIENTS else (None, None))
        for text in texts
    )
