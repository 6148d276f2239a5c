"""`relrob verify` as a user types it: the contract of interface.md, bad input, resuming after a kill."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import draw
from relrob.networks.load import load_network
from relrob.networks.onnx_export import to_onnx
from relrob.study.store import Store
from relrob_datasets import load
from tests.support import random_dense

HEADER = (
    "index,label,reference_label,quantised_label,set,reference_verdict,quantised_verdict,points,reference_effective,"
    "quantised_effective,transferred,reference_margin,quantised_margin,decided_by,seconds,reason"
)
KEYS = [
    *("relrob", "run", "dataset", "reference", "quantised", "region", "arithmetic", "sets", "relative_robustness"),
    *("adversarial_transfer", "transfer_points", "closest_transfer", "points", "seconds"),
]


@dataclass(frozen=True)
class Case:
    """A small data set whose labels the reference mostly gives, the reference, and its QDQ form."""

    folder: Path
    data: Path
    reference: Path
    quantised: Path

    def arguments(self, *more: str) -> list[str]:
        """A complete command line."""
        fixed = [
            "--radius",
            "3",
            "--step",
            "1/2",
            "--features",
            "8",
            "--axes",
            "3",
            "--images",
            "all",
            "--workers",
            "1",
        ]
        return ["verify", str(self.reference), str(self.quantised), "--dataset", str(self.data), *fixed, *more]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, size=(40, 8, 8), dtype=np.uint8)
    dense = random_dense(11, (64, 24, 16, 4))
    (folder / "ref.onnx").write_bytes(to_onnx(dense))
    values = images.reshape(40, 64).astype(np.float32) / np.float32(255)
    for layer in dense.layers:
        values = values @ layer.weights + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
    labels = values.argmax(axis=1).astype(np.int64)
    labels[::10] = (labels[::10] + 1) % 4
    np.savez(folder / "data.npz", images=images, labels=labels, classes=4)
    data = load(str(folder / "data.npz"), "test")
    network = load_network(folder / "ref.onnx", image_shape=(8, 8, 1), classes=4)
    (folder / "q.onnx").write_bytes(quantised_bytes(network, "qdq", draw(data, 20), (8, 8, 1)))
    return Case(folder, folder / "data.npz", folder / "ref.onnx", folder / "q.onnx")


def relrob_command(
    arguments: list[str], cwd: Path, cache: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    environment = {**os.environ, "RELROB_CACHE": str(cache or cwd / "cache"), "COLUMNS": "100"}
    root = Path(relrob.__file__).resolve().parent.parent
    if (root / "solvers").is_dir():
        environment["PYTHONPATH"] = os.pathsep.join(str(root / part) for part in ("", "solvers", "datasets"))
    return subprocess.run(
        [sys.executable, "-m", "relrob", *arguments],
        cwd=cwd,
        env=environment,
        text=True,
        capture_output=True,
        check=check,
    )


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
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run" / "images.csv").read_text(encoding="utf-8"))))
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
    options: dict[str, Any] = {"dataset": str(case.data), "features": "8", "axes": 3, "images": "all"}
    summary = relrob.verify(case.reference, case.quantised, radius=3, step="1/2", out=tmp_path / "two", **options)
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
    root = Path(relrob.__file__).resolve().parent.parent
    environment = {**os.environ, "RELROB_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(str(root / part) for part in ("", "solvers", "datasets"))
    partial = set()
    for _ in range(6):
        running = subprocess.Popen(
            [sys.executable, "-m", "relrob", *slow, "--out", "war"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1.0 + chance.random() * 1.5)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if (tmp_path / "war" / "store.sqlite").exists():
            with Store.read(tmp_path / "war") as store:
                partial.add(len(store.done()))
    relrob_command([*slow, "--out", "war"], tmp_path)
    with Store.read(tmp_path / "peace") as peace, Store.read(tmp_path / "war") as war:
        assert peace.content_sha256() == war.content_sha256()
        assert peace.digest == war.digest
    names = {p.relative_to(tmp_path / "peace") for p in (tmp_path / "peace").rglob("*") if p.is_file()}
    assert names == {p.relative_to(tmp_path / "war") for p in (tmp_path / "war").rglob("*") if p.is_file()}
    for name in names:
        if name.suffix in (".png", ".npz"):
            assert (tmp_path / "peace" / name).read_bytes() == (tmp_path / "war" / name).read_bytes()


def test_ctrl_c_says_how_to_resume(case: Case, tmp_path: Path) -> None:
    root = Path(relrob.__file__).resolve().parent.parent
    environment = {**os.environ, "RELROB_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(str(root / part) for part in ("", "solvers", "datasets"))
    arguments = [*case.arguments("--features", "21", "--radius", "30", "--out", "run"), "--workers", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "relrob", *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("images"):
            break
    running.send_signal(signal.SIGINT)
    rest = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=30) == 130
    assert rest.strip().splitlines()[-1] == ("relrob: interrupted; the same command takes up a run where it stopped")
    assert "Traceback" not in rest


BAD: list[tuple[str, list[str], str]] = [
    ("missing file", ["verify", "nowhere.onnx"], "nowhere.onnx"),
    ("radius zero", ["verify", "--radius", "0"], "radius 0"),
    ("radius below zero", ["verify", "--radius", "-3"], "radius -3"),
    ("radius no number", ["verify", "--radius", "big"], "radius 'big'"),
    ("step zero", ["verify", "--step", "0"], "step 0"),
    ("step above one", ["verify", "--step", "1.5"], "step 1.5"),
    ("empty selection", ["verify", "--images", "5:5"], "5:5"),
    ("index out of range", ["verify", "--images", "99"], "99"),
    ("nonsense selection", ["verify", "--images", "some"], "some"),
    ("features no number", ["verify", "--features", "few"], "features 'few'"),
    ("too many features", ["verify", "--features", "50"], "at most 21"),
    ("unknown scheme", ["verify", "REF", "--quantise", "int3"], "int3"),
    ("unknown solver", ["verify", "--solver", "magic"], "magic"),
    ("solver of a later version", ["verify", "--solver", "smt"], "smt"),
    ("unknown runtime", ["verify", "--runtime", "abacus"], "abacus"),
    ("runtime of another format", ["verify", "--runtime", "xnnpack"], "xnnpack"),
    ("region of a later version", ["verify", "--region", "lattice"], "lattice"),
    ("unknown rule", ["verify", "--effective", "nearest"], "nearest"),
    ("unknown grid", ["verify", "--grid", "7bit"], "7bit"),
    ("time limit zero", ["verify", "--time-limit", "0"], "time limit"),
    ("workers zero", ["verify", "--workers", "0"], "workers"),
    ("no radius at all", ["verify"], "--radius"),
    ("unknown option", ["verify", "--colour", "blue"], "--colour"),
    ("unknown command", ["certify"], "certify"),
    ("missing data set", ["verify", "--dataset", "nowhere.npz"], "nowhere.npz"),
    ("data set not fetched", ["verify", "--dataset", "cifar10"], "relrob datasets get cifar10"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), BAD, ids=[name for name, _, _ in BAD])
def test_bad_input_is_one_line_and_exit_2(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str], words: str
) -> None:
    line = list(arguments)
    if line[0] == "verify":
        defaults = case.arguments("--out", "run")
        given = {word for word in line if word.startswith("--")}
        named = [word for word in line[1:2] if not word.startswith("--")]
        pairs = list(zip(defaults[3::2], defaults[4::2], strict=True))
        keep = [word for pair in pairs if pair[0] not in given for word in pair]
        files = named or defaults[1:3]
        files = [str(case.reference) if word == "REF" else word for word in files]
        options = line[1 + len(named) :]
        line = ["verify", *files, *(keep if name != "no radius at all" else []), *options]
    refused(line, words, tmp_path, monkeypatch)


def refused(arguments: list[str], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the program in this process; it must refuse in one line with exit code 2 and leave nothing in `folder`."""
    from relrob.cli.main import main

    monkeypatch.chdir(folder)
    monkeypatch.setenv("RELROB_CACHE", str(folder / "cache"))
    before = sorted(p for p in folder.rglob("*") if "cache" not in p.parts)
    monkeypatch.setattr(sys, "argv", ["relrob", *arguments])
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with pytest.raises(SystemExit) as stop:
        main()
    lines = [line for line in said.getvalue().splitlines() if line.startswith("relrob:")]
    assert stop.value.code == 2
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in said.getvalue()
    assert sorted(p for p in folder.rglob("*") if "cache" not in p.parts) == before
    return lines[0]


