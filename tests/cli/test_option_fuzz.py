"""Options of `relrob attack`, `transfer`, `quantise` and `prune`, one by one and in combinations:
each changes what comes out or is refused in one line, and none ends in a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.cli import attack, prune, quantise, transfer
from relrob.cli.mistakes import mistake_of
from relrob.networks.onnx.export import to_onnx
from relrob.system.files import sha256_file
from tests.make_networks import write_keras
from tests.support import random_dense, rounded

SHAPE = (4, 4, 3)


@dataclass(frozen=True)
class Files:
    """Colour images, so that the order of pixels and channels matters, and flat networks."""

    folder: Path

    def words(self, text: str) -> list[str]:
        """The words of a text whose capitals name files: DATA, OTHER, NAMES, REF, QUANT, KERAS,
        SET."""
        ends = {"DATA": "npz", "OTHER": "npz", "SET": "npz", "NAMES": "txt", "KERAS": "keras"}
        return [
            str(self.folder / f"{word}.{ends.get(word, 'onnx')}") if word.isupper() else word
            for word in text.split()
        ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("options")
    rng, dense = np.random.default_rng(1), random_dense(2, (48, 16, 16, 4))
    for name, seed in (("DATA", 3), ("OTHER", 4)):
        levels = np.random.default_rng(seed).integers(0, 256, (24, *SHAPE), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=levels, labels=rng.integers(0, 4, 24), classes=4)
    (folder / "NAMES.txt").write_text("a\nb\nc\nd\n")
    (folder / "REF.onnx").write_bytes(to_onnx(dense))
    (folder / "QUANT.onnx").write_bytes(to_onnx(rounded(dense, 4)))
    write_keras(dense, folder / "KERAS.keras", SHAPE)
    found = Files(folder)
    ran(attack.command, found.words("REF --attack fgsm --dataset DATA --filter none --out SET"))
    return found


def ran(command: click.Command, words: Sequence[str]) -> dict[str, Any] | str:
    """The document of a command without its times, or the line of a mistake."""
    try:
        done = CliRunner().invoke(
            command, [*words, "--json"], standalone_mode=False, catch_exceptions=False
        )
    except Exception as error:
        mistake = mistake_of(error)
        if mistake is None:
            raise
        assert "\n" not in str(mistake) and len(mistake.parts[0]) > 3
        return str(mistake)
    found: dict[str, Any] = json.loads(done.stdout)
    found.pop("seconds")
    return found


@dataclass(frozen=True)
class Base:
    """A command that works, and for each of its options values, of which the first ones matter."""

    command: click.Command
    words: str
    options: Mapping[str, Sequence[str]]


DATA = {
    "--classes": ("NAMES", "DATA", "nowhere"),
    "--labels": ("reference", "given", "none"),
    "--range": ("-1:1", "auto", "3:1", "x"),
    "--images-layout": ("chw", "hwc", "x"),
}
INPUTS = {
    "--layout": ("chw", "hwc", "whc"),
    "--input-scale": ("255", "0", "x"),
    "--mean": ("0.5", "0.1,0.2,0.3", "1,2", "nan"),
    "--std": ("2", "0", "0.5,0.5,0.5"),
    "--channels": ("bgr", "rgb", "grb"),
    "--memory": ("4", "-1"),
}
CHOICE = {
    **DATA,
    **INPUTS,
    "--output": ("nothing", ""),
    "--runtime": ("onnxruntime:disabled", "xnnpack", "real", "keras"),
    "--images": ("0:9", "all", "3,5,7", "40", "per-class:2", ":", "x"),
    "--sample": ("5", "0", "-3", "1000"),
    "--seed": ("1", "-1"),
    "--split": ("train", "test", "x"),
    "--target-label": ("2", "next", "random", "least", "9", "x"),
    "--fit-images": ("0:9", "x"),
    "--fit-split": ("train", "x"),
    "--eps": ("0.3", "8/255", "0", "2", "nan", "x"),
    "--steps": ("4", "0", "1.5"),
    "--restarts": ("3", "0"),
}
CALIBRATED = {
    **DATA,
    **INPUTS,
    "--calibration": ("5", "0", "99"),
    "--calibration-split": ("test", "x"),
    "--seed": ("1", "-1"),
}
BASES = {
    "attack": Base(
        attack.command,
        "REF --attack pgd:steps=2 --dataset DATA --filter none",
        {**CHOICE, "--filter": ("source_correct", "both_correct", "x"), "--dataset": ("OTHER",)},
    ),
    "universal": Base(
        attack.command,
        "REF --attack sgd-uap:epochs=2:batch=5 --dataset DATA --filter none",
        {**CHOICE, "--attack": ("uap", "fgsm:eps=1:eps=2", "boundary:steps=1", "pgd:", "")},
    ),
    "crafted": Base(
        transfer.command,
        "--source REF --target QUANT --attack pgd:steps=2 --dataset DATA --filter none",
        {
            **CHOICE,
            "--filter": ("both_correct", "source_correct", "x"),
            "--keep": ("2", "0"),
            "--reference": ("QUANT", "DATA"),
            "--samples": ("SET", "DATA"),
        },
    ),
    "kept": Base(
        transfer.command,
        "--samples SET --target QUANT",
        {
            **CHOICE,
            "--filter": ("both_correct", "none", "x"),
            "--keep": ("2", "0"),
            "--reference": ("REF", "DATA"),
            "--source": ("REF",),
            "--attack": ("fgsm",),
        },
    ),
    "quantised": Base(
        quantise.command,
        "REF --scheme qdq --dataset DATA --calibration 20 --output out.onnx",
        {**CALIBRATED, "--scheme": ("fixed:8", "qdq", "int8", "x")},
    ),
    "fixed": Base(
        quantise.command,
        "REF --scheme fixed:6 --dataset DATA --calibration 20 --output out.npz",
        {**CALIBRATED, "--scheme": ("fixed:8", "fixed:1", "q:8:2", "q:99:1", "dorefa:2")},
    ),
    "pruned": Base(
        prune.command,
        "KERAS --density 0.5 --dataset DATA --output out.keras",
        {
            **CALIBRATED,
            "--method": ("soft-filter", "activations", "surgery", "x"),
            "--density": ("0.3", "0", "1", "nan", "2"),
            "--threshold": ("0.1", "-1"),
            "--scope": ("global", "x"),
            "--gradients": ("masked", "x"),
            "--block": ("d0", "x"),
            "--granularity": ("channel", "x"),
            "--epochs": ("1", "-1"),
        },
    ),
}
# These change no result: more memory, and the one split that data without splits have.
IDLE = {
    *((name, "--memory") for name in BASES),
    *((name, "--calibration-split") for name in ("quantised", "fixed")),
}


def outcome(files: Files, base: Base, options: Mapping[str, str]) -> Any:
    """The document with the digest of the file that was written, or the line of a mistake."""
    out = files.folder / "made"
    out.mkdir(exist_ok=True)
    words = [str(out / word) if word.startswith("out.") else word for word in base.words.split()]
    typed = [part for name, value in options.items() for part in (name, value)]
    for old in out.iterdir():
        old.unlink()
    told = ran(base.command, [files.words(word)[0] if word else "" for word in (*words, *typed)])
    if isinstance(told, str):
        assert not list(out.iterdir()), f"{told}, and yet a file was written"
        return told
    return told, [sha256_file(path) for path in sorted(out.iterdir())]


def single() -> Iterator[tuple[str, str]]:
    for name, base in BASES.items():
        yield from ((name, option) for option in base.options if (name, option) not in IDLE)


@pytest.mark.parametrize(("name", "option"), list(single()))
def test_an_option_changes_the_outcome_or_is_refused(files: Files, name: str, option: str) -> None:
    base = BASES[name]
    plain = outcome(files, base, {})
    assert not isinstance(plain, str), plain
    assert outcome(files, base, {option: base.options[option][0]}) != plain


def combined(name: str) -> st.SearchStrategy[dict[str, str]]:
    """Up to four options with any of their values."""
    options = BASES[name].options
    pairs = [(option, value) for option, values in options.items() for value in values]
    return st.lists(st.sampled_from(pairs), max_size=4).map(dict)


def check_combinations(files: Files, name: str, count: int) -> None:
    @settings(max_examples=count, derandomize=True, database=None)
    @given(options=combined(name))
    def no_traceback(options: dict[str, str]) -> None:
        outcome(files, BASES[name], options)

    no_traceback()


@pytest.mark.parametrize("name", BASES)
def test_combinations_end_in_a_document_or_in_one_line(files: Files, name: str) -> None:
    check_combinations(files, name, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_many_combinations(files: Files, name: str) -> None:
    check_combinations(files, name, 400)
