"""Studies as they run: resumed, extended, killed, refused before the work."""

from __future__ import annotations

import copy
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from relrob.api.study import export_records, list_studies, run_named, show, show_text
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.store.run_directory import Store
from relrob.store.study_directory import read_study, records_of
from tests.cli_case import Case, relrob_command
from tests.study.grids import study_file


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
        sets = cell.summary.sets
        assert (
            row["relative_robustness"]["part"] == sets.both_robust
            and row["relative_robustness"]["whole"] == sets.robust
        )
        assert (
            row["adversarial_transfer"]["part"] == sets.all_transfer
            and row["fooled"]["part"] == sets.not_robust
        )
        labels = {label for label, (*_, every) in cell.by_label.items() for _ in range(every)}
        assert sum(fooled for fooled, *_ in cell.by_label.values()) == sets.not_robust
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
        assert mine.count("R_Q^FP") == sets.both_robust and mine.count("L_ic") == sets.wrong


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
    for data in (b"[" * 200_000, b"\xff{}", b"9" * 5000):
        (out / "study.json").write_bytes(data)
        with pytest.raises(StoreError, match=r"study\.json is damaged"):
            show(out)
    for key, value in (("scheme", "int4"), ("sha256", "0" * 64), ("accuracy", 2)):
        edited = copy.deepcopy(index)
        edited["cells"][0]["header"]["quantised"][key] = value
        (out / "study.json").write_text(json.dumps(edited))
        with pytest.raises(StoreError, match=rf"study\.json .*quantised\.{key}"):
            show(out)
    index["cells"][0]["directory"] = "../elsewhere"
    (out / "study.json").write_text(json.dumps(index))
    with pytest.raises(StoreError, match="damaged"):
        show(out)


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
