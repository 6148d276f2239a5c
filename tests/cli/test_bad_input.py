"""Bad input of `relrob verify`: one line, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from tests.cli_case import Case, relrob_command

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
    ("unknown solver", ["verify", "--solver", "oracle"], "oracle"),
    ("unknown runtime", ["verify", "--runtime", "abacus"], "abacus"),
    ("runtime of another format", ["verify", "--runtime", "xnnpack"], "xnnpack"),
    ("unknown region", ["verify", "--region", "cone"], "cone"),
    ("option of another region", ["verify", "--region", "search"], "--features has no effect"),
    ("scheme beside a file", ["verify", "--quantise", "int4"], "--quantise has no effect"),
    ("region of one point", ["verify", "--radius", "1/255"], "is the image alone"),
    ("study that does not exist", ["study", "run", "zhao"], "zhao"),
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
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: list[str],
    words: str,
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
    """Run the program in this process; it must refuse in one line with exit code 2 and leave
    nothing in `folder`."""
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


def test_data_that_does_not_fit(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        arguments = [
            str(tmp_path / f"{name}.npz") if a == str(case.data) else a for a in case.arguments()
        ]
        refused(arguments, words, tmp_path, monkeypatch)


def test_weights_that_are_no_numbers(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(case.reference.read_bytes())
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[0, 0] = np.nan
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(values, model.graph.initializer[0].name)
    )
    (tmp_path / "nan.onnx").write_bytes(model.SerializeToString())
    refused(
        ["verify", str(tmp_path / "nan.onnx"), *case.arguments()[2:]], "NaN", tmp_path, monkeypatch
    )


def test_a_directory_of_another_run_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    environment["PYTHONPATH"] = os.pathsep.join(
        str(root / part) for part in ("", "solvers", "datasets")
    )

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
