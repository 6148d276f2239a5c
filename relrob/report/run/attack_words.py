"""What attacks found, in words: the same cells on the terminal, in table.md and in images.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relrob.domain.record import NETWORKS, AttackRecord, Record
from relrob.domain.verdict import Status
from relrob.errors import how_many
from relrob.store.attack_summary import Attacks, AttackSummary, OnNetwork
from relrob.store.summary import Summary

# Columns of the table of attacks.
HEAD: Final = ("attack", *Status, "anywhere", "transfer", "nearest", "time")
_NOTHING: Final = "-"
Found = Mapping[int, Sequence[AttackRecord]]


@dataclass(frozen=True)
class AttackRow:
    """A row of the table: `cells` in the order of `HEAD`; `depth`: 0 for an attack, 1 for what it
    found on a network."""

    depth: int
    cells: tuple[str, ...]


def attack_rows(attacks: Attacks) -> list[AttackRow]:
    """A row for each attack with its time, and below it one for each network.

    Below a verdict: on how many of the images with it an image inside the region was found.
    `transfer`: of what was found anywhere, how many fool the other network too. `nearest`: the
    median distance of what was found.
    """
    rows = []
    for each in attacks.each:
        blank = ("",) * (len(HEAD) - 2)
        rows.append(AttackRow(0, (each.label, *blank, f"{each.seconds:.1f} s")))
        rows += [AttackRow(1, _cells(each, name, on)) for name, on in each.networks]
    return rows


def _cells(attack: AttackSummary, name: str, on: OnNetwork) -> tuple[str, ...]:
    """What one attack found on one network."""
    inside = [on.inside[status] for status in Status]
    nearest = _NOTHING if on.nearest is None else f"{on.nearest:.3g} {attack.norm}"
    return (
        name,
        *(_of(each.found, each.images) for each in inside),
        _of(on.found, on.attacked),
        _of(on.transfers, on.found),
        nearest,
        f"{on.seconds:.1f} s",
    )


def _of(part: int, whole: int) -> str:
    """ "3/18", "-" of none."""
    return f"{part}/{whole}" if whole else _NOTHING


def attack_notes(summary: Summary) -> list[str]:
    """Sentences about attacks: how to read the table, where gradients come from, and what stands
    out; none where none was asked for."""
    attacks = summary.attacks
    if attacks is None:
        return []
    return [
        "Attacks: below a verdict, the images with it where an attack found one inside the region "
        "that fools the network, replayed (below ROBUST it would have ended the run); anywhere, "
        "those where it found one at any distance; transfer, how many of these fool the other "
        "network too; nearest, the median of their distances.",
        *_models(attacks),
        *_open(attacks),
        *_masked(attacks),
        *_remarks(attacks),
    ]


def _models(attacks: Attacks) -> list[str]:
    """Networks that are attacked by a model that is not the network itself."""
    told = []
    for name, model in zip(NETWORKS, attacks.gradients, strict=True):
        if not model.model or (model.exact and model.of == name):
            continue
        whose = "" if model.of == name else f" of the {model.of} network"
        same = "" if model.agreement is None else f", of one label on {100 * model.agreement:.1f}%"
        told.append(f"Gradients of the {name} network: {model.model}{whose}{same}.")
    return told


def _open(attacks: Attacks) -> list[str]:
    """Undecided images with a witness: the verdict stays what the solvers said."""
    return [
        f"{each.label} found a witness inside the region on {on.inside[Status.UNKNOWN].found} "
        f"images that are UNKNOWN on the {name} network."
        for each in attacks.each
        for name, on in each.networks
        if on.inside[Status.UNKNOWN].found
    ]


def _masked(attacks: Attacks) -> list[str]:
    """Attacks that fool the differentiable model more often than the file."""
    told = []
    for each in attacks.each:
        for name, on in each.networks:
            if on.on_model is not None and on.on_model > on.found:
                told.append(
                    f"{each.label} fools the model of the {name} network on "
                    f"{how_many(on.on_model, 'image')}, and the network itself on {on.found}."
                )
    return told


def _remarks(attacks: Attacks) -> list[str]:
    """What attacks say of single images, such as that they have no signal."""
    return [
        f"{each.label} on the {name} network: {words} ({how_many(count, 'image')})."
        for each in attacks.each
        for name, on in each.networks
        for words, count in on.remarks
    ]


def columns(attacks: Attacks | None) -> tuple[str, ...]:
    """The columns of images.csv: for each attack and network whether something was found inside
    the region, and the least distance found anywhere, named by its norm."""
    if attacks is None:
        return ()
    return tuple(
        f"{each.label}_{name}_{what}"
        for each in attacks.each
        for name in NETWORKS
        for what in ("inside", each.norm)
    )


def cells(attacks: Attacks | None, found: Sequence[AttackRecord]) -> list[str | float | None]:
    """The values of these columns for one image; None where the image was not attacked, or nothing
    was found."""
    if attacks is None:
        return []
    by = {(each.attack, each.network): each for each in found}
    told: list[str | float | None] = []
    for attack in attacks.each:
        for name in NETWORKS:
            each = by.get((attack.attack, name))
            told += [None, None] if each is None else [_yes(each.inside), each.distance]
    return told


def _yes(inside: bool) -> str:
    return "yes" if inside else "no"


def image_rows(attacks: Attacks, records: Sequence[Record], found: Found) -> list[tuple[str, ...]]:
    """A line for each image: its index, both verdicts, and for each attack and network the least
    distance found anywhere, marked where one lies inside the region."""
    rows = []
    for record in sorted(records, key=lambda record: record.index):
        by = {(each.attack, each.network): each for each in found.get(record.index, ())}
        told = (placed(by.get((each.attack, name))) for each in attacks.each for name in NETWORKS)
        verdicts = (record.reference_verdict, record.quantised_verdict)
        rows.append((str(record.index), *verdicts, *told))
    return rows


def placed(found: AttackRecord | None) -> str:
    """ "0.03 inside", "0.3", "-" where nothing was found, "" where nothing was tried."""
    if found is None:
        return ""
    if found.distance is None:
        return _NOTHING
    return f"{found.distance:.3g}{' inside' if found.inside else ''}"
