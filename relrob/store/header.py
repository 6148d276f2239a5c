"""The header of a summary: the data set, the networks and the region that its counts are about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
LEADING: Final = (
    "relrob",
    "run",
    "dataset",
    "reference",
    "quantised",
    "region",
    "arithmetic",
)


# Entries of a network and of the data set that decide no record, so no store seals them.
UNSEALED: Final = (
    *("path", "accuracy", "modelled", "black_box", "conversion", "runtime_details"),
    "input_from",
)
UNSEALED_DATA: Final = ("images", "indices", "notes", "named_by", "classes")


@dataclass(frozen=True)
class DatasetHeader:
    """The data set of a run, and the number of `images` that it was asked for.

    `labels`: "reference" where the reference gave them, else "". `classes`: names in the order of
    labels, () where labels are numbers; `named_by`: "classes" where the user gave them. `range`:
    LO:HI of the values that pixels stand for, "" for pixels. `notes`: sentences.
    """

    name: str = ""
    split: str = ""
    images: int = 0
    sha256: str = ""
    labels: str = ""
    classes: tuple[str, ...] = ()
    named_by: str = ""
    range: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkHeader:
    """One network of a run. `accuracy`: a share in [0, 1], None where it was not measured.

    `black_box`: the reason why the network is run point by point; "" where it is modelled.
    `conversion`: the form in which the file runs, "" where it runs as it is. `input`: the input
    contract under its options' words, empty where the file reads pixels as they are; `input_from`:
    the part of the file that says it, or "". `head`: the meaning of its one output for two classes,
    "logit" or "probability", or "".
    """

    path: str = ""
    sha256: str = ""
    scheme: str = ""
    runtime: str = ""
    arithmetic: str = ""
    accuracy: float | None = None
    black_box: str = ""
    conversion: str = ""
    input: Mapping[str, str] = field(default_factory=dict)
    input_from: str = ""
    head: str = ""


@dataclass(frozen=True)
class RegionHeader:
    """The region of a run. `radius` and `step`: exact numbers as text; `step` is None for balls.

    `features` (a number, or "all"), `axes` and `seed` are None where the region has none.
    """

    kind: str
    radius: str
    step: str | None = None
    features: int | str | None = None
    axes: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Header:
    """The header of a summary, as fields.

    Headers of older runs lack some keys, and newer ones may have more: a field that is not there
    has its default, and `json` gives back every key. Raises KeyError, TypeError or AttributeError
    for a document without networks or region.
    """

    relrob: str
    run: str
    dataset: DatasetHeader
    reference: NetworkHeader
    quantised: NetworkHeader
    region: RegionHeader
    arithmetic: str
    effective_rule: str
    document: str = field(repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Header:
        """The header of a JSON document, which may hold more than a header."""
        return cls(
            relrob=document.get("relrob", ""),
            run=document.get("run", ""),
            dataset=_picked(DatasetHeader, _frozen(document["dataset"])),
            reference=_picked(NetworkHeader, document["reference"]),
            quantised=_picked(NetworkHeader, document["quantised"]),
            region=_region(document["region"]),
            arithmetic=document.get("arithmetic", ""),
            effective_rule=document.get("effective_rule", "closest"),
            document=json.dumps(dict(document)),
        )

    def json(self) -> dict[str, Any]:
        """The document that the header was made of, keys in its order."""
        found: dict[str, Any] = json.loads(self.document)
        return found


def _frozen(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with tuples of texts for its lists."""
    return {
        key: tuple(str(each) for each in value) if isinstance(value, list) else value
        for key, value in document.items()
    }


def _picked(kind: type[_T], document: Mapping[str, Any]) -> _T:
    """A value of the keys that it knows."""
    return kind(**{key: value for key, value in document.items() if key in kind.__annotations__})


def _region(document: Mapping[str, Any]) -> RegionHeader:
    """The region, with the exact numbers where the document has them."""
    exact = document.get("exact", document)
    step = exact.get("step")
    return RegionHeader(
        kind=document["kind"],
        radius=str(exact["radius"]),
        step=None if step is None else str(step),
        features=document.get("features"),
        axes=document.get("axes"),
        seed=document.get("seed"),
    )