def test_broken_files(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = case.reference.read_bytes()
    broken = {
        "truncated.onnx": whole[: len(whole) // 2],
        "empty.onnx": b"",
        "text.onnx": b"hello, world\n",
        "broken.tflite": b"\x1c\x00\x00\x00TFL3" + bytes(100),
        "broken.keras": b"PK\x03\x04" + bytes(50),
        "broken.h5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
    for name in broken:
        arguments = ["verify", str(tmp_path / name), *case.arguments()[2:]]
        refused(arguments, name, tmp_path, monkeypatch)


def test_data_that_does_not_fit(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = dict(np.load(case.data))
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "nan": ({"images": np.full((40, 8, 8), np.nan, np.float32)}, "NaN"),
        "bright": ({"images": good["images"].astype(np.float32)}, "255"),
        "label": ({"labels": good["labels"] + 2, "classes": 4}, "label"),
        "shape": ({"images": good["images"][:, :4]}, "64"),
        "classes": ({"classes": 7}, "7"),
    }
    for name, (change, _) in changes.items():
        np.savez(tmp_path / f"{name}.npz", **{**good, **change})
    for name, (_, words) in changes.items():
        arguments = [str(tmp_path / f"{name}.npz") if a == str(case.data) else a for a in case.arguments()]
        refused(arguments, words, tmp_path, monkeypatch)


def test_weights_that_are_no_numbers(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(case.reference.read_bytes())
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, model.graph.initializer[0].name))
    (tmp_path / "nan.onnx").write_bytes(model.SerializeToString())
    refused(["verify", str(tmp_path / "nan.onnx"), *case.arguments()[2:]], "NaN", tmp_path, monkeypatch)


def test_a_directory_of_another_run_is_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relrob_command(case.arguments("--out", "run"), tmp_path)
    other = [*case.arguments("--out", "run"), "--radius", "2"]
    assert "another configuration" in refused(other, "radius", tmp_path, monkeypatch)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work", encoding="utf-8")
    refused(case.arguments("--out", "mine"), "--out", tmp_path, monkeypatch)


def test_a_full_disk_is_one_line(case: Case, tmp_path: Path) -> None:
    """The kernel refuses to write files above a size: what a full disk looks like, without root."""
    import resource

    root = Path(relrob.__file__).resolve().parent.parent
    environment = {**os.environ, "RELROB_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join(str(root / part) for part in ("", "solvers", "datasets"))

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))

    done = subprocess.run(
        [sys.executable, "-m", "relrob", *case.arguments("--out", "run", "-q")],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        preexec_fn=small_files,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "run" in done.stderr
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    relrob_command(case.arguments("--out", "run", "-q"), tmp_path)


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
    assert {k: listed["solvers"][0][k] for k in ("name", "complete")} == {"name": "branch", "complete": True}
    assert "xnnpack" in {runtime["name"] for runtime in listed["runtimes"]}
    assert "dynamic" in relrob_command(["solvers"], tmp_path).stdout
