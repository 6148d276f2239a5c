"""`relrob runtimes` and `relrob.compare_runtimes`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import relrob
from relrob.cli.mistakes import tell
from relrob.cli.runtimes import command
from relrob.errors import RelrobError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from tests.litert_edits import scale
from tests.make_litert import GRID, edited, plain_files


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    """A file and its data."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (60, 4, 5, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(60) % 5)
    (tmp_path / "n.tflite").write_bytes(plain_files()["int8"])
    return (str(tmp_path / "n.tflite"), "--dataset", str(tmp_path / "data.npz"))


def told(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_json_is_what_python_gives(words: tuple[str, ...]) -> None:
    given = ("--images", "0:40", "--runtimes", "builtin, xnnpack", "--sample", "30", "--seed", "3")
    found = told(*words, *given)
    report = relrob.compare_runtimes(
        words[0],
        dataset=words[2],
        images=range(40),
        runtimes=["builtin", "xnnpack"],
        sample=30,
        seed=3,
    )
    assert found == json.loads(json.dumps(report.json()))
    assert [run["runtime"] for run in found["runtimes"]] == ["builtin", "xnnpack"]
    assert {run["images"] for run in found["runtimes"]} == {30}
    assert told(*words, *given) == found


def test_the_terminal_shows_each_pair(words: tuple[str, ...]) -> None:
    asked = [*words, "--runtimes", "xnnpack,builtin,reference", "--sample", "all"]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    lines = done.stdout.splitlines()
    assert sum(line.startswith(("xnnpack and", "builtin and")) for line in lines) == 3
    assert "reference: running 60 images" in done.stderr
    quiet = CliRunner().invoke(command, [*asked, "-q"], catch_exceptions=False)
    assert (quiet.stdout, quiet.stderr) == ("", "")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--runtimes", "keras"), "runtime 'keras'"),
        (("--sample", "few"), "sample 'few'; accepted: auto, all or a number of images"),
        (("--sample", "0"), "a sample of 0 images"),
        (("--seed", "-1"), "seed -1"),
        (("--images", "70"), "image 70"),
        (("--layout", "diagonal"), "layout 'diagonal'"),
        (("--input-scale", "x"), "input scale 'x'"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], more: tuple[str, ...], line: str) -> None:
    with pytest.raises(RelrobError) as raised:
        CliRunner().invoke(command, [*words, *more], catch_exceptions=False)
    assert tell(raised.value) == 2
    assert line in str(raised.value)


def test_the_input_contract_decides(words: tuple[str, ...]) -> None:
    """Black images have one label; a scale of almost nothing makes all images black."""
    found = told(*words, "--runtimes", "xnnpack,builtin")
    dark = told(*words, "--runtimes", "xnnpack,builtin", "--input-scale", "1/1000000")
    assert dark["runtimes"][0]["accuracy"] == pytest.approx(0.2)
    assert found["runtimes"] != dark["runtimes"]


def test_indices_outside_the_data_are_told(words: tuple[str, ...]) -> None:
    for images in ([60], [-1], []):
        accepted = r"0, 3, 17" if images == [-1] else r"0\.\.59"
        with pytest.raises(RelrobError, match=accepted):
            relrob.compare_runtimes(words[0], dataset=words[2], images=images)


def test_a_file_that_the_default_runtime_refuses(words: tuple[str, ...]) -> None:
    """XNNPACK refuses a layer whose scale is far too large; the others run it."""
    wide = edited(plain_files()["int8-per-tensor"], scale(1, [40_000.0], [0]))
    Path(words[0]).write_bytes(edited(wide, scale(2, [40_000 * GRID.scale], [0])))
    found = told(*words)
    names = [run["runtime"] for run in found["runtimes"]]
    assert "xnnpack" not in names and "builtin" in names
    assert "xnnpack" in [each["runtime"] for each in found["refused"]]


def test_images_without_labels_have_no_accuracy(words: tuple[str, ...], tmp_path: Path) -> None:
    with np.load(words[2]) as held:
        np.savez(tmp_path / "bare.npz", images=held["images"])
    asked = (words[0], "--dataset", str(tmp_path / "bare.npz"), "--labels", "reference")
    found = told(*asked, "--runtimes", "xnnpack,builtin")
    assert [run["accuracy"] for run in found["runtimes"]] == [None, None]
    assert found["pairs"][0]["accuracy"] is None
    assert told(*words, "--runtimes", "xnnpack,builtin")["pairs"][0]["accuracy"] is not None
    done = CliRunner().invoke(command, [*asked, "--sample", "30"], catch_exceptions=False)
    assert "right" not in done.stdout and "30 images, a sample" in done.stdout


def test_labels_near_chance_are_hinted_at(words: tuple[str, ...], tmp_path: Path) -> None:
    images = np.load(words[2])["images"]
    network = load_network(words[0], image_shape=(4, 5, 1), classes=5, runtime="xnnpack")
    given = open_network(network).outputs(
        images.reshape(60, 20).astype(np.float32) / np.float32(255)
    )
    own = given.argmax(axis=1)
    for name, labels, hinted in (
        ("right", own, False),
        ("wrong", (own + 1 + np.arange(60) % 3) % 5, True),
    ):
        path = tmp_path / f"{name}.npz"
        np.savez(path, images=images, labels=labels)
        done = CliRunner().invoke(command, [words[0], "--dataset", str(path)])
        assert ("--layout chw, --input-scale" in done.stderr) is hinted
