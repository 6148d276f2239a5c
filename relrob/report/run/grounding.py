"""What a verdict of a record rests on, in sentences: a proof, a run of every point, a search, a
witness; and what an UNKNOWN lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np

from relrob.domain.record import NETWORKS, Record, WitnessView
from relrob.domain.verdict import Reason, Status
from relrob.errors import how_many, printable
from relrob.registry import solvers
from relrob.store.grounds import Ground, ground
from relrob.store.header import Header, NetworkHeader

# What an UNKNOWN lacks, by its reason.
REMEDIES: Final = {
    Reason.TIME: "A longer --time-limit, a smaller radius or a coarser step may decide it.",
    Reason.BOUNDS: "A complete --solver (relrob solvers marks them), a smaller radius or a longer "
    "--time-limit may decide it.",
    Reason.REPLAY: "The solver and the runtime differ on a point; another --solver may decide it, "
    "and a report of this case is welcome.",
    Reason.CRASH: "Run this image again with -v and another --solver; a report is welcome.",
    Reason.MEMORY: "More memory, fewer --workers or a smaller region may decide it.",
    Reason.UNBOUNDED: "Nothing can be proved of a network without bounds in an infinite region; "
    "--region ladder is finite, and runs every point.",
}
_ARITHMETIC: Final = {
    "real": "The proof is about real numbers, where nothing is rounded; a float32 runtime may "
    "answer otherwise where it rounds.",
    "float32": "The proof is about float32 arithmetic, with the sums in any order.",
    "integer": "The proof is about the integer kernels of this runtime, rounding included.",
}
_CHAIN: Final = {
    "witness": "a cheap search that comes first and proves nothing",
    "search": "the founding paper's tree search, which proves nothing",
}


@dataclass(frozen=True)
class Change:
    """What a witness changes: the number of `pixels` of `of`, the largest darkening and brightening
    (in [0, 1]) and the exact L1 `cost` as text; the network's `label` for it, and the `margin`."""

    network: str
    pixels: int
    of: int
    darker: float
    brighter: float
    cost: str
    label: int
    margin: float

    def json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def change(view: WitnessView) -> Change:
    """The facts of a witness about the network that it fools."""
    shift = np.asarray(view.perturbed, np.float64) - np.asarray(view.original, np.float64)
    moved = (shift.reshape(view.shape) != 0).any(axis=2)
    first = view.network == "reference"
    return Change(
        view.network,
        int(moved.sum()),
        int(moved.size),
        float(max(0.0, -shift.min(initial=0.0))),
        float(shift.max(initial=0.0)),
        view.cost,
        view.reference_label if first else view.quantised_label,
        view.reference_margin if first else view.quantised_margin,
    )


def verdict(
    header: Header,
    record: Record,
    name: str,
    view: WitnessView | None,
    named: Callable[[int], str],
) -> list[str]:
    """The sentences about the verdict on the network `name`. `named`: a label in words."""
    given = getattr(record, f"{name}_verdict")
    network: NetworkHeader = getattr(header, name)
    if given == Status.ROBUST:
        told = [_robust(record, name, named(record.label)), *_solver(header, record, name)]
        told += _margin(record, name, ground(record, name) is Ground.PROVED)
    elif given == Status.NOT_ROBUST:
        told = [*_witness(view, name, named), *_counts(record, name)]
        told += _solver(header, record, name)
    else:
        told = [*_unknown(record, name), *_solver(header, record, name)]
    black_box = printable(network.black_box)
    told += [f"The file is run as a black box: {black_box}."] if black_box else []
    return told + (_about(header, record, name) if given == Status.ROBUST else [])


def _about(header: Header, record: Record, name: str) -> list[str]:
    """The arithmetic of a proof, or the runtime of runs."""
    network: NetworkHeader = getattr(header, name)
    if ground(record, name) is Ground.PROVED:
        arithmetic = network.arithmetic or header.arithmetic
        return [_ARITHMETIC[arithmetic]] if arithmetic in _ARITHMETIC else []
    return [f"This is about {printable(network.runtime) or 'the runtime'}; another may differ."]


