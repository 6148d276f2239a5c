"""Damaged files differ from their seeds and come again from the same numbers.

Runtimes take the seeds, and the judge sees faults.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.testing import alone, mutate, mutations
from relrob.testing.cases import SHAPE
from relrob.testing.mutate import CLASSES, FORMATS, Campaign, read_seeds
from relrob.testing.mutations_bytes import any_bytes
from tests.make_networks import forward, keras

ROOT = Path(__file__).resolve().parents[2]
NOISE = np.random.default_rng(4).random((20, 36), dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeds, written as the campaign lets them be written."""
    keras()  # whose warnings, at its import, no test expects
    made = tmp_path_factory.mktemp("seeds")
    subprocess.run(
        [sys.executable, "-m", "relrob.testing.seeds", str(made)], check=True, capture_output=True
    )
    return made


def files(campaign: Campaign, numbers: range, folder: Path) -> list[dict[str, bytes]]:
    """The content of each damaged file."""
    return [held(campaign.make(number, folder)) for number in numbers]


def held(place: Path) -> dict[str, bytes]:
    """Files of a directory, or the file as one without a name."""
    if place.is_file():
        return {"": place.read_bytes()}
    return {
        each.relative_to(place).as_posix(): each.read_bytes()
        for each in place.rglob("*")
        if each.is_file()
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_differ_from_every_seed_and_from_each_other(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    seeds = read_seeds(folder, kind)
    made = files(Campaign(kind, seeds, 7), range(120), tmp_path)
    assert not any(file in seeds for file in made)
    assert all(set(file) in [set(seed) for seed in seeds] for file in made)
    assert len({json.dumps(sorted(map(repr, file.items()))) for file in made}) > 110
    if kind == "savedmodel":
        damaged = [
            [name for name in file if not any(file[name] == seed.get(name) for seed in seeds)]
            for file in made
        ]
        assert all(len(names) <= 1 for names in damaged)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_made_again_at_any_time(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the seeds' bytes, the seed and its number: not from the clock, from those before it or
    from the folder."""
    seeds = read_seeds(folder, kind)
    for name in ("once", "later"):
        (tmp_path / name).mkdir()
    once = files(Campaign(kind, seeds, 3), range(60), tmp_path / "once")
    now = time.time() + 5e6
    monkeypatch.setattr(time, "time", lambda: now)
    assert files(Campaign(kind, seeds, 3), range(59, -1, -1), tmp_path / "later")[::-1] == once
    others = files(Campaign(kind, seeds, 4), range(60), tmp_path)
    assert all(first != second for first, second in zip(once, others, strict=True))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_change_is_one_and_edits_of_fields_are_made(kind: str, folder: Path) -> None:
    """Half the changes know the format: its own library reads some of what they leave, and finds it
    changed."""
    contents = [
        held
        for seed in read_seeds(folder, kind)
        for name, held in seed.items()
        if name in ("", "saved_model.pb")
    ]
    whole = 0
    for number in range(60):
        data = contents[number % len(contents)]
        found = mutations.mutated(np.random.default_rng(number), kind, data, contents)
        assert isinstance(found, bytes)
        assert found != data
        assert found == mutations.mutated(np.random.default_rng(number), kind, data, contents)
        whole += aware(kind, data, number) != data
    assert whole >= 15


def aware(kind: str, data: bytes, number: int) -> bytes:
    """A change that knows the format; none where its library refuses what would be written."""
    try:
        return mutations._AWARE[kind](np.random.default_rng(number), data)
    except Exception:  # each library raises its own
        return data


def test_bytes_change_in_each_of_the_ways() -> None:
    """Longer, shorter and as long; of no bytes, of one, and of some."""
    lengths = set()
    for number in range(300):
        for data in (b"", b"x", bytes(range(64))):
            found = any_bytes(np.random.default_rng(number), data, [b"other bytes"])
            lengths.add((len(data), np.sign(len(found) - len(data))))
    assert {(64, sign) for sign in (-1, 0, 1)} <= lengths


def seeds_of(folder: Path, kind: str) -> list[Path]:
    found = sorted((folder / kind).iterdir())
    assert found
    return found


RUN = {
    "tflite": ("xnnpack", "builtin", "reference"),
    "onnx": ("onnxruntime",),
    "h5": ("keras",),
    "keras": ("keras",),
}


@pytest.mark.parametrize("kind", RUN)
def test_seeds_run_on_their_runtimes_and_give_what_ours_give(kind: str, folder: Path) -> None:
    for place in seeds_of(folder, kind):
        network = load_network(place, image_shape=SHAPE, classes=CLASSES)
        ours = open_network(network, batch=1).outputs(NOISE)
        if place.stem == "keras1":  # weights, which no Keras of today runs
            assert network.dense is not None
            np.testing.assert_allclose(ours, forward(network.dense, NOISE), rtol=1e-4, atol=1e-5)
            continue
        for runtime in RUN[kind]:
            found = alone.outputs(alone.opened(runtime, place.read_bytes(), place.suffix), NOISE)
            assert found.shape == (len(NOISE), CLASSES)
            assert np.ptp(found, axis=0).max() > 0
            if network.runtime in (runtime, "onnxruntime"):
                np.testing.assert_allclose(ours, found, rtol=1e-4, atol=1e-4 * np.abs(found).max())


def test_saved_models_run_on_tensorflow(folder: Path) -> None:
    tensorflow = load("tests.tensorflow_here:tensorflow")
    for place in seeds_of(folder, "savedmodel"):
        network = load_network(place, image_shape=SHAPE, classes=CLASSES)
        serve = tensorflow.saved_model.load(str(place)).signatures["serving_default"]
        (found,) = serve(tensorflow.constant(NOISE.reshape(-1, *SHAPE))).values()
        np.testing.assert_allclose(
            open_network(network).outputs(NOISE), found.numpy(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["fixed", "npz"])
def test_arrays_are_read_by_numpy(kind: str, folder: Path) -> None:
    for place in seeds_of(folder, kind):
        with np.load(place, allow_pickle=False) as archive:
            assert all(archive[name].size for name in archive.files)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_seed_is_read_whole(kind: str, folder: Path) -> None:
    """By the reading that damaged files go through: what is refused later is refused for its
    damage."""
    for place in seeds_of(folder, kind):
        assert Campaign(kind, [], 0).read(place)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """The judge's words for readings that go wrong on purpose."""
    command = [sys.executable, "-m", "tests.planted_readings"]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


WORDS = {
    "read": ("read", ""),
    "read again": ("read", ""),
    "refused": ("refused", ""),
    "crash": ("crashed", ""),
    "memory": ("out of memory", ""),
    "traceback": ("bug", "npz 0: KeyError: 'planted' at ?"),
    "a bare exit": ("bug", "npz 0: SystemExit: 0 at ?"),
    "no answer": ("exit", "npz 0: ended without an answer at ?"),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_judge_sees_how_a_reading_ends(name: str, told: dict[str, Any]) -> None:
    outcome, wrong = WORDS[name]
    assert told[name] == {"outcomes": {outcome: 1}, "wrong": [wrong] if wrong else []}


def test_a_reading_that_never_ends_is_out_of_time(told: dict[str, Any]) -> None:
    """One that works, one that waits."""
    assert told["hangs"] == {"outcomes": {"out of time": 2}, "wrong": []}


def test_the_files_after_one_that_kills_its_child_are_read(told: dict[str, Any]) -> None:
    """Each once, under its own number."""
    counts = {"read": 3, "refused": 1, "bug": 2, "exit": 1, "crashed": 1, "out of memory": 1}
    assert told["all"]["outcomes"] == counts
    assert [line.split(":")[0] for line in told["all"]["wrong"]] == ["npz 2", "npz 3", "npz 4"]


def test_files_written_and_processes_left_are_seen(told: dict[str, Any]) -> None:
    """A reading that accepts its file and writes another; one that starts a process, which the
    judge ends."""
    assert told["written"] == {
        "outcomes": {"read": 2},
        "wrong": ["files written by range(0, 2): ['stray']"],
    }
    assert told["outlived"] is False


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relrob.testing.mutate", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_command_logs_one_line_a_run_and_keeps_files(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.md"
    given = ("--format", "npz", "--seeds", str(folder), "--files", "12")
    for first in ("0", "12"):
        run = command(*given, "--first", first, "--log", str(log))
        assert (run.returncode, run.stderr) == (0, "")
    lines = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in log.read_text().splitlines()
    ]
    assert [(line[0], line[2], line[-1]) for line in lines] == [
        ("npz", "0 to 11", "0"),
        ("npz", "12 to 23", "0"),
    ]
    for line in lines:
        assert sum(int(word.split()[-1].replace(",", "")) for word in line[3].split(", ")) == 12
    assert command(*given, "--keep", str(tmp_path / "kept")).returncode == 0
    made = files(Campaign("npz", read_seeds(folder, "npz"), 0), range(12), tmp_path)
    assert [held(tmp_path / "kept" / f"{number}.npz") for number in range(12)] == made
    assert all(first != second for first, second in pairwise(made))


def test_a_run_with_a_complaint_ends_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint is shown and counted."""
    shown: list[str] = []

    def complaining(campaign: Campaign, numbers: range, *rest: object) -> None:
        mutate._count(
            campaign, numbers.start, {"bug": "KeyError: 'planted'", "where": "reader.py:7"}
        )

    monkeypatch.setattr(mutate, "run", complaining)
    monkeypatch.setattr(mutate, "print_line", shown.append)
    assert mutate.main(["--format", "npz", "--seeds", str(folder), "--files", "1"]) == 1
    assert shown[0] == "npz 0: KeyError: 'planted' at reader.py:7"
    assert shown[-1].endswith("| 1 |")
