"""Copy what a run of the study duncan2020 says into this folder: README.md with its tables,
figures, records, provenance; note.md, which is written by hand, goes into README.md.

python reports/duncan2020/make.py STUDY_DIRECTORY
python reports/duncan2020/make.py --records

The second makes tables and figures of rates again from records.parquet and provenance.json.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import fields
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet

from relrob.api.study import export_records, show_text, write_figures
from relrob.domain.record import Record, Set
from relrob.report.study.figures import figures
from relrob.report.study.published import published
from relrob.report.study.table_rows import FEATURES, study_rows
from relrob.report.study.text import study_text
from relrob.store.study_directory import CellResult, StudyHead, cell_of, read_study
from relrob.store.summarise import summarise
from relrob.study.spec import builtin, read_spec
from relrob.system.files import write_atomic

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
        "robust.svg",
        "Images on which each network is robust, against the step, with Wilson intervals; thick "
        "bars without a marker: from the least to the greatest that undecided images allow.",
    ),
    (
        "rates.svg",
        "Relative robustness and adversarial transfer against the step; crosses: published "
        "(Tables II and III). Intervals that rest on fewer than 30 images run out of the picture.",
    ),
    (
        "fooled-by-label-*.svg",
        "Images with an effective perturbation, by label: the paper's Figure 6; hatched: undecided "
        "images.",
    ),
    ("perturbed.svg", "One image at every radius and step: the paper's Table I."),
    (
        "set-R-FP.png",
        "R^FP, the paper's Figure 4: the reference is right on every perturbed image, "
        "the quantised network is not.",
    ),
    (
        "set-R-Q.png",
        "R_Q, the paper's Figure 5: what fools the reference does not fool the quantised network.",
    ),
    ("set-R-0.png", "R^0: what fools the reference fools both."),
    ("set-R-mixed.png", "R^mixed: some of what fools the reference fools both."),
)


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


def vectors() -> list[str]:
    """Which vector instructions the processor has: kernels choose their sums by them."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return [name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if name in flags]


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
    for pattern, caption in PICTURES:
        names = [name for name in drawn if fnmatch(name, pattern)]
        if names:
            lines += [caption, "", *[f"![{name}](figures/{name})\n" for name in names]]
    return "\n".join(lines).rstrip("\n") + "\n" + tables


def main(directory: Path) -> None:
    """Write the report; nothing here is computed anew."""
    head, cells = read_study(directory)
    done, drawn = grids(cells), write_figures(directory, HERE / "figures")
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
        "machine": f"{platform.machine()} ({', '.join(vectors())}), "
        f"{len(os.sched_getaffinity(0))} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
        "packages": {name: version(name) for name in PACKAGES},
    }
    write_atomic(HERE / "provenance.json", json.dumps(provenance, indent=2) + "\n")


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
    """Tables and figures of rates from the records that lie here; galleries stay as they are."""
    made = json.loads((HERE / "provenance.json").read_text(encoding="utf-8"))
    head = StudyHead(
        made["study"],
        (HERE / "README.md").read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# "),
        "duncan2020.csv",
        made["sha256"],
    )
    rows = study_rows(kept_cells(made), published(head.published))
    for name, data in figures(rows).items():
        write_atomic(HERE / "figures" / name, data)
    for form, name in (("csv", "tables.csv"), ("latex", "tables.tex"), ("json", "tables.json")):
        write_atomic(HERE / name, study_text(head, rows, form))
    drawn = sorted(path.name for path in (HERE / "figures").iterdir())
    text = study_text(head, rows, "markdown")
    write_atomic(HERE / "README.md", page(text, made["grids"], drawn))


if __name__ == "__main__":
    again() if sys.argv[1] == "--records" else main(Path(sys.argv[1]))