def _robust(record: Record, name: str, label: str) -> str:
    """The claim of a ROBUST and its ground."""
    rests = ground(record, name)
    if rests is Ground.SEARCHED:
        return (
            "ROBUST, as far as a search saw: it met no image that fools the network. Nothing is "
            "proved."
        )
    every = (
        "every image"
        if record.points is None
        else f"each of the {how_many(record.points, 'image')}"
    )
    claim = f"ROBUST: the network gives {label} on {every} of the region."
    if rests is Ground.RUN:
        return f"{claim} Every one of them was run."
    proved = getattr(record, f"{name}_proved")
    if record.points is None or proved is None:
        return f"{claim} It is proved, by bounds or a solver, for images that nobody ran."
    rest = record.points - proved
    return (
        f"{claim} {proved:,} of them are proved without being run"
        f"{f', the other {rest:,} were run' if rest else ''}."
    )


def _solver(header: Header, record: Record, name: str) -> list[str]:
    """The solver that decided, and whether it is complete."""
    names = [printable(each.strip()) for each in record.decided_by.split(",")]
    method = names[min(NETWORKS.index(name), len(names) - 1)]
    if not method:
        return []
    if method in _CHAIN:
        return [f"Found by {method}: {_CHAIN[method]}."]
    kind = header.region.kind
    entries = [each for each in solvers(kind, method) if kind in each.regions]
    if not entries:
        return [f"Decided by {method}."]
    kinds = {each.complete for each in entries}
    known = "" if len(kinds) > 1 else ", complete" if True in kinds else ", sound but not complete"
    return [f"Solver: {method}{known} ({entries[0].summary})."]


def _margin(record: Record, name: str, proved: bool) -> list[str]:
    margin = getattr(record, f"{name}_margin")
    if margin is None:
        return []
    how = "met or proved" if proved else "met"
    return [
        f"The smallest margin {how} is {margin:.4g}: the output of the true label less the largest "
        "other."
    ]


def _witness(view: WitnessView | None, name: str, named: Callable[[int], str]) -> list[str]:
    """The witness, with the pixels that it changes."""
    claim = "NOT_ROBUST: an image of the region fools the network."
    if view is None:
        return [f"{claim} The run has no witness of it."]
    facts = change(view)
    ends = [
        *([f"darker by at most {facts.darker:.3g}"] if facts.darker else []),
        *([f"brighter by at most {facts.brighter:.3g}"] if facts.brighter else []),
    ]
    pixels = f"{facts.pixels:,} of {facts.of:,} pixels"
    other = view.quantised_label if name == "reference" else view.reference_label
    fate = "right" if other == view.label else "wrong"
    return [
        f"{claim} The witness was replayed on the runtime, alone: the network gives it "
        f"{named(facts.label)}, margin {facts.margin:.4g}.",
        f"It changes {pixels}, {' and '.join(ends) or 'by nothing'} (1 is black to white); "
        f"L1 cost {_number(facts.cost)}.",
        f"The {'quantised' if name == 'reference' else 'reference'} network gives it "
        f"{named(other)}, which is {fate}.",
    ]


def _number(text: str) -> str:
    """An exact fraction to four digits; the text itself, cut, where it is none."""
    try:
        return f"{float(Fraction(text)):.4g}"
    except (ValueError, ZeroDivisionError, OverflowError):
        return printable(text)[:20]


def _counts(record: Record, name: str) -> list[str]:
    """How many images of the region fool the network, where they were counted."""
    found = getattr(record, f"{name}_effective")
    if found is None or record.points is None:
        return []
    return [f"In all {found:,} of the {how_many(record.points, 'image')} of the region fool it."]


def _unknown(record: Record, name: str) -> list[str]:
    """The reason of an UNKNOWN, and what may decide it."""
    reason = reason_of(record.reason, name)
    told = [
        "UNKNOWN: neither a proof nor a witness was found. It means nothing about the network.",
        f"Reason: {printable(reason) or 'none recorded'}.",
    ]
    remedy = next((words for known, words in REMEDIES.items() if known.value in reason), None)
    return told + ([remedy] if remedy else [])


def reason_of(text: str, name: str) -> str:
    """That of one network in the reason of a record.

    >>> reason_of("reference: late; quantised: lost", "quantised")
    'lost'
    >>> reason_of("late", "reference")
    'late'
    """
    _, mark, after = text.partition(f"{name}: ")
    if not mark:
        return "" if ": " in text and text.partition(": ")[0] in NETWORKS else text
    other = NETWORKS[1 - NETWORKS.index(name)]
    return after.partition(f"; {other}: ")[0]
