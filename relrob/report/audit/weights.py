"""The comparison of the weights as text: a row a layer, a row an activation, the faults by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from relrob.audit.weight_report import Activation, WeightReport
from relrob.errors import printable

_LAYER: Final = 20
_SCHEME: Final = 16
_TOP: Final = ("layer", "scheme", "most", "rms", "beyond", "ends", "zero", "bias")
_RANGES: Final = ("activation", "range", "used", "cut off")


def weight_table(report: WeightReport) -> str:
    """Lines of at most 80 columns for a terminal.

    Errors are in steps of the scale, "most" the largest. "beyond": weights that are no rounding of
    the reference's; "ends": share of the codes at the ends of their range; "zero": share of weights
    that became 0; "bias": biases beyond rounding.
    """
    lines = [] if report.read else [f"The weights were not compared: {printable(report.reason)}."]
    if report.layers:
        lines += _aligned([_TOP, *map(_layer, report.layers)], (_LAYER, _SCHEME))
    if report.activations:
        lines += ["", *_aligned([_RANGES, *map(_activation, report.activations)], (34, 20))]
    return "\n".join(lines)


def _layer(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        printable(row["layer"]),
        row["scheme"],
        _number(row["largest_error"]),
        _number(row["rms_error"]),
        f"{row['beyond_rounding']:,}",
        f"{100 * row['saturated']:.1f}%",
        f"{100 * row['dead']:.1f}%",
        f"{row['biases_beyond_rounding']:,}",
    )


def _activation(each: Activation) -> tuple[str, ...]:
    return (
        f"{each.role} of {printable(each.layer)}",
        f"{each.low:.4g} .. {each.high:.4g}",
        f"{100 * each.filled:.0f}%",
        f"{100 * each.saturated:.2f}%",
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:.1e}"


def _aligned(rows: Sequence[tuple[str, ...]], widths: tuple[int, int]) -> list[str]:
    """Two columns of text of these widths at most, then numbers to the right."""
    cut = [
        (*(_shortened(cell, width) for cell, width in zip(row, widths, strict=False)), *row[2:])
        for row in rows
    ]
    sizes = [max(len(row[place]) for row in cut) for place in range(len(cut[0]))]
    return [
        "  ".join(
            cell.ljust(size) if place < 2 else cell.rjust(size)
            for place, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in cut
    ]


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
