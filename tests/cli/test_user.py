"""A new user at the shell: pipes, full disks, closed streams, odd names, checks before the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relrob
from relrob.errors import RelrobError
from relrob.networks.onnx.export import to_onnx
from relrob.store.run_directory import Store
from relrob_datasets import load
from tests.cli.programs import one_line, program, verify
from tests.support import ROOT, random_dense


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, a reference, and a cache."""
    folder = tmp_path_factory.mktemp("mine")
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (12, 8, 8), dtype=np.uint8), np.arange(12) % 3
    np.savez(folder / "data.npz", images=images, labels=labels, classes=3)
    (folder / "ref.onnx").write_bytes(to_onnx(random_dense(2, (64, 16, 3))))
    return folder


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ('"$@" >/dev/full', 2, "cannot write the output: No space left on device"),
        ('"$@" 2>/dev/full >/dev/null', 2, ""),
        ('"$@" >&-', 0, "writing"),
        ('"$@" 2>&- </dev/null', 0, ""),
        ('{ "$@" 2>&1; echo $? >code; } | true; exit $(cat code)', 130, ""),
        ('{ "$@" 2>/dev/null; echo $? >code; } | true; exit $(cat code)', 0, ""),
    ],
)
def test_streams_that_nobody_reads(mine: Path, shell: str, code: int, words: str) -> None:
    done = program(mine, verify("--out", f"streams-{abs(hash(shell))}"), line=shell)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_help_and_lists_into_a_full_disk(mine: Path) -> None:
    for words in (["--help"], ["solvers"], ["datasets", "list", "--json"]):
        assert "No space left" in one_line(program(mine, words, line='"$@" >/dev/full'))


