"""Figures, galleries, tables and Parquet of studies: what is drawn is what the rows say, and the
same bytes each time."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from relrob.api.study import export_records, run_named, table_text, write_figures
from relrob.domain.record import Set
from relrob.errors import StoreError, UsageError
from relrob.report.study.figures import figures
from relrob.report.study.galleries import set_witnesses, table_witnesses
from relrob.report.study.gallery_figures import set_galleries, table_one
from relrob.report.study.parquet_file import parquet_bytes
from relrob.report.study.published import on_8bit_grid, published
from relrob.report.study.style import COLUMN
from relrob.store.study_directory import CellResult, read_study, records_of, witnesses_of
from relrob.store.summary import Summary
from tests.cli_case import Case, relrob_command
from tests.report.made_rows import row_of
from tests.report.test_panels import ROWS
from tests.study.grids import study_file

_NAMES = {Set.RFP: "R-FP", Set.RQ: "R-Q", Set.R0: "R-0", Set.MIXED: "R-mixed"}


def test_every_figure_is_in_print_and_the_same_each_time() -> None:
    made = figures(ROWS)
    assert sorted(made) == [
        f"{name}.{kind}"
        for name in ("fooled-by-label-g", "relative-robustness-mnist", "robust-mnist")
        for kind in ("pdf", "svg")
    ] + ["transfer-mnist.pdf", "transfer-mnist.svg"]
    assert figures(ROWS) == made
    for name, data in made.items():
        if name.endswith(".svg"):
            drawn = ET.fromstring(data)  # noqa: S314
            assert drawn.get("width") == f"{72 * COLUMN:g}pt" and b"<dc:date>" not in data
        else:
            assert data.startswith(b"%PDF-") and b"CreationDate" not in data
    assert figures([row_of(step=None)]) == {}
    assert "fooled-by-label-a-b-c.svg" in figures([row_of(grid="a/b  c")])


@pytest.fixture(scope="module")
def study(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    run_named(str(study_file(case, folder, "0:40")), folder / "out")
    return folder / "out"


def test_galleries_show_the_first_images_of_each_set(study: Path) -> None:
    _, cells = read_study(study)
    expected = {}
    for which in (Set.RFP, Set.RQ, Set.R0, Set.MIXED):
        first = dict.fromkeys(
            record.index for cell in cells for record in records_of(cell) if record.set is which
        )
        if first:
            expected[which] = list(first)[:12]
    made = set_witnesses(cells)
    assert {which: [each.view.index for each in mine] for which, mine in made.items()} == expected
    assert {each.view.network for each in made[Set.R0]} == {"reference"}
    assert sorted(set_galleries(cells)) == sorted(
        f"set-{_NAMES[which]}.{kind}" for which in expected for kind in ("svg", "pdf")
    )


def test_one_image_is_shown_at_every_radius_and_step(study: Path) -> None:
    _, cells = read_study(study)
    made = table_one(cells)
    assert sorted(made) == ["perturbed.pdf", "perturbed.svg"] and made == table_one(cells)
    frames = table_witnesses(cells)
    assert len({each.view.index for each in frames.values() if each is not None}) == 1
    robust = [replace(cell, options={**cell.options, "step": None}) for cell in cells]
    assert table_one(robust) == {}


def test_a_study_is_drawn_into_a_folder(study: Path, tmp_path: Path) -> None:
    drawn = write_figures(study, tmp_path / "one")
    assert drawn == sorted(path.name for path in (tmp_path / "one").iterdir()) and len(drawn) > 8
    write_figures(study, tmp_path / "two")
    for name in drawn:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    said = relrob_command(
        ["study", "figures", str(study), "-o", "three", "--json"], tmp_path
    ).stdout
    assert json.loads(said) == {"folder": "three", "files": drawn}


def test_parquet_has_what_the_csv_has(study: Path, tmp_path: Path) -> None:
    assert (
        export_records(study, tmp_path / "a.parquet")
        == export_records(study, tmp_path / "a.csv")
        == 160
    )
    export_records(study, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert table.num_rows == len(rows) == 160
    for ours, theirs in zip(table.to_pylist(), rows, strict=True):
        assert {name: "" if value is None else str(value) for name, value in ours.items()} == theirs
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["index"], kinds["set"], kinds["clean_regression"], kinds["points"]) == (
        "int64",
        "string",
        "bool",
        "int64",
    )
    with pytest.raises(UsageError, match=r"ends in \.csv or \.parquet"):
        export_records(study, tmp_path / "a.xls")


def test_counts_that_no_int64_holds_are_text_in_parquet(tmp_path: Path) -> None:
    rows = [["wide", 0, 2**78], ["wide", 1, None], ["wide", 2, 217]]
    (tmp_path / "wide.parquet").write_bytes(parquet_bytes(["grid", "index", "points"], rows))
    table = pyarrow.parquet.read_table(tmp_path / "wide.parquet")
    assert table.to_pydict() == {
        "grid": ["wide"] * 3,
        "index": [0, 1, 2],
        "points": [str(2**78), None, "217"],
    }
    rows[0][2] = 2**63 - 1
    (tmp_path / "wide.parquet").write_bytes(parquet_bytes(["grid", "index", "points"], rows))
    assert pyarrow.parquet.read_table(tmp_path / "wide.parquet")["points"].to_pylist() == [
        2**63 - 1,
        None,
        217,
    ]


def test_a_table_of_runs_and_studies(case: Case, study: Path, tmp_path: Path) -> None:
    relrob_command(case.arguments("--out", "mine", "-q"), tmp_path)
    document = json.loads(table_text([tmp_path / "mine", study], "json"))
    assert [cell["grid"] for cell in document["cells"]] == [
        "mine",
        "ladder",
        "ladder",
        "search",
        "search",
    ]
    assert not document["claims"]
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    ours = document["cells"][0]
    assert (ours["relative_robustness"]["part"], ours["fooled"]["part"]) == (
        summary["sets"]["R_Q^FP"],
        summary["sets"]["R_NOT"],
    )
    assert (ours["radius"], ours["step"], ours["dataset"]) == ("3", "1/2", "data")
    assert ours["relative_robustness"]["published"] is None
    shown = relrob_command(["table", "mine", str(study), "--format", "csv"], tmp_path).stdout
    assert shown == table_text([tmp_path / "mine", study], "csv") and shown.count("\n") == 6
    (tmp_path / "mine" / "summary.json").unlink()  # interrupted: the store alone
    again = json.loads(table_text([tmp_path / "mine"], "json"))["cells"][0]
    assert again == ours
    (tmp_path / "mine" / "summary.json").write_text("{}")
    with pytest.raises(StoreError, match="damaged"):
        table_text([tmp_path / "mine"], "json")
    refused = relrob_command(["table", "nowhere"], tmp_path, check=False)
    assert refused.returncode == 2 and "nowhere is not a run directory" in refused.stderr


def test_published_numbers_stand_beside_the_papers_quantisation_alone(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (cell, *_) = read_study(study)

    def as_if(scheme: str, step: str, arithmetic: str = "float32", **region: Any) -> CellResult:
        document = cell.summary.json()
        quantised = {**document["quantised"], "scheme": scheme}
        options = {"dataset": "mnist", "radius": "20", "step": step}
        changed = {**document["region"], "kind": "ladder", "features": 20, **region}
        reference = {**document["reference"], "arithmetic": arithmetic}
        summary = {
            **document,
            "reference": reference,
            "quantised": quantised,
            "region": changed,
        }
        return replace(cell, options=options, summary=Summary.of(summary))

    cells = [
        as_if("dynamic", "1/4"),
        as_if("dynamic", "64/255"),
        as_if("int8", "1/4"),
        as_if("dynamic", "1/3"),
    ]
    monkeypatch.setattr("relrob.api.study.read_runs", lambda runs: cells)
    told = [
        each["relative_robustness"]["published"]
        for each in json.loads(table_text([study], "json"))["cells"]
    ]
    assert told == [98.69, 98.69, None, None]
    cells[:] = [
        as_if("dynamic", "1/4", kind="search"),
        as_if("dynamic", "1/4", features="all"),
        as_if("dynamic", "1/4", kind="lattice"),
        as_if("dynamic", "1/4", "real"),
    ]
    told = [
        each["relative_robustness"]["published"]
        for each in json.loads(table_text([study], "json"))["cells"]
    ]
    assert told == [98.69, None, None, None]
    shown = table_text([study], "markdown")
    assert all(
        f"| {words} | " in shown
        for words in ("search", "ladder, F = all", "lattice", "ladder, reals")
    )


def test_the_8bit_grid_adds_names_and_changes_none() -> None:
    exact = published("duncan2020.csv")
    both = on_8bit_grid(exact)
    assert {key: both[key] for key in exact} == exact
    assert (
        both["mnist", Fraction(20), Fraction(64, 255)]
        == exact["mnist", Fraction(20), Fraction(1, 4)]
    )


def test_witnesses_of_a_cell_are_those_of_its_store(study: Path) -> None:
    _, cells = read_study(study)
    views = [
        view
        for cell in cells
        for record in records_of(cell)
        for view in witnesses_of(cell, record.index)
    ]
    assert views and {view.network for view in views} <= {"reference", "quantised"}
    copied = study.parent / "copied"
    shutil.copytree(study, copied)
    _, again = read_study(copied)
    assert [
        view.cost
        for cell in again
        for record in records_of(cell)
        for view in witnesses_of(cell, record.index)
    ] == [view.cost for view in views]
