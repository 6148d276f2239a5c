"""`relrob verify` as a user types it: its contract, bad input, resuming after a
kill."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.errors import StoreError
from relrob.store.run_directory import Store
from tests.cli_case import Case, environment, relrob_command

HEADER = (
    "index,label,reference_label,quantised_label,set,reference_verdict,quantised_verdict,points,"
    "reference_effective,"
    "quantised_effective,transferred,reference_margin,quantised_margin,decided_by,seconds,reason,"
    "ties,reference_proved,quantised_proved"
)
KEYS = [
    *(
        "relrob",
        "run",
        "dataset",
        "reference",
        "quantised",
        "region",
        "arithmetic",
        "sets",
        "relative_robustness",
    ),
    *("adversarial_transfer", "transfer_points", "closest_transfer", "points", "seconds"),
]


def test_json_is_the_contract(case: Case, tmp_path: Path) -> None:
    done = relrob_command(case.arguments("--out", "run", "--json"), tmp_path)
    assert done.stderr == ""
    summary: dict[str, Any] = json.loads(done.stdout)
    assert list(summary)[: len(KEYS)] == KEYS
    assert summary == json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    sets = summary["sets"]
    assert sets["L_cc"] + sets["L_ic"] == summary["dataset"]["images"] == 40
    assert sets["L_ic"] == 4
    assert sets["R"] + sets["R_NOT"] == sets["L_cc"]
    assert sets["R_Q^FP"] + sets["R^FP"] == sets["R"]
    assert sets["R_Q"] + sets["R^0"] + sets["R^mixed"] == sets["R_NOT"]
    assert sets["R"] > 0
    assert sets["R_NOT"] > 0
    points = summary["points"]
    assert points["covered"] == points["evaluated"] + points["proved"]
    assert summary["region"]["radius"] == 3.0
    assert (summary["region"]["step"], summary["region"]["kind"]) == (0.5, "ladder")
    assert summary["quantised"]["scheme"] == "qdq"
    rows = list(
        csv.DictReader(io.StringIO((tmp_path / "run" / "images.csv").read_text(encoding="utf-8")))
    )
    assert ",".join(rows[0]) == HEADER
    assert [int(row["index"]) for row in rows] == list(range(40))
    assert sum(int(row["points"]) for row in rows if row["points"]) == points["covered"]
    shown = [row for row in rows if row["reference_verdict"] == "NOT_ROBUST"]
    for row in shown:
        stem = tmp_path / "run" / "witnesses" / f"{int(row['index']):05d}-reference"
        with np.load(stem.with_suffix(".npz")) as witness:
            assert int(witness["reference_label"]) != int(row["label"])
        assert stem.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_the_library_gives_what_the_command_prints(case: Case, tmp_path: Path) -> None:
    done = relrob_command(case.arguments("--out", str(tmp_path / "one"), "--json"), tmp_path)
    options: dict[str, Any] = {
        "dataset": str(case.data),
        "features": "8",
        "axes": 3,
        "images": "all",
    }
    summary = relrob.verify(
        case.reference, case.quantised, radius=3, step="1/2", out=tmp_path / "two", **options
    )
    told = json.loads(done.stdout)
    assert {k: v for k, v in summary.items() if k not in ("seconds", "directory")} == {
        k: v for k, v in told.items() if k != "seconds"
    }


def test_table_and_progress_for_people(case: Case, tmp_path: Path) -> None:
    done = relrob_command(case.arguments(), tmp_path)
    assert "R_Q^FP" in done.stdout
    assert "relative robustness" in done.stdout
    assert "images 40/40" in done.stderr
    (run,) = (tmp_path / "relrob-runs").iterdir()
    assert str(Path("relrob-runs") / run.name) in done.stdout
    again = relrob_command(case.arguments(), tmp_path)
    assert "resuming: 40 of 40" in again.stderr
    assert relrob_command(case.arguments("--quiet"), tmp_path).stdout == ""


def test_workers_and_interruptions_do_not_change_the_result(case: Case, tmp_path: Path) -> None:
    relrob_command(case.arguments("--out", "one"), tmp_path)
    relrob_command([*case.arguments("--out", "two"), "--workers", "2"], tmp_path)
    with Store.read(tmp_path / "one") as one, Store.read(tmp_path / "two") as two:
        assert one.content_sha256() == two.content_sha256()
        assert len(one.records()) == 40


def test_kill_at_random_moments_loses_nothing(case: Case, tmp_path: Path) -> None:
    """kill -9, then the same command: the same store, table and pictures as a run left in peace."""
    slow = [*case.arguments("--features", "14", "--radius", "8"), "--workers", "2"]
    relrob_command([*slow, "--out", "peace"], tmp_path)
    chance = random.Random(3)
    for _ in range(6):
        running = subprocess.Popen(
            [sys.executable, "-m", "relrob", *slow, "--out", "war"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1.0 + chance.random() * 1.5)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if (tmp_path / "war" / "store.sqlite").exists():
            with (
                suppress(StoreError),
                Store.read(tmp_path / "war") as store,
            ):  # "no run yet", of one that had just begun
                store.records()
    relrob_command([*slow, "--out", "war"], tmp_path)
    with Store.read(tmp_path / "peace") as peace, Store.read(tmp_path / "war") as war:
        assert peace.content_sha256() == war.content_sha256()
        assert peace.digest == war.digest
    names = {
        p.relative_to(tmp_path / "peace") for p in (tmp_path / "peace").rglob("*") if p.is_file()
    }
    assert names == {
        p.relative_to(tmp_path / "war") for p in (tmp_path / "war").rglob("*") if p.is_file()
    }
    for name in names:
        if name.suffix in (".png", ".npz"):
            assert (tmp_path / "peace" / name).read_bytes() == (
                tmp_path / "war" / name
            ).read_bytes()


def test_other_images_extend_a_run(case: Case, tmp_path: Path) -> None:
    """A run of some images is part of that of more, in the same directory, which the images do not
    name."""

    def told(images: str, *more: str) -> dict[str, Any]:
        done = relrob_command([*case.arguments("--json", *more), "--images", images], tmp_path)
        (run,) = (tmp_path / "relrob-runs").iterdir()
        found: dict[str, Any] = json.loads(done.stdout)
        assert found == json.loads((run / "summary.json").read_text())
        with (run / "images.csv").open() as file:
            rows = [int(row["index"]) for row in csv.DictReader(file)]
        assert (
            len(rows) == found["dataset"]["images"] == found["sets"]["L_cc"] + found["sets"]["L_ic"]
        )
        table = json.loads(
            relrob_command(["table", str(run), "--format", "json"], tmp_path).stdout
        )["cells"][0]
        assert table["images"] == len(rows) and table["fooled"]["part"] == found["sets"]["R_NOT"]
        return {**found, "rows": rows, "stored": frozenset(Store.read(run).done())}

    few, more = told("0:10"), told("5:20")
    assert (few["rows"], few["stored"], few["dataset"]["indices"]) == (
        [*range(10)],
        {*range(10)},
        "0:10",
    )
    assert (more["rows"], more["stored"], more["dataset"]["indices"]) == (
        [*range(5, 20)],
        {*range(20)},
        "5:20",
    )
    assert few["run"] == more["run"]
    again = told("9,3,0")
    assert (again["rows"], again["stored"], again["dataset"]["indices"]) == (
        [0, 3, 9],
        {*range(20)},
        "9,3,0",
    )
    assert {**told("0:10"), "stored": ()} == {**few, "stored": ()}, (
        "the seconds too: nothing was decided again"
    )
    relrob_command([*case.arguments("--out", "whole"), "--images", "0:20"], tmp_path)
    (run,) = (tmp_path / "relrob-runs").iterdir()
    with Store.read(run) as one, Store.read(tmp_path / "whole") as two:
        assert one.content_sha256() == two.content_sha256()


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = (
        "numpy",
        "tensorflow",
        "keras",
        "onnx",
        "onnxruntime",
        "ai_edge_litert",
        "h5py",
        "scipy",
        "PIL",
        "rich",
        "networkx",
    )
    code = (
        "import sys; sys.argv = ['relrob', '--help']\n"
        "from relrob.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    root = Path(relrob.__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert "verify" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", ["verify", "train", "quantise", "datasets", "solvers"])
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    shown = relrob_command([command, "--help"], tmp_path).stdout
    assert "Example" in shown
    assert f"relrob {command}" in shown
    for option in ("--json", "-q", "-v"):
        assert command == "datasets" or option in shown


def test_solvers_lists_the_registry(tmp_path: Path) -> None:
    listed = json.loads(relrob_command(["solvers", "--json"], tmp_path).stdout)
    assert {k: listed["solvers"][0][k] for k in ("name", "complete")} == {
        "name": "branch",
        "complete": True,
    }
    assert "xnnpack" in {runtime["name"] for runtime in listed["runtimes"]}
    assert "dynamic" in relrob_command(["solvers"], tmp_path).stdout
