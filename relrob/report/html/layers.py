"""The layers of the quantised network, and the first one whose rounding flips an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relrob.report.html.charts import bar
from relrob.report.html.parts import Block, Cell, Column, Line, Notes, Section, Table, Tone

_SHAPED: Final = "{:,} to {:,}"


def section(
    weights: Mapping[str, Any] | None, flips: Mapping[int, str], told: str
) -> Section | None:
    """A table of layers, and one of images; None where nothing was compared."""
    if weights is None and not flips and not told:
        return None
    blocks: list[Block] = []
    if weights is not None:
        blocks += _compared(weights)
    if flips:
        blocks.append(
            Table(
                "First layer whose rounding flips an image",
                (Column("image", True), Column("layer")),
                tuple(
                    Line((Cell(str(index), link=f"i{index}"), layer))
                    for index, layer in sorted(flips.items())
                ),
                tall=len(flips) > 25,
            )
        )
    if told:
        blocks.append(Notes((told,)))
    return Section(
        "layers",
        "Layer by layer",
        "How far the rounding of each layer took its weights from the reference's, in steps of "
        "its scale: an error of half a step is what rounding to the nearest code leaves.",
        tuple(blocks),
    )


def _compared(weights: Mapping[str, Any]) -> list[Block]:
    if not weights["read"]:
        return [Notes((f"The weights were not compared: {weights['reason']}.",), Tone.OPEN)]
    layers: Sequence[Mapping[str, Any]] = weights["layers"]
    columns = (
        Column("layer"),
        Column("scheme"),
        Column("values", True, "in to out"),
        Column("error", hint="root of the mean square, in steps"),
        Column("largest", True, "in steps"),
        Column("saturated", True, "codes at the ends"),
        Column("dead", True, "became 0"),
        Column("beyond rounding", True, "weights"),
    )
    found: list[Block] = [
        Table(
            "Weights of the quantised network against the reference's",
            columns,
            tuple(map(_layer, layers)),
            tall=len(layers) > 25,
        )
    ]
    used = weights["activations"]
    if used:
        found.append(_activations(used))
    return found


def _layer(row: Mapping[str, Any]) -> Line:
    rms, beyond = float(row["rms_error"]), int(row["beyond_rounding"])
    told = f"{rms:.3f}" if rms < 1000 else f"{rms:.1e}"
    tone = Tone.BAD if rms > 0.5 else Tone.PLAIN
    return Line(
        (
            str(row["layer"]),
            str(row["scheme"]),
            _SHAPED.format(row["inputs"], row["outputs"]),
            Cell(told, tone, chart=bar(rms, tone, f"{told} steps")),
            f"{row['largest_error']:.3g}",
            f"{100 * row['saturated']:.2f}%",
            f"{100 * row['dead']:.1f}%",
            Cell(f"{beyond:,}", Tone.BAD if beyond else Tone.PLAIN),
        )
    )


def _activations(used: Sequence[Mapping[str, Any]]) -> Table:
    """How well the codes of activations fit the images."""
    rows = []
    for each in used:
        beyond = each["beyond"]
        if beyond is None:
            beyond = each.get("varied") or 0.0
        share = f"{100 * beyond:.2f}%"
        rows.append(
            Line(
                (
                    f"{each['role']} of {each['layer']}",
                    f"{each['low']:.4g} to {each['high']:.4g}",
                    f"{100 * each['used']:.0f}%",
                    Cell(share, Tone.OPEN if beyond > 0.01 else Tone.PLAIN),
                )
            )
        )
    columns = (
        Column("activation"),
        Column("range of the codes", True),
        Column("range in use", True),
        Column("cut off", True, "values beyond the range"),
    )
    return Table("Activations on the images", columns, tuple(rows), tall=len(rows) > 25)
