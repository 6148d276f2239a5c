"""One image of a run in sentences: what was asked, what each network's verdict rests on, what an
UNKNOWN lacks, and what the set of the image means."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from relrob.domain.record import NETWORKS, AttackRecord, Record, Set, WitnessView
from relrob.errors import how_many, printable
from relrob.report.run import grounding, wording
from relrob.store.header import Header, NetworkHeader

SETS: Final = {
    Set.RQFP: "Both networks are robust in the region: quantisation kept the robustness of this "
    "image.",
    Set.RFP: "The reference is robust in the region and the quantised network is fooled: "
    "quantisation lost the robustness of this image.",
    Set.RQ: "The reference is fooled, and the effective perturbations that decide do not fool the "
    "quantised network: quantisation stopped these attacks, others may succeed.",
    Set.R0: "The reference is fooled, and all effective perturbations that decide fool the "
    "quantised network too: the attacks survive the quantisation.",
    Set.MIXED: "The reference is fooled; of the effective perturbations that decide, some fool the "
    "quantised network too and some do not.",
    Set.UNKNOWN: "A verdict is missing, so the image is in none of the sets. It counts neither as "
    "robust nor as lost; every rate is given with both ways it could fall.",
    Set.L_IC: "The reference gives another label than the true one with no perturbation at all, so "
    "its robustness around this image is not asked, and no rate counts the image.",
}


@dataclass(frozen=True)
class Explanation:
    """Why an image has its verdicts, in words.

    `headline`: one sentence; `parts`: (title, sentences), in the order of reading; `record`: the
    row of the run; `witnesses`: one a network at most; `files`: of the run about the image.
    """

    headline: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    record: Record
    witnesses: tuple[WitnessView, ...]
    files: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The document of `relrob explain --json`."""
        return {
            "image": self.record.index,
            "set": str(self.record.set),
            "headline": self.headline,
            "parts": [{"title": title, "sentences": list(told)} for title, told in self.parts],
            "witnesses": [grounding.change(view).json() for view in self.witnesses],
            "record": {**asdict(self.record), "set": str(self.record.set)},
            "files": list(self.files),
        }

    def text(self, columns: int = 80) -> str:
        """The sentences in lines of at most `columns` columns, where words allow."""
        lines = [_filled(self.headline, columns, "")]
        for title, told in self.parts:
            lines += ["", title, *(_filled(each, columns, "  ") for each in told)]
        return "\n".join(lines)


def explanation(
    header: Header,
    record: Record,
    witnesses: Sequence[WitnessView] = (),
    attacks: Sequence[AttackRecord] = (),
    files: Sequence[str] = (),
) -> Explanation:
    """The explanation of one record of a run with that header."""
    label = named(header, record.label)
    parts: list[tuple[str, list[str]]] = [("Question", _question(header, record))]
    if record.set is not Set.L_IC:
        for name in NETWORKS:
            view = next((each for each in witnesses if each.network == name), None)
            told = grounding.verdict(header, record, name, view, lambda at: named(header, at))
            parts.append((f"Verdict on the {name} network", told))
        parts.append(("Attacks beside the verdicts", _attacks(attacks)))
    parts.append((f"Set {record.set}", [SETS[record.set], *_rule(header, record)]))
    parts.append(("Files", [printable(name) for name in files]))
    return Explanation(
        f"Image {record.index} ({label}): {_outcome(record)}.",
        tuple((title, tuple(told)) for title, told in parts if told),
        record,
        tuple(witnesses),
        tuple(files),
    )


def named(header: Header, label: int) -> str:
    """A label as text, with its class name where the data have names."""
    classes = header.dataset.classes
    known = f" {printable(classes[label])[:60]}" if 0 <= label < len(classes) else ""
    return f"label {label}{known if known != f' {label}' else ''}"


def _outcome(record: Record) -> str:
    if record.set is Set.L_IC:
        return "the reference is wrong before anything is perturbed"
    return (
        f"reference {record.reference_verdict}, quantised {record.quantised_verdict}, "
        f"set {record.set}"
    )


def _question(header: Header, record: Record) -> list[str]:
    """The clean image on both networks, and the region."""
    label = named(header, record.label)
    told = []
    for name in NETWORKS:
        network: NetworkHeader = getattr(header, name)
        said = record.reference_label if name == "reference" else record.quantised_label
        right = "which is right" if said == record.label else f"which is wrong: it is {label}"
        told.append(
            f"The {name} network is {printable(network.path)}, run by "
            f"{printable(network.runtime) or 'its default runtime'}; it gives the clean image "
            f"{named(header, said)}, {right}."
        )
    if record.set is not Set.L_IC:
        region = wording.region_words(header)
        size = f" It holds {how_many(record.points, 'image')}." if record.points is not None else ""
        told.append(f"Asked is {label} on the whole region: {region}.{size}")
    return told


def _rule(header: Header, record: Record) -> list[str]:
    """Counts of the effective perturbations that transfer, where they were counted."""
    if record.reference_effective and record.transferred is not None:
        told = (
            f"Of {record.reference_effective:,} perturbations that fool the reference, "
            f"{record.transferred:,} fool the quantised network too"
        )
        if record.closest_effective is not None and record.closest_transferred is not None:
            told += (
                f"; of the {record.closest_effective:,} of least cost, "
                f"{record.closest_transferred:,} do"
            )
        return [f"{told}. The run decides by --effective {printable(header.effective_rule)}."]
    return []


def _attacks(attacks: Sequence[AttackRecord]) -> list[str]:
    """What each attack found."""
    told = []
    for each in attacks:
        if each.inside:
            found = "found an image inside the region that fools it, replayed"
        elif each.found:
            found = f"found one only outside the region, at distance {each.distance:.4g}"
        else:
            found = "found none, which proves nothing"
        remark = f" ({printable(each.remark)})" if each.remark else ""
        told.append(f"{printable(each.attack)} on the {each.network} network {found}{remark}.")
    return told


def _filled(text: str, columns: int, before: str) -> str:
    return textwrap.fill(
        text,
        max(columns, 16),
        initial_indent=before,
        subsequent_indent=before,
        break_long_words=False,
        break_on_hyphens=False,
    )
