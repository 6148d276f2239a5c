"""Copy what a run of the study duncan2020 says into this folder: README.md with its tables,
figures, records, witnesses that figures show, provenance; note.md, which is written by hand, goes
into README.md.

python -m reports.duncan2020.make STUDY_DIRECTORY
python -m reports.duncan2020.make --records

The second makes tables and figures again from records.parquet, witnesses.parquet and
provenance.json: nothing is decided or run.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatch
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from relrob.api.study import export_records, show_text
from relrob.domain.record import Record, Set, WitnessView
from relrob.report.study.figures import figures
from relrob.report.study.galleries import Frames, Shown, set_witnesses, table_witnesses
from relrob.report.study.gallery_figures import draw_sets, draw_table
from relrob.report.study.published import published
from relrob.report.study.table_rows import CLASSES, FEATURES, TableRow, study_rows
from relrob.report.study.text import study_text
from relrob.store.study_directory import CellResult, StudyHead, cell_of, read_study
from relrob.store.summarise import summarise
from relrob.study.spec import builtin, read_spec
from relrob.system.files import write_atomic
from reports.made import captioned, machine, packages, write_figures

# The picture of Table I, and what is kept of a witness besides its pixels.
TABLE = "Table I"
WITNESS = ("index", "network", "label", "reference_label", "quantised_label", "cost")
HERE = Path(__file__).resolve().parent
PACKAGES = (
    "relrob",
    "numpy",
    "scipy",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "onnxruntime",
    "matplotlib",
)
PICTURES = (
    (
        "relative-robustness-*.svg",
        "Relative robustness against the step (crosses: Table II). Shares stand on an angular "
        "axis, so that the last percents below 100 % can be told apart. Grids with undecided "
        "images have a figure of their own.",
    ),
    ("transfer-*.svg", "Adversarial transfer against the step (crosses: Table III)."),
    ("robust-*.svg", "Images on which each network is robust, against the step."),
    (
        "fooled-by-label-*.svg",
        "Images with an effective perturbation, by class: the paper's Figure 6, of the images that "
        "the reference gets right.",
    ),
    ("perturbed.svg", "One image at every radius and step: the paper's Table I."),
    (
        "set-R-FP.svg",
        "R^FP, the paper's Figure 4: the reference is right on every perturbed image, "
        "the quantised network is not.",
    ),
    (
        "set-R-Q.svg",
        "R_Q, the paper's Figure 5: what fools the reference does not fool the quantised network.",
    ),
    ("set-R-0.svg", "R^0: what fools the reference fools both."),
    ("set-R-mixed.svg", "R^mixed: some of what fools the reference fools both."),
)
# The grid of Table I's last line is there for its pictures alone.
UNDRAWN = ("*-radius-40.*", "fooled-by-label-mnist-search-40.*")


def grids(cells: Iterable[CellResult]) -> dict[str, dict[str, Any]]:
    """What was run of each grid: cells, images in each, undecided ones, minutes of work on one
    core."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        sets = cell.summary.sets
        entry = found.setdefault(
            cell.grid, {"cells": 0, "images": set(), "unknown": 0, "minutes_of_work": 0.0}
        )
        entry["cells"] += 1
        entry["images"].add(sets.images)
        entry["unknown"] += sets.unknown
        entry["minutes_of_work"] += cell.summary.seconds / 60
    for entry in found.values():
        entry["images"] = sorted(entry["images"])
        entry["minutes_of_work"] = round(entry["minutes_of_work"], 1)
    return found


def accuracies(cells: Iterable[CellResult]) -> dict[str, list[float | None]]:
    """Data set and runtime to the accuracy of reference and quantised network there."""
    found: dict[str, list[float | None]] = {}
    for cell in cells:
        header = cell.summary.header
        both = [header.reference.accuracy, header.quantised.accuracy]
        found[f"{cell.dataset}, {header.quantised.runtime}"] = both
    return found


