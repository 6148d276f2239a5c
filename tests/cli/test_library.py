"""A new user in Python: options checked, chatter kept away, messages that name a file once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.errors import NetworkError, StoreError, UsageError
from relrob.networks.load import load_network
from relrob.report.run.rates import rates
from relrob.store.summarise import summarise
from relrob.study.request import Request, request_of
from relrob.system import files
from tests.cli.programs import RUN, program
from tests.make_records import make_header, make_record


def test_digest_of_a_folder_counts_names_as_bytes(tmp_path: Path) -> None:
    digests: set[str] = set()
    for name in (b"a", b"\xff", "\xff".encode()):
        folder = tmp_path / str(len(digests))
        folder.mkdir()
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"same")
        digests.add(files.sha256_path(folder))
    assert len(digests) == 3


def test_check_writable_leaves_nothing(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "new" / "deep" / "file")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="directory of that name exists"):
        files.check_writable(tmp_path)
    with pytest.raises(StoreError, match=r"too large|No space"):
        files.check_writable(tmp_path / "file", 1 << 60)


def test_a_black_box_brings_no_chatter(tmp_path: Path) -> None:
    """A Keras network that is no MLP runs on TensorFlow, here and in workers, which talks to
    standard error."""
    make = (
        "import keras; keras.utils.set_random_seed(0); "
        "keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), "
        "keras.layers.Flatten(), keras.layers.Dense(3)]).save('cnn.keras')"
    )
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True, capture_output=True)
    rng = np.random.default_rng(1)
    np.savez(
        tmp_path / "data.npz",
        images=rng.integers(0, 256, (6, 8, 8), dtype=np.uint8),
        labels=np.arange(6) % 3,
    )
    words = [
        "verify",
        "cnn.keras",
        "--dataset",
        "data.npz",
        *RUN,
        "--workers",
        "2",
        "--quantise",
        "int8",
        "--json",
    ]
    done = program(tmp_path, words)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["reference"]["runtime"] == "keras"


def test_messages_name_a_file_once_and_with_an_article(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(60))
    with pytest.raises(
        NetworkError, match="looks like an HDF5 file; accepted: a Keras archive under this name"
    ):
        load_network(path, image_shape=(8, 8, 1), classes=3)
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model.set_weights([np.full((64, 3), np.nan, np.float32), np.zeros(3, np.float32)])
    model.save(path)
    with pytest.raises(NetworkError) as told:
        load_network(path, image_shape=(8, 8, 1), classes=3)
    assert str(told.value).count(str(path)) == 1


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"bogus": 3}, "option 'bogus'; accepted: radius, step, "),
    ({"axes": "10"}, "axes '10'; accepted: a whole number"),
    ({"seed": True}, "seed True"),
    ({"time_limit": "60"}, "time_limit '60'; accepted: a number"),
    ({"counts": "no"}, "counts 'no'; accepted: True or False"),
    ({"images": 3}, r"images 3; .*try: images=\[3\]"),
    ({"features": None}, "features None"),
]


@pytest.mark.parametrize(
    ("options", "words"), OPTIONS, ids=[str(options) for options, _ in OPTIONS]
)
def test_the_library_names_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        relrob.verify("ref.onnx", radius=1, step=1, **options)


def test_the_library_takes_numbers_and_indices() -> None:
    request = request_of(20, 0.25, Path("a.onnx"), None, {"images": range(0, 9, 4), "features": 7})
    assert (request.radius, request.step, request.images, request.features) == (
        "20",
        "0.25",
        "0,4,8",
        "7",
    )
    assert request.reference == "a.onnx"
    assert {"verify", "train", "quantise"} <= set(dir(relrob))


def test_rates_say_why_they_are_missing() -> None:
    robust = [record for record in map(make_record, range(40)) if record.set == "R_Q^FP"]
    none: dict[str, Any] = {
        "reference_effective": 0,
        "quantised_effective": 0,
        "transferred": 0,
        "same_class": 0,
    }
    robust = [
        replace(record, **none, closest_effective=0, closest_transferred=0) for record in robust
    ]
    told = dict(rates(summarise(robust, make_header(len(robust)), 0.0)))
    assert (
        told["transfer over points"]
        == told["transfer of the closest"]
        == "not counted (no effective points)"
    )


def test_manifest_of_types_is_complete() -> None:
    """Every option of a request has a type that is checked, so that none ends in a traceback."""
    checked = [
        field.name
        for field in fields(Request)
        if field.name not in ("radius", "step", "reference", "quantised")
    ]
    assert "runtime" in checked
    for name in checked:
        with pytest.raises(UsageError, match=name):
            request_of(1, 1, None, None, {name: object()})
