"""The rows of a study of stages as Markdown, CSV, LaTeX and JSON: a table a group."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from relrob.domain.arrays import Doubles, Ints
from relrob.errors import UsageError
from relrob.report.run.table import escape
from relrob.report.study.judgement import PaperClaim
from relrob.report.study.latex import tex
from relrob.report.study.text import claims_json, claims_markdown

FORMATS: Final = ("markdown", "csv", "latex", "json")


class ImageOutcomes(Protocol):
    """What became of each image (n,) that a row was measured on."""

    @property
    def dataset(self) -> str:
        """The name of the images' data set."""
        ...

    @property
    def places(self) -> Ints:
        """The places (n,) of the images there."""
        ...

    def each(self, metric: str) -> Doubles | None:
        """The values (n,) whose mean is that column of the row, NaN for an image that does not
        count; None for a column that is no mean over images."""
        ...


@dataclass(frozen=True)
class GroupRows:
    """The results of a group: `rows` (the axes of a stage, then a row of it), of `stages` stages
    `done`. `outcomes`: for each row what became of its images, None where nobody wrote it; empty
    where nobody asked."""

    group: str
    kind: str
    stages: int
    done: int
    rows: tuple[dict[str, Any], ...]
    outcomes: tuple[ImageOutcomes | None, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Of all rows, in the order in which they appear."""
        return list(dict.fromkeys(key for row in self.rows for key in row))


def stages_text(
    title: str, groups: Sequence[GroupRows], form: str, claims: Sequence[PaperClaim] = ()
) -> str:
    """The study in one of FORMATS; the claims stand in Markdown and JSON. Raises UsageError for
    another format."""
    makers = {
        "markdown": lambda: _markdown(title, groups, claims),
        "csv": lambda: _csv(groups),
        "latex": lambda: "\n".join(_latex(group) for group in groups if group.rows),
        "json": lambda: (
            json.dumps(stages_json(title, groups, claims), indent=2, allow_nan=False) + "\n"
        ),
    }
    if form not in makers:
        raise UsageError(f"format {form!r}", ", ".join(FORMATS))
    return makers[form]()


def stages_json(
    title: str, groups: Sequence[GroupRows], claims: Sequence[PaperClaim] = ()
) -> dict[str, Any]:
    """The document of `--format json`."""
    return {
        "title": title,
        "groups": [
            {
                "group": each.group,
                "kind": each.kind,
                "stages": each.stages,
                "done": each.done,
                "rows": [dict(row) for row in each.rows],
            }
            for each in groups
        ],
        "claims": claims_json(claims),
    }


def shown(value: Any) -> str:
    """A cell: four significant digits, nothing for None.

    >>> shown(0.123456), shown(None), shown(12), shown(True)
    ('0.1235', '', '12', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _markdown(title: str, groups: Sequence[GroupRows], claims: Sequence[PaperClaim]) -> str:
    lines = [f"# {escape(title)}", "", *claims_markdown(claims)]
    for each in groups:
        lines += [f"## {escape(each.group)}", "", f"{each.done} of {each.stages} stages done.", ""]
        if each.rows:
            columns = each.columns
            numbers = [
                all(isinstance(r.get(c), (int, float, type(None))) for r in each.rows)
                for c in columns
            ]
            lines += [
                "| " + " | ".join(map(escape, columns)) + " |",
                "| " + " | ".join("---:" if right else "---" for right in numbers) + " |",
            ]
            for row in each.rows:
                cells = [escape(shown(row.get(column))) for column in columns]
                lines.append("| " + " | ".join(cells) + " |")
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _csv(groups: Sequence[GroupRows]) -> str:
    """One table: the group, then every column of every group."""
    columns = list(dict.fromkeys(column for each in groups for column in each.columns))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", *columns])
    for each in groups:
        for row in each.rows:
            values = [row.get(column) for column in columns]
            writer.writerow([each.group, *("" if value is None else value for value in values)])
    return text.getvalue()


def _latex(group: GroupRows) -> str:
    columns = group.columns
    lines = [
        f"% {group.group}",
        rf"\begin{{tabular}}{{{'l' * len(columns)}}}",
        r"\toprule",
        " & ".join(tex(column) for column in columns) + r" \\",
        r"\midrule",
        *(
            " & ".join(tex(shown(row.get(column))) for column in columns) + r" \\"
            for row in group.rows
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"
