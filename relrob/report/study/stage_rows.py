"""The rows of a study of stages, picked by group and axes, for claims and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from relrob.report.study.sampled import Sampled, averaged, mean_of
from relrob.report.study.stage_text import GroupRows, ImageOutcomes

# The axes that tell repetitions from each other; the first is the independent unit.
UNIT: Final = ("seed", "run")

Values = dict[tuple[Any, ...], float]
# The same with the pulls of their images, where these are known.
Figures = dict[tuple[Any, ...], Sampled]
# The entry of a row with what became of its images.
_OUTCOMES: Final = "outcomes"


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of a study, by group. `open`: the groups of which stages are still to be made."""

    groups: Mapping[str, Sequence[Mapping[str, Any]]]
    open: frozenset[str] = frozenset()

    @staticmethod
    def of(groups: Iterable[GroupRows]) -> Rows:
        """From the groups of a study's directory."""
        found = list(groups)
        unmade = frozenset(each.group for each in found if each.done < each.stages)
        return Rows({each.group: _with_outcomes(each) for each in found}, unmade)

    def closed(self) -> Rows:
        """The rows that claims may rest on: a group of which stages are still to be made has none.
        A claim about every width must not be reproduced by those that happen to be made."""
        kept = {name: () if name in self.open else rows for name, rows in self.groups.items()}
        return Rows(kept)

    def picked(self, group: str, **axes: Any) -> list[Mapping[str, Any]]:
        """The rows of a group with these axes; None stands for a row that lacks the axis, or has
        the empty text."""
        return [
            row
            for row in self.groups.get(group, ())
            if all(_there(row.get(key)) == _there(value) for key, value in axes.items())
        ]

    def values(self, group: str, metric: str, **axes: Any) -> Values:
        """(seed, run) to a metric of a group's rows with these axes. Rows without the metric are
        left out; several of one seed and run are averaged."""
        found: dict[tuple[Any, ...], list[float]] = {}
        for row in self.picked(group, **axes):
            if row.get(metric) is not None:
                found.setdefault(tuple(row.get(key) for key in UNIT), []).append(row[metric])
        return {key: sum(values) / len(values) for key, values in found.items()}

    def sampled(
        self,
        group: str,
        metric: str,
        where: Callable[[Mapping[str, Any]], bool] = lambda row: True,
        **axes: Any,
    ) -> Figures:
        """The same as `values`, each with the pulls of the images that it was measured on, of the
        rows alone that `where` accepts."""
        found: dict[tuple[Any, ...], list[Sampled]] = {}
        for row in self.picked(group, **axes):
            if row.get(metric) is not None and where(row):
                found.setdefault(tuple(row.get(key) for key in UNIT), []).append(
                    _sampled(row, metric)
                )
        return {key: averaged(figures) for key, figures in found.items()}

    def mean(self, group: str, metric: str, **axes: Any) -> float | None:
        """The mean over seeds and runs, None where there are none."""
        values = self.values(group, metric, **axes)
        return sum(values.values()) / len(values) if values else None

    def axis(self, group: str, name: str) -> list[Any]:
        """The values of an axis in a group, in the order of the study, without the empty one."""
        found = dict.fromkeys(row.get(name) for row in self.groups.get(group, ()))
        return [value for value in found if value not in (None, "")]


def _with_outcomes(group: GroupRows) -> Sequence[Mapping[str, Any]]:
    if not group.outcomes:
        return group.rows
    return [{**row, _OUTCOMES: each} for row, each in zip(group.rows, group.outcomes, strict=True)]


def _sampled(row: Mapping[str, Any], metric: str) -> Sampled:
    """A row's metric, whose value is the row's own."""
    outcomes: ImageOutcomes | None = row.get(_OUTCOMES)
    each = None if outcomes is None else outcomes.each(metric)
    if outcomes is None or each is None:
        return Sampled(float(row[metric]), {})
    found = mean_of(outcomes.dataset, outcomes.places, each)
    return Sampled(float(row[metric]), {} if found is None else found.pulls)


def _there(value: Any) -> Any:
    return None if value == "" else value
