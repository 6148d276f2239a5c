"""What attacks found, beside what was proved, as a value: the key `attacks` of summary.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

from relrob.domain.record import NETWORKS, AttackRecord, Record
from relrob.domain.verdict import Status

_DIGITS: Final = 6


@dataclass(frozen=True)
class Inside:
    """Of `images` with one verdict, those on which an attack `found` an image inside the region."""

    found: int = 0
    images: int = 0


@dataclass(frozen=True)
class OnNetwork:
    """What one attack found on one network.

    `attacked`: images that the network gets right, unperturbed; `found`: of these, those with an
    image that fools it, anywhere; `on_model`: those whose proposal fools the differentiable model,
    None without one; `transfers`: those whose nearest image fools the other network too; `nearest`:
    the median distance of what was found, None where nothing was. `inside`: by verdict. `queries`,
    `gradients`: means an image. `remarks`: words to images, in alphabetical order.
    """

    attacked: int
    found: int
    on_model: int | None
    transfers: int
    nearest: float | None
    inside: Mapping[str, Inside]
    queries: float
    gradients: float
    seconds: float
    remarks: tuple[tuple[str, int], ...] = ()

    @property
    def witnessed(self) -> int:
        """Images with one inside the region."""
        return sum(each.found for each in self.inside.values())

    @property
    def evasion(self) -> float | None:
        """The share of attacked images on which it was found."""
        return round(self.found / self.attacked, _DIGITS) if self.attacked else None

    def json(self) -> dict[str, Any]:
        """Keys in the order of the fields, with the sums."""
        return {
            **vars(self),
            "inside": {name: dict(vars(each)) for name, each in self.inside.items()},
            "remarks": dict(self.remarks),
            "witnessed": self.witnessed,
            "evasion_rate": self.evasion,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> OnNetwork:
        """From its JSON."""
        given = {name: document[name] for name in cls.__annotations__}
        inside = {name: Inside(**each) for name, each in given["inside"].items()}
        return cls(**given | {"inside": inside, "remarks": tuple(given["remarks"].items())})


@dataclass(frozen=True)
class AttackSummary:
    """One attack: its full text, a `label` that tells it from the others, the norm of its
    distances, and what it found on each network."""

    attack: str
    label: str
    norm: str
    reference: OnNetwork
    quantised: OnNetwork

    @property
    def seconds(self) -> float:
        """On both networks."""
        return round(self.reference.seconds + self.quantised.seconds, _DIGITS)

    @property
    def networks(self) -> tuple[tuple[str, OnNetwork], ...]:
        """Both, by name."""
        return tuple(zip(NETWORKS, (self.reference, self.quantised), strict=True))

    def json(self) -> dict[str, Any]:
        """Text, label, norm, seconds, and both networks."""
        told = {"attack": self.attack, "label": self.label, "norm": self.norm}
        each = {name: found.json() for name, found in self.networks}
        return {**told, "seconds": self.seconds, **each}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AttackSummary:
        """From its JSON."""
        each = (OnNetwork.of(document[name]) for name in NETWORKS)
        return cls(document["attack"], document["label"], document["norm"], *each)


@dataclass(frozen=True)
class GradientModel:
    """Where the gradients of a network come from: `model` in words, "" without; `of`: the network
    whose model it is; `exact`: is it that network but for rounding? `agreement`: the share of
    images to which it gives the label that the attacked file gives."""

    model: str = ""
    of: str = ""
    exact: bool = False
    agreement: float | None = None

    def json(self) -> dict[str, Any]:
        """The fields."""
        return dict(vars(self))


@dataclass(frozen=True)
class Attacks:
    """All attacks of a run. `seed` of their random numbers; `gradients`: of each network."""

    seed: int
    gradients: tuple[GradientModel, GradientModel]
    each: tuple[AttackSummary, ...]

    @property
    def seconds(self) -> float:
        """Of all attacks on both networks."""
        return round(sum(each.seconds for each in self.each), _DIGITS)

    def json(self, timed: bool = True) -> dict[str, Any]:
        """The key `attacks` of summary.json; without `timed`, that of audit.json, which is the same
        whatever the clock says."""
        found: dict[str, Any] = {
            "seed": self.seed,
            "gradients": {
                name: each.json() for name, each in zip(NETWORKS, self.gradients, strict=True)
            },
            "seconds": self.seconds,
            "each": [each.json() for each in self.each],
        }
        return found if timed else _untimed(found)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Attacks:
        """From its JSON."""
        each = tuple(AttackSummary.of(each) for each in document["each"])
        return cls(document["seed"], _models(document), each)


def summarised(
    asked: Mapping[str, Any],
    records: Sequence[Record],
    found: Mapping[int, Sequence[AttackRecord]],
) -> Attacks:
    """The summary of what attacks found around the images of some records. `asked`: the key
    `attacks` of a header, with the texts and norms of the attacks under `each`."""
    labels = labels_of([each["attack"] for each in asked["each"]])
    rows = [(record, each) for record in records for each in found.get(record.index, ())]
    by: dict[tuple[str, str], list[tuple[Record, AttackRecord]]] = {}
    for record, each in rows:
        by.setdefault((each.attack, each.network), []).append((record, each))
    return Attacks(
        asked["seed"],
        _models(asked),
        tuple(
            AttackSummary(
                each["attack"],
                label,
                each["norm"],
                *(_on(by.get((each["attack"], name), ()), name) for name in NETWORKS),
            )
            for each, label in zip(asked["each"], labels, strict=True)
        ),
    )


def _untimed(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the key "seconds", at any depth."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found[name] = _untimed(value)
        elif isinstance(value, list):
            found[name] = [_untimed(each) for each in value]
        elif name != "seconds":
            found[name] = value
    return found


def _models(document: Mapping[str, Any]) -> tuple[GradientModel, GradientModel]:
    one, other = (GradientModel(**document["gradients"][name]) for name in NETWORKS)
    return one, other


def _on(rows: Sequence[tuple[Record, AttackRecord]], network: str) -> OnNetwork:
    """One attack on one network."""
    found = [each for _, each in rows]
    verdicts = [getattr(record, f"{network}_verdict") for record, _ in rows]
    model = [each.on_model for each in found if each.on_model is not None]
    distances = [each.distance for each in found if each.distance is not None]
    inside = {
        status.value: Inside(
            sum(e.inside for e, verdict in zip(found, verdicts, strict=True) if verdict == status),
            verdicts.count(status.value),
        )
        for status in Status
    }
    return OnNetwork(
        attacked=len(found),
        found=len(distances),
        on_model=sum(model) if model else None,
        transfers=sum(bool(each.transfers) for each in found),
        nearest=round(median(distances), 9) if distances else None,
        inside=inside,
        queries=round(fmean([each.queries for each in found] or [0]), 1),
        gradients=round(fmean([each.gradients for each in found] or [0]), 1),
        seconds=round(sum(each.seconds for each in found), _DIGITS),
        remarks=tuple(sorted(Counter(each.remark for each in found if each.remark).items())),
    )


def labels_of(texts: Sequence[str]) -> list[str]:
    """A short label for each attack: its name, and with attacks of the same name the parameters
    that tell them apart, rounded where that is enough.

    >>> labels_of(["fgsm:eps=0.1", "pgd:eps=0.10000000000000001:steps=40", "pgd:eps=0.3:steps=40"])
    ['fgsm', 'pgd:eps=0.1', 'pgd:eps=0.3']
    """
    parts = [text.split(":") for text in texts]
    names = [name_of(text) for text in texts]
    own = [[part for part in each if "=" in part] for each in parts]
    told = []
    for name, mine in zip(names, own, strict=True):
        alike = [set(each) for other, each in zip(names, own, strict=True) if other == name]
        shared = set.intersection(*alike)
        told.append([name, *(part for part in mine if part not in shared)])
    short = [":".join(map(_rounded, each)) for each in told]
    return short if len(set(short)) == len(short) else [":".join(each) for each in told]


def name_of(text: str) -> str:
    """The name of an attack in its text.

    >>> name_of("art:deepfool:max_iter=5")
    'art:deepfool'
    """
    return ":".join(part for part in text.split(":") if "=" not in part)


def _rounded(part: str) -> str:
    """ "eps=0.0313725" for "eps=0.03137254901960784"; other words as they are."""
    name, equals, value = part.partition("=")
    try:
        return f"{name}={float(value):g}" if equals else part
    except ValueError:
        return part
