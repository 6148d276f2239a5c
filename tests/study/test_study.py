"""Studies: what a TOML file means, runs that resume after a kill, tables beside published numbers,
exports without a clock."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from relrob.api.study import export_records, list_studies, run_named, show, show_text
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.report.study.claims import Judgement, claims
from relrob.report.study.published import published
from relrob.report.study.rows import Rate, StudyRow
from relrob.report.study.text import study_text
from relrob.store.run_directory import Store
from relrob.store.study_directory import read_study, records_of
from relrob.study.spec import builtin, find_spec, read_spec
from tests.cli_case import Case, relrob_command
from tests.support import shared_data

GRID = '[[grid]]\nname = "a"\nradius = "1"\nstep = "1/2"\n'


def study_file(case: Case, folder: Path, images: str = "0:12") -> Path:
    """Two ladders and two searches on the small data set."""
    path = folder / "small.toml"
    path.write_text(
        f"""
title = "A small | study"
[defaults]
dataset = "{case.data}"
reference = "{case.reference}"
quantised = "{case.quantised}"
images = "{images}"
axes = 3
radius = [2, "3"]
[[grid]]
name = "ladder"
step = 0.5
features = 8
[[grid]]
name = "search"
region = "search"
step = "1/2"
evaluations = 60
"""
    )
    return path


def test_a_list_is_a_cell_a_value_in_every_combination() -> None:
    text = '[defaults]\nimages = "0:3"\n' + GRID.replace('"1"', "[1, 0.5]").replace(
        '"1/2"', '["1", "1/4"]'
    )
    text += GRID.replace('"a"', '"b"')
    spec = read_spec("mine", text, {}, {})
    found = [(cell.grid, cell.options["radius"], cell.options["step"]) for cell in spec.cells]
    assert found == [
        ("a", "1", "1"),
        ("a", "1", "1/4"),
        ("a", "0.5", "1"),
        ("a", "0.5", "1/4"),
        ("b", "1", "1/2"),
    ]
    assert {cell.request().images for cell in spec.cells} == {"0:3"}
    changed = read_spec("mine", text, {"images": "7"}, {"mnist": "x.h5"})
    assert {(cell.request().images, cell.request().reference) for cell in changed.cells} == {
        ("7", "x.h5")
    }
    assert spec.sha256 == changed.sha256


def test_references_are_of_data_sets() -> None:
    text = GRID.replace("[[grid]]", '[[grid]]\ndataset = ["mnist", "cifar10"]')
    spec = read_spec("mine", text, {}, {"cifar10": "c.h5"})
    assert [cell.options.get("reference") for cell in spec.cells] == [None, "c.h5"]
    with pytest.raises(
        UsageError, match="a reference for the data set 'cifar'; accepted: mnist, cifar10"
    ):
        read_spec("mine", text, {}, {"cifar": "c.h5"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "study mine: Invalid value"),
        ('titel = "x"\n' + GRID, "option 'titel'"),
        ('title = "x"', "without a grid"),
        ("grid = 3", "without a grid"),
        ("defaults = 3\n" + GRID, "defaults 3"),
        ("[defaults]\nradus = 3\n" + GRID, "defaults: option 'radus'"),
        (GRID + "stepp = 1", "mine, a: option 'stepp'"),
        (GRID.replace('radius = "1"\n', ""), "a: no radius"),
        (GRID + GRID, "two grids with the name a; accepted: a name for each"),
        (GRID + "images = []", "images = \\[\\]"),
        (GRID + "axes = true", "mine, a: axes True"),
        (GRID + 'runtime = "gpu"', "mine, a: runtime 'gpu'"),
        (GRID + "time_limit = [1, [2]]", "time_limit \\[2\\]"),
    ],
)
def test_a_study_that_cannot_be_says_where(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_spec("mine", text, {}, {})


def test_studies_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="duncan2020, or a file"):
        find_spec("duncan", {}, {})
    with pytest.raises(UsageError, match=r"none\.toml: no such file"):
        find_spec(str(tmp_path / "none.toml"), {}, {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        find_spec(str(tmp_path / "bytes.toml"), {}, {})
    with pytest.raises(UsageError, match="grid 'x'; accepted: mnist-search, mnist-ladder"):
        find_spec("duncan2020", {}, {}, ("x",))
    assert find_spec("duncan2020", {}, {}, ("mnist-ladder",)).grids == ("mnist-ladder",)


def test_the_founding_study_has_every_cell_of_the_paper() -> None:
    (study,) = list_studies()
    assert (study["name"], study["cells"]) == ("duncan2020", 14 * 4 + 16 * 3)
    spec, there = find_spec("duncan2020", {}, {}), published("duncan2020.csv")
    for dataset, steps in (("mnist", 7), ("cifar10", 8)):
        searched = [cell for cell in spec.cells if cell.grid == f"{dataset}-search"]
        cells = {
            (c.options["dataset"], Fraction(c.options["radius"]), Fraction(c.options["step"]))
            for c in searched
        }
        assert len(cells) == 2 * steps
        assert cells >= {key for key in there if key[0] == dataset}
    assert all(cell.options["quantise"] == "dynamic" for cell in spec.cells)
    assert list(builtin()) == ["duncan2020"]


def test_published_numbers_are_those_reported() -> None:
    names = {
        "R_count": "robust",
        "R_FP_Q_count": "both_robust",
        "relative_robustness_pct": "relative_robustness",
        "R_NOT_count": "not_robust",
        "R0_count": "both_fooled",
        "adversarial_transfer_pct": "adversarial_transfer",
    }
    reported = shared_data("mnist").parent.parent / "reported"
    if not reported.is_dir():
        pytest.skip("the reported numbers are not on this machine")
    there, seen = published("duncan2020.csv"), 0
    for name in ("duncan_table2.csv", "duncan_table3.csv"):
        for row in csv.DictReader((reported / name).read_text().splitlines()):
            radius, step = (Fraction(part.split("=")[1]) for part in row["params"].split(";"))
            ours = there[row["dataset"].lower().replace("-", ""), radius, step]
            assert getattr(ours, names[row["metric"]]) == float(row["value"])
            seen += 1
    stated = [value for row in there.values() for value in vars(row).values() if value is not None]
    assert len(stated) == seen > 80
    with pytest.raises(StoreError, match=r"published numbers '\.\./x'"):
        published("../x")


def test_a_study_runs_resumes_and_exports_the_same_bytes(case: Case, tmp_path: Path) -> None:
    path, one, two = study_file(case, tmp_path), tmp_path / "one", tmp_path / "two"
    found = run_named(str(path), one)
    assert [(cell["grid"], cell["radius"], cell["images"]) for cell in found["cells"]] == [
        ("ladder", "2", 12),
        ("ladder", "3", 12),
        ("search", "2", 12),
        ("search", "3", 12),
    ]
    assert not found["claims"]
    relrob_command(
        ["study", "run", str(path), "--out", str(two), "--workers", "2", "--quiet"], tmp_path
    )
    assert (
        export_records(one, tmp_path / "one.csv") == export_records(two, tmp_path / "two.csv") == 48
    )
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    before = [store.stat().st_mtime_ns for store in sorted(one.rglob("store.sqlite"))]
    run_named(str(path), one)
    assert [store.stat().st_mtime_ns for store in sorted(one.rglob("store.sqlite"))] == before
    rows = list(csv.DictReader((tmp_path / "one.csv").read_text().splitlines()))
    assert {row["region"] for row in rows} == {"ladder", "search"}
    _, cells = read_study(one)
    for cell, row in zip(cells, found["cells"], strict=True):
        sets = cell.summary["sets"]
        assert (
            row["relative_robustness"]["part"] == sets["R_Q^FP"]
            and row["relative_robustness"]["whole"] == sets["R"]
        )
        assert (
            row["adversarial_transfer"]["part"] == sets["R^0"]
            and row["fooled"]["part"] == sets["R_NOT"]
        )
        labels = {label for label, (_, every) in cell.by_label.items() for _ in range(every)}
        assert sum(fooled for fooled, _ in cell.by_label.values()) == sets["R_NOT"]
        assert {str(label) for label in labels} == set(row["fooled_by_label"])
        one = row["fooled_by_label"]["0"]
        told = [
            r
            for r in rows
            if (r["grid"], r["radius"], r["label"]) == (cell.grid, cell.options["radius"], "0")
        ]
        assert one["whole"] == len(told)
        assert one["part"] == sum(r["reference_verdict"] == "NOT_ROBUST" for r in told)
        mine = [
            r["set"]
            for r in rows
            if (r["grid"], r["radius"]) == (cell.grid, cell.options["radius"])
        ]
        assert mine.count("R_Q^FP") == sets["R_Q^FP"] and mine.count("L_ic") == sets["L_ic"]


def test_images_are_decided_again_when_asked(case: Case, tmp_path: Path) -> None:
    path, out = study_file(case, tmp_path, "0:3"), tmp_path / "out"
    run_named(str(path), out, only=("ladder",))
    export_records(out, tmp_path / "before.csv")
    (first, *_) = sorted(out.rglob("store.sqlite"))
    with Store.read(first.parent) as store:
        seconds = store.seconds()
    run_named(str(path), out, only=("ladder",), rerun="unknown")  # there is none
    with Store.read(first.parent) as store:
        assert store.seconds() == seconds
    run_named(str(path), out, only=("ladder",), rerun="always")
    with Store.read(first.parent) as store:
        assert store.seconds() != seconds
    export_records(out, tmp_path / "after.csv")
    assert (tmp_path / "before.csv").read_bytes() == (tmp_path / "after.csv").read_bytes()
    with pytest.raises(UsageError, match="rerun 'often'"):
        run_named(str(path), out, rerun="often")


def test_grids_one_after_the_other_make_the_study(case: Case, tmp_path: Path) -> None:
    """What was not asked for stays, in the study's order, with the images that it was run on; a
    grid taken out of the file goes."""
    path, out = study_file(case, tmp_path, "0:3"), tmp_path / "out"

    def cells() -> list[tuple[str, int]]:
        return [(cell.grid, len(records_of(cell))) for cell in read_study(out)[1]]

    run_named(str(path), out, only=("search",), changes={"images": "0:2"})
    run_named(str(path), out, only=("ladder",))
    assert cells() == [("ladder", 3), ("ladder", 3), ("search", 2), ("search", 2)]
    run_named(str(path), out, only=("search",))
    assert cells() == [("ladder", 3), ("ladder", 3), ("search", 3), ("search", 3)]
    path.write_text(path.read_text().partition('[[grid]]\nname = "search"')[0])
    told: list[str] = []
    run_named(
        str(path),
        out,
        only=("ladder",),
        changes={"radius": "2"},
        listener=lambda event: told.append(event.text),
    )
    assert cells() == [("ladder", 3)]
    assert any("study.json no longer lists search: not in this small" in text for text in told)


def test_cells_of_an_older_relrob_are_found_and_extended(case: Case, tmp_path: Path) -> None:
    """It named their directories by the images too."""
    path, out = study_file(case, tmp_path, "0:3"), tmp_path / "out"
    run_named(str(path), out, only=("ladder",))
    index = json.loads((out / "study.json").read_text())
    for number, cell in enumerate(index["cells"]):
        (out / cell["directory"]).rename(out / "cells" / f"old-{number}")
        del cell["header"]["dataset"]["indices"]
        cell |= {"run": str(number) * 64, "directory": f"cells/old-{number}"}
    (out / "study.json").write_text(json.dumps(index))
    assert [len(records_of(cell)) for cell in read_study(out)[1]] == [3, 3]
    for images, known in (("0:5", 3), ("0:5", 5), ("0:2", 2)):
        told: list[str] = []
        run_named(
            str(path),
            out,
            only=("ladder",),
            changes={"images": images},
            listener=lambda event, told=told: told.append(event.text),  # type: ignore[misc]
        )
        count = int(images[-1])
        assert told.count(f"resuming: {known} of {count} images are decided already") == 2
        assert [len(records_of(cell)) for cell in read_study(out)[1]] == [count, count]
        assert sorted(place.name for place in (out / "cells").iterdir()) == ["old-0", "old-1"]


def test_what_a_later_cell_would_be_refused_for_is_told_before_any_work(
    case: Case, tmp_path: Path
) -> None:
    path = study_file(case, tmp_path, "0:2")
    good = path.read_text()
    for bad, words in (
        ('[[grid]]\nname = "late"\nradius = "x"\nstep = "1/2"\n', "study small, late: radius"),
        ('[[grid]]\nname = "late"\n', "study small, late: .*step"),
        ('[[grid]]\nname = "late"\nstep = "1/2"\nimages = "77777"\n', "77777"),
        ('[[grid]]\nname = "late"\nstep = "1/2"\ndataset = "svhn"\n', "relrob datasets get svhn"),
        ('[[grid]]\nname = "late"\nstep = "1/2"\nreference = "none.keras"\n', "none.keras"),
    ):
        path.write_text(good + bad)
        with pytest.raises(RelrobError, match=words):
            run_named(str(path), tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_one_directory_is_of_one_reference(case: Case, tmp_path: Path) -> None:
    path, out = study_file(case, tmp_path, "0:2"), tmp_path / "out"
    run_named(str(path), out, only=("ladder",))
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    copy.write_bytes(Path(case.reference).read_bytes())
    other.write_bytes(Path(case.reference).read_bytes() + b"\0")
    run_named(str(path), out, only=("search",), references={str(case.data): str(copy)})
    for only in ("ladder", "search"):
        with pytest.raises(
            StoreError,
            match=r"has ladder of the reference .*, not of .*other\.onnx; .*try: another --out",
        ):
            run_named(str(path), out, only=(only,), references={str(case.data): str(other)})
    path.write_text(path.read_text().replace(f'reference = "{case.reference}"\n', ""))
    with pytest.raises(StoreError, match="not of the default one"):
        run_named(str(path), out)
    path.write_text(
        path.read_text().replace(
            'name = "ladder"', f'name = "ladder"\nreference = "{case.reference}"'
        )
    )
    run_named(str(path), out, only=("ladder",))  # says nothing of the other grid
    assert [cell.grid for cell in read_study(out)[1]] == ["ladder", "ladder", "search", "search"]


def test_a_kill_at_random_moments_loses_nothing(case: Case, tmp_path: Path) -> None:
    path, out, whole = study_file(case, tmp_path, "0:20"), tmp_path / "out", tmp_path / "whole"
    rng, kills = random.Random(4), 0
    environment = {**os.environ, "RELROB_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [
        sys.executable,
        "-m",
        "relrob",
        "study",
        "run",
        str(path),
        "--out",
        str(out),
        "--workers",
        "1",
        "-q",
    ]
    for _ in range(40):
        process = subprocess.Popen(command, env=environment, cwd=tmp_path)
        time.sleep(rng.uniform(0.6, 2.5))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        if (out / "study.json").exists():
            show(out)  # readable after each
    else:
        subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert kills
    run_named(str(path), whole)
    export_records(out, tmp_path / "out.csv")
    export_records(whole, tmp_path / "whole.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_directories_that_are_no_study(case: Case, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not the directory of a study"):
        show(tmp_path)
    path, out = study_file(case, tmp_path, "0:2"), tmp_path / "out"
    run_named(str(path), out, only=("search",))
    other = tmp_path / "other.toml"
    other.write_text(path.read_text())
    with pytest.raises(StoreError, match="holds the study small"):
        run_named(str(other), out)
    index = json.loads((out / "study.json").read_text())
    several: list[Any] = [
        {**index, "format": 9},
        {**index, "cells": [{}]},
        {**index, "title": 3},
        {},
        [],
    ]
    for broken in several:
        (out / "study.json").write_text(json.dumps(broken))
        with pytest.raises(StoreError, match="damaged"):
            show(out)
    index["cells"][0]["directory"] = "../elsewhere"
    (out / "study.json").write_text(json.dumps(index))
    with pytest.raises(StoreError, match="damaged"):
        show(out)


def row_of(**more: Any) -> StudyRow:
    """A cell of the founding study."""
    given: dict[str, Any] = {
        "grid": "g",
        "dataset": "mnist",
        "region": "search",
        "described": "search",
        "runtime": "builtin",
        "radius": Fraction(20),
        "step": Fraction(1, 4),
        "images": 10_000,
        "wrong": 0,
        "robustness": Rate(5000, 5000, 98.69),
        "transfer": Rate(900, 1000),
        "fooled": Rate(1000, 10_000, 35.48),
        "reference_robust": Rate(9000, 10_000),
        "quantised_robust": Rate(8900, 10_000),
        "unknown": 0,
        "by_label": {0: Rate(1, 4), 7: Rate(0, 0)},
        "accuracy": (98.27, 98.24),
        "published": None,
    }
    return StudyRow(**{**given, **more})


def judged(rows: list[StudyRow], words: str) -> Judgement:
    (found,) = [claim for claim in claims("duncan2020.csv", rows) if words in claim.says]
    return found.judgement


def test_claims_go_by_intervals() -> None:
    assert claims("", [row_of()]) == []
    robust = "98 % or more"
    assert judged([row_of()], robust) is Judgement.REPRODUCED
    assert judged([row_of(), row_of(robustness=Rate(980, 1000))], robust) is Judgement.OPEN
    assert judged([row_of(), row_of(robustness=Rate(0, 0))], robust) is Judgement.OPEN
    assert judged([row_of(), row_of(robustness=Rate(900, 1000))], robust) is Judgement.NOT
    falls = "falls with the step"
    low, high = row_of(step=Fraction(1, 8), transfer=Rate(700, 1000)), row_of()
    assert judged([high, low], falls) is Judgement.REPRODUCED
    assert (
        judged([high, row_of(step=Fraction(1, 2), transfer=Rate(700, 1000))], falls)
        is Judgement.NOT
    )
    assert (
        judged([high, row_of(step=Fraction(1, 8), transfer=Rate(9, 10))], falls) is Judgement.OPEN
    )
    accurate = "accuracy"
    assert judged([row_of()], accurate) is Judgement.REPRODUCED
    assert judged([row_of(accuracy=(98.27, 98.2))], accurate) is Judgement.NOT
    unequal = "loses far more"
    assert judged([row_of()], unequal) is Judgement.REPRODUCED
    assert (
        judged([row_of(transfer=Rate(1000, 1000), robustness=Rate(980, 1000))], unequal)
        is Judgement.NOT
    )
    assert (
        judged([row_of(transfer=Rate(9, 10), robustness=Rate(950, 1000))], unequal)
        is Judgement.OPEN
    )
    radius = "from radius 10 to 20"
    narrow = row_of(radius=Fraction(10), transfer=Rate(600, 1000))
    assert judged([narrow, row_of()], radius) is Judgement.REPRODUCED
    assert (
        judged([row_of(radius=Fraction(10)), row_of(transfer=Rate(600, 1000))], radius)
        is Judgement.NOT
    )
    assert (
        judged([row_of(radius=Fraction(10), transfer=Rate(8, 10)), row_of()], radius)
        is Judgement.OPEN
    )


def test_what_is_undecided_speaks_for_nothing_and_against_nothing() -> None:
    """By hand: of 100 images 40 robust and 55 open, at best 95; Wilson's ends of 40 and of 95 of
    100."""
    half = Rate(40, 100, 96.0, 55)
    assert half.interval is not None and half.interval == pytest.approx((30.94, 97.85), abs=0.01)
    assert (half.percent, half.highest, half.agrees) == (40.0, 95.0, True)
    robust, unequal = "98 % or more", "loses far more"
    assert (
        judged([row_of(), row_of(robustness=Rate(400, 1000, None, 600))], robust) is Judgement.OPEN
    )
    assert (
        judged([row_of(), row_of(robustness=Rate(400, 1000, None, 100))], robust) is Judgement.NOT
    )
    assert (
        judged([row_of(transfer=Rate(900, 1000), robustness=Rate(0, 1000, None, 1000))], unequal)
        is Judgement.OPEN
    )
    assert judged([row_of(transfer=Rate(0, 1000, None, 1000))], unequal) is not Judgement.REPRODUCED
    assert "numerator" not in study_text(
        {"study": "x", "title": "t", "published": ""}, [row_of()], "markdown"
    )
    page = study_text(
        {"study": "x", "title": "t", "published": ""}, [row_of(unknown=3)], "markdown"
    )
    assert (
        "undecided for one network or both: 3 in 1 cells.\nThey count in no rate's numerator"
        in page
    )


def test_grids_and_runtimes_are_judged_apart() -> None:
    rows = [row_of(), row_of(runtime="xnnpack", accuracy=(98.27, 90.0)), row_of(grid="other")]
    found = {
        claim.says.split(":")[0]: claim.judgement
        for claim in claims("duncan2020.csv", rows)
        if "accuracy" in claim.says
    }
    assert found == {
        "g, builtin": Judgement.REPRODUCED,
        "g, xnnpack": Judgement.NOT,
        "other, builtin": Judgement.REPRODUCED,
    }


def test_a_rate_says_whether_the_published_one_can_be_right() -> None:
    assert Rate(0, 0, 50.0).json() == {
        "part": 0,
        "whole": 0,
        "undecided": 0,
        "percent": None,
        "interval": None,
        "published": 50.0,
        "difference": None,
    }
    near, far = Rate(48, 100, 50.0), Rate(480, 1000, 60.0)
    assert (near.agrees, far.agrees, Rate(1, 2).agrees) == (True, False, None)
    assert near.difference == pytest.approx(-2)


def test_tables_in_every_format() -> None:
    head = {"study": "x", "title": "A | title", "published": "duncan2020.csv"}
    rows = [
        row_of(),
        row_of(
            runtime="xnn|pack", step=None, robustness=Rate(0, 0), fooled=Rate(400, 10_000, 35.48)
        ),
    ]
    page = study_text(head, rows, "markdown")
    assert "\\* the published rate lies outside our interval." in page
    assert "lies outside our interval" not in study_text(
        head, [row_of(robustness=Rate(0, 0), fooled=Rate(1, 9))], "markdown"
    )
    assert page.startswith("# A \\| title\n") and "| 98.69 | +1.31 \\* |" in page
    lines = [line for line in page.splitlines() if line.startswith("| g ")]
    assert len(lines) == 8
    assert [line.replace("\\|", "").count("|") for line in lines] == [11] * 6 + [7] * 2
    assert lines[6].endswith("| 20 | 1/4 | 25.0 |  |")
    assert "10,970" in page and "| reproduced |" in page
    table = list(csv.DictReader(study_text(head, rows, "csv").splitlines()))
    assert [row["robustness_percent"] for row in table] == ["100.0000", ""]
    assert table[1]["step"] == "" and table[0]["fooled_published"] == "35.48"
    tex = study_text(head, rows, "latex")
    assert tex.count("\\toprule") == tex.count("\\end{tabular}") == 3
    assert "95 \\% (Wilson)" in tex
    document = json.loads(study_text(head, rows, "json"))
    assert document["cells"][0]["relative_robustness"]["part"] == 5000
    assert {claim["judgement"] for claim in document["claims"]} <= {
        each.value for each in Judgement
    }
    with pytest.raises(UsageError, match="format 'pdf'"):
        study_text(head, rows, "pdf")


def test_the_commands_of_a_study(case: Case, tmp_path: Path) -> None:
    path = study_file(case, tmp_path, "0:2")
    listed = json.loads(relrob_command(["study", "list", "--json"], tmp_path).stdout)
    assert listed == {"studies": list_studies()}
    done = relrob_command(
        ["study", "run", str(path), "--out", "out", "--workers", "1", "--only", "search", "--json"],
        tmp_path,
    )
    assert [cell["grid"] for cell in json.loads(done.stdout)["cells"]] == ["search", "search"]
    shown = relrob_command(["study", "show", "out"], tmp_path).stdout
    assert shown == show_text(tmp_path / "out", "markdown")
    assert json.loads(relrob_command(["study", "show", "out", "--json"], tmp_path).stdout) == show(
        tmp_path / "out"
    )
    said = relrob_command(["study", "export", "out", "-o", "records.csv"], tmp_path).stdout
    assert said == "4 lines in records.csv\n"
    for wrong, words in (
        (["study", "run", "nothing"], "study 'nothing'"),
        (["study", "run", str(path), "--reference", "mnist"], "DATASET=PATH"),
        (["study", "show", "nowhere"], "nowhere is not the directory of a study"),
        (["study", "show", "out", "--format", "pdf"], "format 'pdf'"),
    ):
        refused = relrob_command(wrong, tmp_path, check=False)
        assert (
            refused.returncode == 2 and words in refused.stderr and refused.stderr.count("\n") == 1
        )
