"""`relrob datasets` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from relrob.cli.datasets import command
from relrob.errors import DatasetError

ROOT = Path(__file__).resolve().parents[2]


def invoke(tmp_path: Path, *words: str) -> str:
    done = CliRunner().invoke(
        command,
        words,
        env={"RELROB_CACHE": str(tmp_path)},
        catch_exceptions=False,
        standalone_mode=False,
    )
    return done.stdout


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "RELROB_CACHE": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([".", "datasets"]),
    }
    program = [sys.executable, "-m", "relrob", "datasets", *words]
    return subprocess.run(
        program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_list_for_people_and_for_programs(tmp_path: Path) -> None:
    text = invoke(tmp_path, "list")
    for words in ("embedded", "relrob datasets get cifar10", "CC BY-SA 3.0", "28x28x1", "11.6 MB"):
        assert words in text
    assert "CC BY" not in invoke(tmp_path, "list", "-q")
    listed = json.loads(invoke(tmp_path, "list", "--json"))["datasets"]
    assert [(row["name"], row["state"]) for row in listed] == [
        ("mnist", "embedded"),
        ("fashion-mnist", "to fetch"),
        ("cifar10", "to fetch"),
        ("svhn", "to fetch"),
    ]
    assert listed[0]["on_disk"] == ["train", "test"] and listed[0]["bytes"] == 11594722
    assert listed[2]["classes"][3] == "cat" and listed[2]["splits"] == {
        "train": 50000,
        "test": 10000,
    }


def test_verify(tmp_path: Path) -> None:
    found = json.loads(invoke(tmp_path, "verify", "mnist", "--split", "test", "--json"))["datasets"]
    assert [(data["split"], data["images"], data["image_shape"]) for data in found] == [
        ("test", 10000, [28, 28, 1])
    ]
    np.savez(tmp_path / "own.npz", images=np.zeros((2, 2, 3), dtype=np.uint8), labels=[1, 0])
    own = invoke(tmp_path, "verify", str(tmp_path / "own.npz"))
    assert (
        "no published checksum" in own and "own test: 2 images of 2x3x1, 2 classes, sha256" in own
    )
    assert invoke(tmp_path, "verify", "mnist", "--split", "test").startswith(
        "published checksums match\nmnist test: 10000"
    )
    assert invoke(tmp_path, "verify", str(tmp_path / "own.npz"), "-q") == ""
    with pytest.raises(DatasetError, match="get svhn"):
        invoke(tmp_path, "verify", "svhn")


def test_get_from_a_folder_and_the_embedded_set(tmp_path: Path) -> None:
    assert json.loads(invoke(tmp_path, "get", "mnist", "--json"))["state"] == "embedded"
    assert "mnist: train, test in" in invoke(tmp_path, "get", "mnist")
    assert invoke(tmp_path, "get", "mnist", "-q") == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("verify", "nothing-here"), "relrob: no data set 'nothing-here'; accepted: mnist"),
        (("get", "imagenet"), "relrob: no data set 'imagenet' to fetch; accepted: mnist"),
        (
            ("get", "svhn", "--from", "absent"),
            "relrob: absent does not exist; accepted: a folder or file",
        ),
        (
            ("get", "svhn", "--from", "tests"),
            "relrob: tests has no file of svhn; accepted: train_32x32.mat",
        ),
        (("get",), "relrob: missing argument 'NAME'; try: relrob datasets get --help"),
        (
            ("verify", "mnist", "--split", "dev"),
            "relrob: data set 'mnist' has no split 'dev'; accepted: train, test",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1


def test_every_command_has_help_with_an_example() -> None:
    for name in ("list", "get", "verify"):
        text = CliRunner().invoke(command, [name, "--help"]).stdout
        assert "Example:" in text and f"relrob datasets {name}" in text and "--json" in text


def test_the_examples_run(tmp_path: Path) -> None:
    for words in (("list", "--json"), ("get", "mnist"), ("verify", "mnist", "--split", "test")):
        done = run(tmp_path, *words)
        assert done.returncode == 0 and done.stdout, done.stderr