def page(text: str, done: dict[str, dict[str, Any]], drawn: list[str]) -> str:
    """README.md: what was run, the pictures, and the tables of `text`."""
    title, tables = text.split("\n", 1)
    lines = [
        title,
        "",
        "Made by `relrob study run duncan2020` and `reports/duncan2020/make.py`; "
        "provenance.json says with what, records.parquet",
        "has a line an image and run. A search's robust images are those for which the paper's "
        "search finds nothing; a ladder's",
        "are proved, or run whole.",
        "",
        "| grid | cells | images a cell | undecided | minutes of work, one core |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, entry in done.items():
        images = ", ".join(f"{count:,}" for count in entry["images"])
        lines.append(
            f"| {name} | {entry['cells']} | {images} | {entry['unknown']} | "
            f"{entry['minutes_of_work']} |"
        )
    lines += ["", (HERE / "note.md").read_text(encoding="utf-8")]
    lines += captioned(PICTURES, drawn)
    return "\n".join(lines).rstrip("\n") + "\n" + tables


def main(directory: Path) -> None:
    """Write the report; nothing here is computed anew."""
    head, cells = read_study(directory)
    done, rows = grids(cells), study_rows(cells, published(head.published))
    sets, frames = set_witnesses(cells), table_witnesses(cells)
    keep_witnesses(sets, frames)
    drawn = draw(rows, sets, frames)
    export_records(directory, HERE / "records.parquet")
    write_atomic(HERE / "duncan2020.toml", builtin()["duncan2020"])
    for form, name in (("csv", "tables.csv"), ("latex", "tables.tex"), ("json", "tables.json")):
        write_atomic(HERE / name, show_text(directory, form))
    write_atomic(HERE / "README.md", page(show_text(directory, "markdown"), done, drawn))
    provenance = {
        "study": head.study,
        "sha256": head.sha256,
        "grids": done,
        "accuracies": accuracies(cells),
        "cells": [
            {
                "grid": cell.grid,
                "run": cell.summary.header.run,
                "radius": cell.summary.header.region.radius,
                "step": cell.summary.header.region.step,
                "seed": cell.summary.header.region.seed,
                "reference": cell.summary.header.reference.sha256,
                "quantised": cell.summary.header.quantised.sha256,
                "dataset": cell.summary.header.dataset.sha256,
            }
            for cell in cells
        ],
        "machine": machine(),
        "packages": packages(PACKAGES),
    }
    write_atomic(HERE / "provenance.json", json.dumps(provenance, indent=2) + "\n")


def draw(rows: list[TableRow], sets: dict[Set, list[Shown]], frames: Frames) -> list[str]:
    """Draw all figures; returns their names."""
    made = figures(rows) | draw_sets(sets) | draw_table(frames)
    made = {
        name: data
        for name, data in made.items()
        if not any(fnmatch(name, pattern) for pattern in UNDRAWN)
    }
    write_figures(HERE, made)
    return sorted(made)


def keep_witnesses(sets: dict[Set, list[Shown]], frames: Frames) -> None:
    """Write witnesses.parquet: a line for each picture, pixels as levels of 255."""
    lines = [line_of(which.value, one) for which, shown in sets.items() for one in shown]
    lines += [line_of(TABLE, one) for one in frames.values() if one is not None]
    write_lines(lines)


def write_lines(lines: list[dict[str, Any]]) -> None:
    """Write witnesses.parquet."""
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(lines), buffer, compression="zstd")
    write_atomic(HERE / "witnesses.parquet", buffer.getvalue())


def line_of(picture: str, shown: Shown) -> dict[str, Any]:
    """A line of witnesses.parquet."""
    view = shown.view
    levels = [
        np.rint(np.asarray(x) * 255).astype(np.uint8) for x in (view.original, view.perturbed)
    ]
    return {
        "picture": picture,
        "dataset": shown.dataset,
        "region": shown.region,
        "runtime": shown.runtime,
        "radius": str(shown.radius),
        "step": str(shown.step),
        **{name: getattr(view, name) for name in WITNESS},
        "shape": ",".join(map(str, view.shape)),
        "original": levels[0].tobytes(),
        "perturbed": levels[1].tobytes(),
    }