def test_no_line_of_the_summary_ends_in_spaces(mine: Path) -> None:
    shown = program(mine, verify("--out", "spaces")).stdout
    assert "R_Q^FP" in shown
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_names_that_are_no_utf8(mine: Path) -> None:
    odd = os.fsdecode(b"od\xffd")
    (mine / f"{odd}.onnx").write_bytes((mine / "ref.onnx").read_bytes())
    (mine / f"{odd}.npz").write_bytes((mine / "data.npz").read_bytes())
    done = program(mine, verify("--out", odd, "--json", reference=f"{odd}.onnx", data=f"{odd}.npz"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    summary = json.loads(done.stdout)
    assert (summary["reference"]["path"], summary["dataset"]["name"]) == (
        "od\\xffd.onnx",
        "od\\xffd",
    )
    assert json.loads((mine / odd / "summary.json").read_text(encoding="utf-8")) == summary
    ascii_only = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    again = program(
        mine, verify("--out", odd, reference=f"{odd}.onnx", data=f"{odd}.npz"), env=ascii_only
    )
    assert again.returncode == 0 and "Run directory: od" in again.stdout, again.stderr


USAGE: list[tuple[list[str], str]] = [
    (
        ["verify"],
        "region 'ladder' without --radius; accepted: a radius, or --region ladder-paper, linf-1, "
        "linf-2, linf-4, linf-8; try: --radius 20, or --region ladder-paper",
    ),
    (["verify", "--radius", "1"], "a ladder without a step; accepted: a number in (0, 1]"),
    (["datasets", "drop"], "no such command 'drop'; try: relrob datasets --help"),
    (
        ["train"],
        "missing option '-o' / '--output'; accepted: The .keras file to write; "
        "try: relrob train --help",
    ),
    (["quantise"], "missing argument 'REFERENCE'; try: relrob quantise --help"),
    (["train", "-o", "t.h5"], "output t.h5; accepted: a file name that ends in .keras"),
    (["train", "-o", "t.keras", "--arch", "vgg"], "architecture 'vgg'"),
    (["train", "-o", "t.keras", "--seed", "-1"], "seed -1"),
    (["train", "-o", "ref.onnx/t.keras"], "ref.onnx is not a directory"),
    (["quantise", "ref.onnx", "-o", "ref.onnx/q.tflite"], "ref.onnx is not a directory"),
    (["quantise", "ref.onnx", "-o", "q.onnx"], "ends in .tflite"),
    (verify("--out", "."), "has files but no run"),
    (verify("--out", "ref.onnx/run"), "ref.onnx is not a directory"),
    (
        verify("--runtime", "xnnpack"),
        "runtime 'xnnpack' cannot run a network of scheme qdq; accepted: onnxruntime",
    ),
    (verify("--runtime", "tpu"), "runtime 'tpu'; accepted: xnnpack"),
    (verify("--reference-runtime", "tpu"), "reference runtime 'tpu'; accepted: xnnpack"),
    (verify("--layout", "nchw"), "layout 'nchw'; accepted: auto, hwc, chw"),
    (verify("--solver", "magic"), "solver 'magic'; accepted: auto, "),
    (verify("--seed", "-1"), "seed -1; accepted: a whole number, 0 or more"),
]


@pytest.mark.parametrize(("words", "line"), USAGE, ids=[" ".join(words[-2:]) for words, _ in USAGE])
def test_mistakes_are_one_line_before_any_work(
    mine: Path,
    words: list[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from relrob.cli.main import main

    monkeypatch.chdir(mine)
    monkeypatch.setenv("RELROB_CACHE", str(mine / "cache"))
    monkeypatch.setattr(sys, "argv", ["relrob", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    told = capfd.readouterr()
    assert (stop.value.code, told.out) == (2, "")
    assert told.err.startswith("relrob: ") and told.err.count("\n") == 1, told.err
    assert line in told.err


def test_another_configuration_is_refused_before_the_accuracies(mine: Path) -> None:
    assert program(mine, verify("--out", "taken", "-q")).returncode == 0
    told = one_line(program(mine, verify("--out", "taken", "--radius", "3/2")))
    assert "another configuration: " in told and "region.radius is 2.0 there and 1.5 here" in told


def test_a_cache_that_takes_nothing_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    images = ["--radius", "5", "--step", "1/2", "--images", "0:1"]
    for place in ("file", "file/below", "/proc/nothing"):
        told = one_line(
            program(tmp_path, ["verify", *images], env={"RELROB_CACHE": str(Path(tmp_path, place))})
        )
        assert "RELROB_CACHE" in told


def test_quantise_from_python_is_the_command(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    told = relrob.quantise("ref.onnx", "one.onnx", scheme="qdq", dataset="data.npz", calibration=5)
    words = [
        "quantise",
        "ref.onnx",
        "-o",
        "two.onnx",
        "--scheme",
        "qdq",
        "--dataset",
        "data.npz",
        "--calibration",
        "5",
    ]
    done = program(mine, [*words, "--json"])
    printed = json.loads(done.stdout)
    assert {**told, "path": "", "seconds": 0} == {**printed, "path": "", "seconds": 0}
    assert (mine / "one.onnx").read_bytes() == (mine / "two.onnx").read_bytes()
    with pytest.raises(RelrobError, match="quantised already"):
        relrob.quantise("one.onnx", "three.onnx", scheme="qdq", dataset="data.npz")
    assert not (mine / "three.onnx").exists()


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_script_without_a_guard_is_told_so(mine: Path, how: str) -> None:
    """Worker processes import the caller's script: without a guard it would call relrob again, and
    again."""
    script = (
        "import relrob\n"
        "relrob.verify('ref.onnx', quantise='qdq', dataset='data.npz', radius=2, step='1/2',"
        " features=4, axes=3,"
        f" images='0:3', workers=2, out='guard-{how}')\n"
    )
    (mine / "script.py").write_text(script)
    line = [sys.executable, *(["script.py"] if how == "file" else ["-"])]
    path = os.pathsep.join(str(ROOT / part) for part in ("", "solvers", "datasets"))
    environment = {**os.environ, "PYTHONPATH": path, "RELROB_CACHE": str(mine / "cache")}
    done = subprocess.run(
        line, cwd=mine, input=script, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "__name__ == '__main__'" in last and "workers=1" in last
    with Store.read(mine / f"guard-{how}") as store:
        assert store.records() == [], (
            "no image is called undecided because a worker could not start"
        )


def test_load_gives_readable_names(mine: Path) -> None:
    odd = mine / os.fsdecode(b"\xfe.npz")
    odd.write_bytes((mine / "data.npz").read_bytes())
    assert load(str(odd)).name == "\\xfe"
