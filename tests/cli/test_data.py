"""Data options at the shell: one line for every mistake, and names that a terminal could obey."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relrob.networks.onnx.export import to_onnx
from tests.cli.programs import one_line, program, verify
from tests.support import random_dense

HOSTILE = "a\x1b[2J\u202e|<b>"


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of pictures, an archive without labels, and a network of three outputs."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    for number, name in enumerate((HOSTILE, "bee", "cat")):
        (folder / "photos" / name).mkdir(parents=True)
        for place in (number, number + 3):
            Image.fromarray(images[place]).save(folder / "photos" / name / f"{place}.png")
    np.savez(folder / "bare.npz", images=images)
    np.savez(folder / "data.npz", images=images, labels=np.arange(6) % 3)
    (folder / "ref.onnx").write_bytes(to_onnx(random_dense(2, (64, 16, 3))))
    (folder / "ten.onnx").write_bytes(to_onnx(random_dense(2, (64, 16, 10))))
    (folder / "two.txt").write_text("bee\ncat\n")
    (folder / "twice.txt").write_text("bee\nbee\n")
    (folder / "wild.txt").write_text(f"bee\n{HOSTILE}{HOSTILE}\ncat\n")
    return folder


MISTAKES = [
    (["--classes", "absent.txt"], "cannot read absent.txt: No such file"),
    (["--classes", "twice.txt"], "names 'bee' for the classes 0 and 1; accepted: each name once"),
    (["--classes", "two.txt"], "has the folder 'a\\x1b[2J\\u202e|<b>', which is not in --classes"),
    (["--classes", "wild.txt"], "which is not in --classes; accepted: bee, a\\u001b[2J"),
    (["--labels", "none"], "labels 'none'; accepted: given, reference"),
    (["--range", "1"], "range '1'; accepted: LO:HI"),
    (["--range", "0:1"], "has values in [0, 255]; accepted: values in the range 0:1; try: --range"),
    (["--images-layout", "chw"], "images layout chw of pictures"),
    (["--split", "train"], "has no splits: 'train'; accepted: test"),
]


@pytest.mark.parametrize(("options", "words"), MISTAKES, ids=[" ".join(o) for o, _ in MISTAKES])
def test_mistakes_are_one_line(mine: Path, options: list[str], words: str) -> None:
    told = one_line(program(mine, verify(*options, data="photos"))).strip()
    assert words in told and told.isprintable()


def test_the_names_found_are_told_without_control(mine: Path) -> None:
    told = one_line(program(mine, verify("-q", reference="ten.onnx", data="photos"))).strip()
    assert "10 outputs, the data set 3 classes" in told and told.isprintable()
    assert "try: --classes FILE" in told and "(found: a\\u001b[2J\\u202e|<b>, bee, cat)" in told


def test_names_are_shown_and_obeyed_by_nothing(mine: Path) -> None:
    done = program(mine, verify("--out", "named", data="photos"))
    assert done.returncode == 0, done.stderr
    table = (mine / "named" / "table.md").read_text(encoding="utf-8")
    for text in (done.stdout, done.stderr, table):
        assert all(line.isprintable() for line in text.splitlines())
        assert "\\u001b[2J" in text.replace("\\\\[", "[").replace("\\[", "[")
    assert "\\|\\<b\\>, 1 bee, 2 cat, in sorted order" in table
    summary = json.loads((mine / "named" / "summary.json").read_text(encoding="utf-8"))
    assert summary["dataset"]["classes"] == ["a\\u001b[2J\\u202e|<b>", "bee", "cat"]


def test_names_that_are_no_text(mine: Path) -> None:
    for name in (b"bee", b"cat", b"\xfe"):
        folder = mine / "odd" / os.fsdecode(name)
        shutil.copytree(mine / "photos" / "bee", folder)
    done = program(mine, verify("--out", "odd-run", "--json", data="odd"))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["dataset"]["classes"] == ["bee", "cat", "\\udcfe"]
    (mine / "odd.json").write_text('["\\ud800", "bee", "cat"]')
    told = one_line(program(mine, verify("--classes", "odd.json", data="odd")))
    assert "which is not in --classes; accepted: \\ud800, bee, cat" in told


def test_quantise_of_images_without_labels(mine: Path) -> None:
    words = ["quantise", "ref.onnx", "-o", "q.onnx", "--scheme", "qdq", "--dataset", "bare.npz"]
    assert "--labels reference" in one_line(program(mine, words))
    done = program(mine, [*words, "--labels", "reference", "--calibration", "5000"])
    assert done.returncode == 0, done.stderr
    assert "test images labelled as by the reference on onnxruntime" in done.stdout
    assert "6 images, seed 0 (all there are, of 5,000 asked for; images that it is" in done.stdout


def test_a_study_says_whose_labels(mine: Path) -> None:
    (mine / "s.toml").write_text(
        '[defaults]\nreference = "ref.onnx"\ndataset = "data.npz"\nquantise = "qdq"\n'
        'images = "0:2"\nstep = "1/2"\nfeatures = "4"\nlabels = "reference"\nrange = "0:256"\n'
        '[[grid]]\nradius = "8"\n'
    )
    done = program(mine, ["study", "run", "s.toml", "--out", "study", "--workers", "1"])
    assert done.returncode == 0, done.stderr
    shown = program(mine, ["study", "show", "study"]).stdout
    assert "labels of the reference, in units of 0:256" in shown


def test_the_check_of_a_data_set_shows_the_map(mine: Path) -> None:
    done = program(mine, ["datasets", "verify", "photos"])
    assert "1 bee, 2 cat" in done.stdout and all(map(str.isprintable, done.stdout.splitlines()))
    told = json.loads(program(mine, ["datasets", "verify", "photos", "--json"]).stdout)
    assert told["datasets"][0]["class_names"][1:] == ["bee", "cat"]
