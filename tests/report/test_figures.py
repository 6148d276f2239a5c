"""Figures, galleries, tables and Parquet of studies: what is drawn is what the rows say, and the
same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image

from relrob.api.study import export_records, run_named, table_text, write_figures
from relrob.domain.record import Set
from relrob.errors import StoreError, UsageError
from relrob.report.study import figures as drawing
from relrob.report.study.figures import figures
from relrob.report.study.galleries import set_galleries, table_one
from relrob.report.study.parquet_file import parquet_bytes
from relrob.report.study.published import on_8bit_grid, published
from relrob.report.study.table_rows import TableRow
from relrob.store.study_directory import CellResult, read_study, records_of, witnesses_of
from relrob.store.summary import Summary
from tests.cli_case import Case, relrob_command
from tests.report.made_rows import rate, row_of
from tests.study.grids import study_file


def cells_of(*more: dict[str, Any]) -> list[TableRow]:
    return [row_of(**each) for each in more]


ROWS = cells_of(
    {
        "step": Fraction(1),
        "transfer": rate(90, 100, 98.9),
        "by_label": {0: rate(1, 4), 7: rate(3, 4)},
    },
    {"step": Fraction(1, 2), "transfer": rate(80, 100), "by_label": {0: rate(0, 4), 7: rate(1, 4)}},
    {"step": Fraction(1, 4), "radius": Fraction(10), "robustness": rate(0, 0)},
    {"step": Fraction(1, 4), "runtime": "xnnpack"},
    {"step": None},
)


def drawn(draw: Callable[[list[TableRow]], Figure]) -> Figure:
    return draw([row for row in ROWS if row.step is not None])


def bars(figure: Figure) -> dict[str, dict[str, list[float]]]:
    """Panel title -> step -> heights."""
    found: dict[str, dict[str, list[float]]] = {}
    for axes in figure.axes:
        for container in axes.containers:
            assert isinstance(container, BarContainer)
            heights = [patch.get_height() for patch in container.patches]
            found.setdefault(axes.get_title(), {})[str(container.get_label())] = heights
    return found


def lines(figure: Figure) -> dict[tuple[str, str, str], list[tuple[float, float]]]:
    """(title, y label, name) -> points of every line with error bars or crosses."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for axes in figure.axes:
        for container in axes.containers:
            assert isinstance(container, ErrorbarContainer)
            line = container.lines[0]
            assert line is not None
            points = [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
            found[axes.get_title(), axes.get_ylabel(), str(container.get_label())] = points
        for line in axes.get_lines():
            if "published" in str(line.get_label()):
                points = [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
                found[axes.get_title(), axes.get_ylabel(), str(line.get_label())] = points
    return found


def test_bars_are_the_shares_of_each_label() -> None:
    assert bars(drawn(drawing._fooled)) == {
        "g, builtin, radius 20": {"1": [25.0, 75.0], "1/2": [0.0, 25.0]},
        "g, builtin, radius 10": {"1/4": [25.0, 0.0]},
        "g, xnnpack, radius 20": {"1/4": [25.0, 0.0]},
    }


def test_lines_are_the_rates() -> None:
    found = lines(drawn(drawing._rates))
    transfer = {
        key: points
        for key, points in found.items()
        if "transfer" in key[1] and key[0] == "g, builtin"
    }
    (ours,) = [points for key, points in transfer.items() if key[2] == "radius 20"]
    assert [y for _, y in ours] == [80.0, 90.0]
    assert [x for x, _ in ours] == pytest.approx([0.5, 1.0], rel=0.1)
    (told,) = [points for key, points in transfer.items() if key[2] == "radius 20, published"]
    assert [y for _, y in told] == [98.9]
    robust = lines(drawn(drawing._robust))
    assert {key[2] for key in robust} == {
        f"{n}, radius {r}" for n in ("reference", "quantised") for r in (10, 20)
    }
    assert {y for key, points in robust.items() for _, y in points if "reference" in key[2]} == {
        90.0
    }
    assert {y for key, points in robust.items() for _, y in points if "quantised" in key[2]} == {
        89.0
    }


def test_a_range_shows_every_rate_but_not_the_whole_interval_of_three_images() -> None:
    assert drawing._range([rate(3, 3), rate(0, 0)]) == pytest.approx((99.94, 100.06))
    low, high = drawing._range([rate(990, 1000, 97.0), rate(2, 4)])
    assert low < 50 and high > 100
    assert drawing._range([rate(0, 10)])[0] == 0


def test_every_figure_is_a_picture_and_the_same_each_time() -> None:
    made = figures(ROWS)
    assert sorted(made) == [
        f"{name}.{kind}"
        for name in ("fooled-by-label-g", "rates", "robust")
        for kind in ("png", "svg")
    ]
    assert figures(ROWS) == made
    for name, data in made.items():
        if name.endswith(".svg"):
            drawn = ET.fromstring(data)  # noqa: S314
            assert drawn.tag.endswith("svg") and b"<dc:date>" not in data
        else:
            picture = Image.open(io.BytesIO(data)).convert("L")
            assert picture.width > 600 and np.asarray(picture).std() > 10
    assert figures(cells_of({"step": None})) == {}
    assert "fooled-by-label-a-b-c.svg" in figures(cells_of({"grid": "a/b  c"}))


@pytest.fixture(scope="module")
def study(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    run_named(str(study_file(case, folder, "0:40")), folder / "out")
    return folder / "out"


def test_galleries_show_the_first_images_of_each_set(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cells = read_study(study)
    seen: list[list[int]] = []

    def noted(views: list[Any], limit: int) -> bytes:
        seen.append([view.index for view in views])
        return b"x"

    monkeypatch.setattr("relrob.report.study.galleries.gallery_png", noted)
    made = set_galleries(cells)
    expected = {}
    for which, name in (
        (Set.RFP, "R-FP"),
        (Set.RQ, "R-Q"),
        (Set.R0, "R-0"),
        (Set.MIXED, "R-mixed"),
    ):
        first = dict.fromkeys(
            record.index for cell in cells for record in records_of(cell) if record.set is which
        )
        if first:
            expected[f"set-{name}.png"] = list(first)[:12]
    assert dict(zip(made, seen, strict=True)) == expected
    assert "set-R-0.png" in made


def test_one_image_is_shown_at_every_radius_and_step(study: Path) -> None:
    _, cells = read_study(study)
    made = table_one(cells)
    assert sorted(made) == ["perturbed.png", "perturbed.svg"] and made == table_one(cells)
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


def test_undecided_images_are_bars_without_a_marker() -> None:
    """Of ten images four robust and three open: 40 to 70 %, the interval of 4 and of 7 of 10."""
    rows = [row_of(robustness=rate(4, 10, None, 3)), row_of(step=Fraction(1, 2))]
    axes = drawing._rates(rows).axes[0]
    (container,) = axes.containers
    assert isinstance(container, ErrorbarContainer) and container.lines[0] is not None
    ys = np.asarray(container.lines[0].get_xydata())[:, 1]
    assert np.isnan(ys[0]) and ys[1] == 100
    spans = [
        [tuple(np.asarray(path.vertices)[:, 1].tolist()) for path in drawn.get_paths()]
        for drawn in axes.collections
    ]
    assert [pytest.approx((40, 70))] in spans
    assert [pytest.approx((16.82, 89.22), abs=0.01)] in spans
    open_ = row_of(by_label={0: rate(1, 4, None, 2)}, step=Fraction(1, 2))
    bars_ = [c for c in drawing._fooled([open_]).axes[0].containers if isinstance(c, BarContainer)]
    assert [[p.get_height() for p in c.patches] for c in bars_] == [[25.0], [50.0]]
