"""A study's tables in LaTeX (booktabs), laid out as Tables II and III of Duncan et al. 2020: for
each region and kernel family a table of relative robustness, one of adversarial transfer and one of
fooled images, each with a caption and at the width of a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from relrob.report.study.table_rows import Rate, TableRow

_NAMES: Final = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN",
    "fashion-mnist": "Fashion",
}


@dataclass(frozen=True)
class _Table:
    """`label` and `caption` of a kind of table; `whole`, `part`: heads of its two counts; `rate`:
    head of their ratio; `pick`: its rate of a row; `radius_first`: Table II orders lines by radius,
    Table III by step; `source`: where the paper prints its numbers."""

    label: str
    caption: str
    whole: str
    part: str
    rate: str
    pick: Callable[[TableRow], Rate]
    radius_first: bool
    source: str


_TABLES: Final = (
    _Table(
        "relative-robustness",
        r"Relative robustness: percentage of images in $R$ which are also in $R_Q^{FP}$",
        "$|R|$",
        "$|R_Q^{FP}|$",
        r"Rel.\ rob.",
        lambda row: row.robustness,
        True,
        "Table II",
    ),
    _Table(
        "adversarial-transfer",
        r"Adversarial transfer: percentage of images in $R^{NOT}$ which are also in $R^0$",
        "$|R^{NOT}|$",
        "$|R^0|$",
        "Transfer",
        lambda row: row.transfer,
        False,
        "Table III",
    ),
    _Table(
        "images-fooled",
        r"Images fooled: percentage of all images which are in $R^{NOT}$",
        "images",
        "$|R^{NOT}|$",
        "Fooled",
        lambda row: row.fooled,
        False,
        "Table III, of 10,000",
    ),
)


def latex(rows: Sequence[TableRow]) -> str:
    """All tables, to be read with \\input after \\usepackage{booktabs}."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in _TABLES:
        parts += [_table(table, name, mine) for name, mine in _groups(rows)]
    return "\n\n".join(parts) + "\n"


def _groups(rows: Sequence[TableRow]) -> list[tuple[str, list[TableRow]]]:
    """Rows of one region and kernel family; a data set that has two lines of one radius and step
    there starts a group of its own grid."""
    found: dict[str, dict[tuple[str, Fraction, Fraction | None], TableRow]] = {}
    for row in rows:
        key = (row.dataset, row.radius, row.step)
        name = f"{row.described}, {row.runtime}"
        if key in found.get(name, {}):
            name = f"{name}, {row.grid}"
        found.setdefault(name, {})[key] = row
    return [(name, list(mine.values())) for name, mine in found.items()]


def _table(table: _Table, name: str, rows: Sequence[TableRow]) -> str:
    told = any(table.pick(row).published is not None for row in rows)
    middle = ("$r$", "$|\\delta|$") if table.radius_first else ("$|\\delta|$", "$r$")
    heads = ["$D$", *middle, table.whole, table.part, f"{table.rate}, \\%", "95\\,\\%"]
    heads += ["publ.\\ \\%"] if told else []
    lines = [
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{_caption(table, name, rows, told)}}}",
        f"\\label{{tab:{table.label}-{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')}}}",
        "\\footnotesize",
        "\\setlength{\\tabcolsep}{2pt}",
        "\\renewcommand{\\arraystretch}{1.35}",
        f"\\begin{{tabular}}{{@{{}}lrr@{{\\ \\ }}rrrc{'r' if told else ''}@{{}}}}",
        "\\toprule",
        " & ".join(heads) + r" \\",
    ]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        lines.append("\\midrule")
        before: tuple[str, ...] = ("", "", "")
        for row in _ordered(table, [row for row in rows if row.dataset == dataset]):
            keys = (_data(dataset), *_keys(table, row))
            lines.append(" & ".join([*_new(keys, before), *_cells(table.pick(row), told)]) + r" \\")
            before = keys
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"])


def _caption(table: _Table, name: str, rows: Sequence[TableRow], told: bool) -> str:
    counts = sorted({row.images for row in rows})
    images = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    said = [
        f"{table.caption}. Region and kernels: {tex(name)}; {images} images a line.",
        "95\\,\\%: Wilson interval.",
    ]
    if any(table.pick(row).images.undecided for row in rows):
        said.append("Two ends: the least and the greatest that undecided images allow.")
    if told:
        said.append(f"Published: Duncan et al.\\ 2020, {table.source}.")
    if any(table.pick(row).agrees is False for row in rows):
        said.append("* lies outside the interval.")
    return " ".join(said)


def _ordered(table: _Table, rows: Sequence[TableRow]) -> list[TableRow]:
    """As in the paper: by radius, then steps from large to small; or by step, then radius."""
    if table.radius_first:
        return sorted(rows, key=lambda row: (row.radius, -(row.step or 0)))
    return sorted(rows, key=lambda row: (row.step or 0, row.radius))


def _data(name: str) -> str:
    return _NAMES.get(name) or tex(name)


def _keys(table: _Table, row: TableRow) -> tuple[str, str]:
    radius, step = str(row.radius), "--" if row.step is None else f"$\\pm{_fraction(row.step)}$"
    return (radius, step) if table.radius_first else (step, radius)


def _fraction(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _new(keys: Sequence[str], before: Sequence[str]) -> list[str]:
    """The first two of the three, where they differ from those of the line before, and the last."""
    shown, same = [], True
    for key, earlier in zip(keys[:2], before[:2], strict=True):
        same = same and key == earlier
        shown.append("" if same else key)
    return [*shown, keys[2]]


def _cells(rate: Rate, told: bool) -> list[str]:
    worst, best = rate.images.worst or (0, 0), rate.images.best or (0, 0)
    cells = [
        _span(f"{worst[1]:,}", f"{best[1]:,}"),
        _span(f"{worst[0]:,}", f"{best[0]:,}"),
    ]
    if rate.bounds is None or rate.interval is None:
        cells += ["--", "--"]
    else:
        low, high = rate.bounds
        cells += [_span(f"{low:.2f}", f"{high:.2f}"), "{:.1f}--{:.1f}".format(*rate.interval)]
    if told:
        mark = "*" if rate.agrees is False else ""
        cells.append("" if rate.published is None else f"{rate.published:.2f}{mark}")
    return cells


def _span(one: str, other: str) -> str:
    """One number, or two ends, the smaller one first."""
    return "--".join(sorted({one, other}, key=lambda text: float(text.replace(",", ""))))


def tex(text: str) -> str:
    """The text with every character escaped that LaTeX takes for a command.

    >>> print(tex("95 % of R_Q"))
    95 \\% of R\\_Q
    """
    marks = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(
        marks.get(letter, f"\\{letter}" if letter in "%_#&${}" else letter) for letter in text
    )