def kept_witnesses(cells: list[CellResult]) -> tuple[dict[Set, list[Shown]], Frames]:
    """The witnesses of witnesses.parquet: of each set, and of Table I. A cell of Table I without
    one is None."""
    lines = pyarrow.parquet.read_table(HERE / "witnesses.parquet").to_pylist()
    sets: dict[Set, list[Shown]] = {}
    for line in lines:
        if line["picture"] != TABLE:
            sets.setdefault(Set(line["picture"]), []).append(shown_of(line))
    told = [shown_of(line) for line in lines if line["picture"] == TABLE]
    there = {(shown.radius, shown.step): shown for shown in told}
    frames: dict[tuple[Fraction, Fraction], Shown | None] = {
        (Fraction(cell.options["radius"]), Fraction(cell.options["step"])): None
        for cell in cells
        if (cell.dataset, cell.summary.header.region.kind, cell.summary.header.quantised.runtime)
        == (told[0].dataset, told[0].region, told[0].runtime)
    }
    return sets, {key: there.get(key) for key in frames}


def shown_of(line: dict[str, Any]) -> Shown:
    """The witness of a line of witnesses.parquet."""
    original, perturbed = (
        np.frombuffer(line[name], np.uint8).astype(np.float32) / np.float32(255)
        for name in ("original", "perturbed")
    )
    height, width, channels = map(int, line["shape"].split(","))
    view = WitnessView(
        **{name: line[name] for name in WITNESS},
        original=original,
        perturbed=perturbed,
        shape=(height, width, channels),
        reference_margin=float("nan"),
        quantised_margin=float("nan"),
        moved=(),
    )
    return Shown(
        view,
        line["dataset"],
        line["region"],
        line["runtime"],
        Fraction(line["radius"]),
        Fraction(line["step"]),
        CLASSES.get(line["dataset"], ()),
    )


def kept_cells(made: dict[str, Any]) -> list[CellResult]:
    """The cells of records.parquet, in its order, with what provenance.json says of them."""
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in pyarrow.parquet.read_table(HERE / "records.parquet").to_pylist():
        rows.setdefault(tuple(row[name] for name in ("grid", "radius", "step")), []).append(row)
    features = {
        cell.grid: cell.options.get("features", FEATURES)
        for cell in read_spec("duncan2020", builtin()["duncan2020"], {}, {}).cells
    }
    cells = []
    for (key, mine), cell in zip(rows.items(), made["cells"], strict=True):
        first = mine[0]
        if key[:2] != (cell["grid"], cell["radius"]):
            raise SystemExit(f"{key} stands where {cell['grid']} was run")
        of = made["accuracies"][f"{first['dataset']}, {first['runtime']}"]
        region = {"kind": first["region"], "radius": first["radius"], "step": first["step"]}
        header = {
            "run": cell["run"],
            "dataset": {"name": first["dataset"], "sha256": cell["dataset"]},
            "reference": {"sha256": cell["reference"], "accuracy": of[0]},
            "quantised": {
                **{"sha256": cell["quantised"], "accuracy": of[1]},
                **{name: first[name] for name in ("scheme", "runtime")},
            },
            "region": region
            if key[0].endswith("search")
            else region | {"features": features[key[0]]},
        }
        records = [record_of(row) for row in mine]
        options = {name: first[name] for name in ("dataset", "radius", "step")}
        summary = summarise(records, header, 0.0)
        cells.append(cell_of(first["grid"], options, HERE, summary, records))
    return cells


def record_of(row: dict[str, Any]) -> Record:
    """A line of records.parquet; large counts are text there."""
    there = {field.name: row[field.name] for field in fields(Record) if field.name in row}
    for name in ("points", "proved"):
        there[name] = None if there[name] is None else int(there[name])
    return Record(**{**there, "set": Set(there["set"])})


def again() -> None:
    """Tables and figures from the records and witnesses that lie here."""
    made = json.loads((HERE / "provenance.json").read_text(encoding="utf-8"))
    head = StudyHead(
        made["study"],
        (HERE / "README.md").read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# "),
        "duncan2020.csv",
        made["sha256"],
    )
    cells = kept_cells(made)
    rows = study_rows(cells, published(head.published))
    drawn = draw(rows, *kept_witnesses(cells))
    for form, name in (("csv", "tables.csv"), ("latex", "tables.tex"), ("json", "tables.json")):
        write_atomic(HERE / name, study_text(head, rows, form))
    text = study_text(head, rows, "markdown")
    write_atomic(HERE / "README.md", page(text, made["grids"], drawn))


if __name__ == "__main__":
    again() if sys.argv[1] == "--records" else main(Path(sys.argv[1]))
