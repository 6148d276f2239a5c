"""A run as a page reads it: its summary, records, witnesses and evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from relrob.domain.record import AttackRecord, Record, Set, WitnessView, by_network
from relrob.errors import StoreError
from relrob.report.class_names import class_name
from relrob.store.evidence import Evidence, read_evidence
from relrob.store.header_check import check_header
from relrob.store.images import asked
from relrob.store.run_directory import Store
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from relrob.system.json_file import damage, read_json

# Images of which a page keeps a small picture: of a set, and in the table of images.
SHOWN: Final = 12
FIRST: Final = 100


@dataclass(frozen=True, eq=False)
class RunData:
    """A finished run. `attacks`: index to what attacks found; `config`: all that decides its
    records; `witnesses`: index of an image to its witnesses by network."""

    summary: Summary
    records: tuple[Record, ...]
    attacks: Mapping[int, tuple[AttackRecord, ...]]
    evidence: Evidence
    config: Mapping[str, Any]
    witnesses: Callable[[int], Mapping[str, WitnessView]] = field(repr=False)

    @cached_property
    def first(self) -> frozenset[int]:
        """The images that have a small picture in the table of images."""
        return frozenset(sorted(record.index for record in self.records)[:FIRST])

    def name(self, label: int) -> str:
        """A class as a reader knows it: "7", or "7 cat"."""
        return class_name(label, self.summary.header.dataset.classes)


@contextmanager
def open_run(directory: Path) -> Iterator[RunData]:
    """The run in a directory. Raises StoreError where it is not finished or damaged."""
    path = directory / "summary.json"
    with Store.read(directory) as store:
        if not path.is_file():
            raise StoreError(
                f"{directory} has no summary.json", "a finished run", "relrob verify again"
            )
        accepted = "a summary.json that relrob verify wrote"
        document = read_json(path, accepted)
        with damage(path, accepted):
            header = Summary.of(document).header.json()
            if ("attacks" in document) != ("attacks" in store.config):
                raise ValueError("its attacks are not those of the store")
        asked_for = {key: document[key] for key in ("attacks",) if key in document}
        check_header(path, {**header, **asked_for}, store.config, store.run)
        records, attacks = tuple(store.records(asked(document))), store.attacks()
        seconds = store.seconds()
        spent = sum(seconds[record.index] for record in records)
        with damage(path, accepted):
            summary = summarise(records, {**header, **asked_for}, spent, attacks)
        yield RunData(
            summary,
            records,
            attacks,
            read_evidence(directory),
            store.config,
            by_network(store.witnesses),
        )


def without_witness(records: Sequence[Record]) -> list[int]:
    """The images whose picture a page wants and no witness holds: the first of each set, and of
    all."""
    wanted: dict[int, None] = {}
    for which in Set:
        wanted |= dict.fromkeys([r.index for r in records if r.set is which][:SHOWN])
    ordered = sorted(record.index for record in records)
    wanted |= dict.fromkeys(ordered[:FIRST])
    fooled = {
        record.index
        for record in records
        if "NOT_ROBUST" in (record.reference_verdict, record.quantised_verdict)
    }
    return [index for index in wanted if index not in fooled]
