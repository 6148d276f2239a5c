"""`relrob train` and `relrob quantise` as a user runs them, and the progress that they show."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from relrob.cli import quantise as quantise_module
from relrob.cli import train as train_module
from relrob.cli.progress import Bars, Lines, RateColumn, progress
from relrob.domain.events import Event, silent
from relrob.errors import RelrobError
from relrob.networks.onnx.export import to_onnx
from relrob.system.files import sha256_file
from tests.support import ROOT, random_dense


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes that differ in brightness: (8, 8, 1), 90 images."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = (rng.integers(0, 86, (90, 8, 8)) + 80 * labels[:, None, None]).astype(np.uint8)
    path = tmp_path / "grey.npz"
    np.savez(path, images=images, labels=labels)
    return path


def invoke(command: click.Command, *words: object) -> tuple[str, str]:
    """(standard output, standard error); errors are raised."""
    given = [str(word) for word in words]
    done = CliRunner().invoke(command, given, standalone_mode=False, catch_exceptions=False)
    return done.stdout, done.stderr


def test_train_then_quantise(data: Path, tmp_path: Path) -> None:
    network = tmp_path / "ref.keras"
    out, err = invoke(
        train_module.command,
        "--dataset",
        data,
        "-o",
        network,
        "--arch",
        "mlp-256x2",
        "--epochs",
        60,
    )
    assert out.startswith(f"{network}: mlp-256x2, ") and "of 90 test images right" in out
    assert "training mlp-256x2 on" in err and "epoch 60/60" in err
    for scheme, name, calibrated in (
        ("dynamic", "q.tflite", False),
        ("int8", "r.tflite", True),
        ("qdq", "q.onnx", True),
    ):
        drawn = ("--calibration", 50, "--seed", 4) if calibrated else ()
        words = ("--dataset", data, "--scheme", scheme, *drawn, "-o", tmp_path / name)
        out, err = invoke(quantise_module.command, network, *words, "--json")
        summary = json.loads(out)
        assert err == ""
        assert summary["sha256"] == sha256_file(tmp_path / name)
        assert summary["calibration"] == (
            "grey/test, 50 images, seed 4 (images that it is judged by)" if calibrated else None
        )
        assert (summary["scheme"], summary["path"]) == (scheme, str(tmp_path / name))
        assert summary["reference"] == {"path": str(network), "sha256": sha256_file(network)}
        assert summary["accuracy"] > 0.9 and summary["seconds"] > 0
    first = (tmp_path / "q.onnx").read_bytes()
    invoke(quantise_module.command, network, *words)
    assert (tmp_path / "q.onnx").read_bytes() == first, "overwritten by the same bytes"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "grey.npz",
        "q.onnx",
        "q.tflite",
        "r.tflite",
        "ref.keras",
    ]


def test_train_in_json(data: Path, tmp_path: Path) -> None:
    network = tmp_path / "ref.keras"
    words = ("--arch", "mlp-256x2", "--dataset", data, "-o", network, "--epochs", 1, "--seed", 9)
    out, err = invoke(train_module.command, *words, "--json")
    summary = json.loads(out)
    assert err == "" and summary["sha256"] == sha256_file(network)
    assert (summary["arch"], summary["seed"], summary["dataset"]) == ("mlp-256x2", 9, str(data))
    assert 0 <= summary["accuracy"] <= 1
    assert invoke(train_module.command, *words, "-q") == ("", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--scheme", "int9"], "accepted: dynamic, dynamic-per-channel"),
        (["--scheme", "qdq"], "accepted: a file name that ends in .onnx"),
        (["--calibration", "0"], "calibration with 0 images"),
        (["--layout", "nchw"], "layout 'nchw'"),
        (["--dataset", "nowhere"], "nowhere"),
        (["--dataset", "mnist"], "28x28"),
        (["--calibration-split", "validation", "--dataset", "mnist"], "28x28"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    words: list[str], expected: str, data: Path, tmp_path: Path
) -> None:
    network = tmp_path / "net.onnx"
    network.write_bytes(to_onnx(random_dense(0, (64, 32, 3))))
    with pytest.raises(RelrobError) as caught:
        invoke(
            quantise_module.command, network, "--dataset", data, "-o", tmp_path / "q.tflite", *words
        )
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grey.npz", "net.onnx"]


def test_the_program_exits_with_2_and_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", "datasets"])}
    for words in (
        ["quantise", "missing.keras", "-o", "q.tflite"],
        ["train", "-o", "ref.h5"],
        ["train", "--epochs", "x"],
    ):
        program = [sys.executable, "-m", "relrob", *words]
        done = subprocess.run(
            program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        lines = [
            line
            for line in done.stderr.splitlines()
            if line.startswith("relrob: ") and "training" not in line
        ]
        assert done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr, (
            done.stderr
        )
        assert done.stdout == ""


@pytest.mark.parametrize("command", [train_module.command, quantise_module.command])
def test_help_has_an_example(command: click.Command) -> None:
    out, _ = invoke(command, "--help")
    assert "Example:" in out and "relrob " in out


def test_plain_lines_are_few() -> None:
    clock, written = [0.0], list[str]()
    lines = Lines(written.append, lambda: clock[0])
    lines(Event("note", "loading"))
    for done in range(1, 101):
        clock[0] += 0.125
        lines(Event("images", "", done, 100))
    assert written[:2] == ["loading", "images 1/100 (1%)"]
    assert written[-1].startswith("images 100/100 (100%), 8.0/s")
    assert [int(line.split()[1].split("/")[0]) for line in written[1:]] == [
        1,
        17,
        33,
        49,
        65,
        81,
        97,
        100,
    ]
    assert written[2] == "images 17/100 (17%), 8.0/s, 10 s left"


def test_the_next_run_of_a_study_has_a_rate_of_its_own() -> None:
    clock, written = [0.0], list[str]()
    lines = Lines(written.append, lambda: clock[0])
    for total, each in ((4, 10.0), (8, 1.0)):
        for done in range(total + 1):
            clock[0] += each if done else 0.0
            lines(Event("images", "", done, total))
    assert written[4] == "images 4/4 (100%), 10.0 s each"
    assert written[5:7] == ["images 0/8 (0%)", "images 2/8 (25%), 1.0/s, 6 s left"]


def test_what_was_held_back_is_written_at_the_end() -> None:
    written = list[str]()
    lines = Lines(written.append, lambda: 0.0)
    for done in (1, 2, 3):
        lines(Event("download", f"part {done}", done, 10))
    lines.close()
    lines.close()
    assert written == ["download 1/10 (10%): part 1", "download 3/10 (30%): part 3"]


def test_bars_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        console=console,
    ) as bars:
        show = Bars(bars)
        show(Event("note", "a line [with brackets]"))
        for done in (1, 2, 3):
            show(Event("train", "", done, 3))
            show(Event("train", f"epoch {done}/3: loss [0.1]", done, 3))
            show(Event("train", f"epoch {done}/3: loss [0.1]", done, 3))
        show(Event("images", "", 1, 7))
        assert [(task.completed, task.total) for task in bars.tasks] == [(3, 3), (1, 7)]
        show(Event("train", "", 0, 5))
        train = bars.tasks[0]
        assert (train.completed, train.total, train.finished) == (0, 5, False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a line [with brackets]" in text and text.count("epoch 2/3: loss [0.1]") == 1


def test_silence_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json, quiet in ((True, False), (False, True)):
        with progress(as_json, quiet) as listener:
            assert listener is silent
    with progress(False, False) as listener:
        listener(Event("note", "heard"))
    assert capsys.readouterr() == ("", "heard\n")
