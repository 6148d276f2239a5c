"""What the commands return in Python: frozen values with a record for each image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrob.domain.record import AttackRecord, Record
from relrob.registry import load, load_extra
from relrob.store.summary import Summary

if TYPE_CHECKING:
    from relrob.audit.gate import RuleResult
    from relrob.audit.rows import Row
    from relrob.domain.radius import RadiusRecord
    from relrob.store.radius_summary import RadiusSummary
    from relrob.store.study_directory import CellResult


def frame(records: Sequence[Any]) -> Any:
    """Records as a pandas DataFrame, a line each. Raises UsageError where pandas is not
    installed."""
    return load_extra("pandas:DataFrame", "pandas")([asdict(record) for record in records])


@dataclass(frozen=True, eq=False)
class VerifyResult(Mapping[str, Any]):
    """A run of `relrob.verify`: summary.json as a mapping (`result["sets"]`, with "directory"), and
    as values.

    `summary`: its counts and rates; `records`: one an image, in the order asked for; `directory`:
    of the run; `attacks`: index to what attacks found around that image, where they were asked for.
    """

    summary: Summary
    records: tuple[Record, ...]
    directory: Path
    attacks: Mapping[int, tuple[AttackRecord, ...]] = field(default_factory=dict)

    @property
    def witnesses(self) -> tuple[Path, ...]:
        """The .npz of each witness of the run, by index and network."""
        wanted = {record.index for record in self.records}
        found = sorted((self.directory / "witnesses").glob("*.npz"))
        return tuple(path for path in found if int(path.name.partition("-")[0]) in wanted)

    def json(self) -> dict[str, Any]:
        """summary.json."""
        return self.summary.json()

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame (relrob[pandas]). Raises UsageError."""
        return frame(self.records)

    def _repr_html_(self) -> str:
        """The head of its page, for a notebook."""
        found: str = load("relrob.report.html.heads:run_head")(self.summary)
        return found

    def _document(self) -> dict[str, Any]:
        return {**self.summary.json(), "directory": str(self.directory)}

    def __getitem__(self, key: str) -> Any:
        return self._document()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._document())

    def __len__(self) -> int:
        return len(self._document())


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A study as far as it was run: its cells with their summaries, from `directory`.

    `names` and `lines`: the records of all cells, the columns of `relrob study export`.
    """

    cells: tuple[CellResult, ...]
    directory: Path
    document: str
    names: tuple[str, ...]
    lines: tuple[tuple[Any, ...], ...]

    def json(self) -> dict[str, Any]:
        """The document of `relrob study show --format json`."""
        found: dict[str, Any] = json.loads(self.document)
        return found

    def _repr_html_(self) -> str:
        """The head of its page, for a notebook."""
        found: str = load("relrob.report.html.heads:study_head")(self.json())
        return found

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame (relrob[pandas]). Raises UsageError."""
        rows = [dict(zip(self.names, line, strict=True)) for line in self.lines]
        return load_extra("pandas:DataFrame", "pandas")(rows)


@dataclass(frozen=True, eq=False)
class AuditResult:
    """An audit: `verdict` ("ship", "do not ship" or "cannot say"), its sentences, the rules, and a
    record for every image of the data set.

    `directory` holds the files; `document` is the text of audit.json. `summary`: of the run, None
    where robustness was not run.
    """

    verdict: str
    sentences: tuple[str, ...]
    rules: tuple[RuleResult, ...]
    records: tuple[Row, ...]
    summary: Summary | None
    directory: Path
    document: str

    @property
    def passed(self) -> bool:
        """May it be shipped?"""
        shipped: str = load("relrob.audit.gate:SHIP")
        return self.verdict == shipped

    @property
    def sentence(self) -> str:
        """The first one."""
        return self.sentences[0]

    @property
    def exit_code(self) -> int:
        """0 ship, 1 do not ship, 3 cannot say."""
        codes: Mapping[str, int] = load("relrob.audit.gate:EXIT")
        return codes[self.verdict]

    @property
    def witnesses(self) -> tuple[Path, ...]:
        """The .npz of each witness of the run, by index and network."""
        return tuple(sorted((self.directory / "run" / "witnesses").glob("*.npz")))

    def json(self) -> dict[str, Any]:
        """audit.json."""
        found: dict[str, Any] = json.loads(self.document)
        return found

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame (relrob[pandas]). Raises UsageError."""
        return frame(self.records)

    def _repr_html_(self) -> str:
        """The head of its page, for a notebook."""
        found: str = load("relrob.report.html.heads:audit_head")(self.json())
        return found


@dataclass(frozen=True, eq=False)
class RadiusResults:
    """Critical radii of `relrob.radius`: `summary`, whose `records` are one an image in the order
    asked for, and the `directory` with the files."""

    summary: RadiusSummary
    directory: Path

    @property
    def records(self) -> tuple[RadiusRecord, ...]:
        """One an image."""
        return self.summary.records

    def json(self) -> dict[str, Any]:
        """radius.json."""
        return self.summary.json()

    def to_pandas(self) -> Any:
        """The lines of radius.csv as a pandas DataFrame (relrob[pandas]). Raises UsageError."""
        make = load_extra("pandas:DataFrame", "pandas")
        return make([record.row() for record in self.records])

    def _repr_html_(self) -> str:
        """The head of its page, for a notebook."""
        found: str = load("relrob.report.html.heads:radius_head")(self.summary)
        return found
