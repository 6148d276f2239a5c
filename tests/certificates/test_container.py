"""A file that two readers can read is one network: the one that runs under its name.

Forgers hide a good network in a bad file, name the good one's format, and seal what follows.
"""

from __future__ import annotations

import io
import json
import zipfile
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.certificates.checking.check import check
from relrob.certificates.checking.reading.container import check_container
from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.ball import ball_certificate
from relrob.certificates.writing.write import certificate
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ball, Ladder, Norm
from relrob.networks.fixed.file import fixed_bytes
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.queries.findings import LadderProof, Leaf
from relrob.regions.ladder import rung_set
from tests.certificate_cases import opened
from tests.certificates.test_ball import proved
from tests.make_networks import write_keras, write_keras1

SHAPE = (2, 2, 1)
IMAGE = np.array([[[10], [200]], [[90], [255]]], np.uint8)


def dense(label: int) -> Dense:
    """A network that gives every image this label."""
    return Dense(
        (Layer(np.zeros((4, 3), np.float32), np.eye(3, dtype=np.float32)[label] * 10, False),)
    )


def fixed(label: int) -> FixedNetwork:
    weights, bias = np.zeros((4, 3), np.int64), np.eye(3, dtype=np.int64)[label] * 10
    return FixedNetwork((FixedLayer(weights, bias, 0, 0, -99, 99),), 0, 255, 255)


def proof_of(path: Path) -> dict[str, Any]:
    """A certificate that the network gives the image and what lies around it label 1."""
    each = opened(load_network(path, image_shape=SHAPE, classes=3, runtime=runtime_of(path)))
    rungs = rung_set(Ladder(Fraction(1, 50), Fraction(1, 100), 2, 2), IMAGE)
    data = certificate(each, rungs, IMAGE, 1, "quantised", LadderProof((Leaf((), True),)))
    assert data is not None
    found: dict[str, Any] = json.loads(data)
    return found


def runtime_of(path: Path) -> str:
    return "fixed" if path.suffix == ".npz" else "onnxruntime"


def fails(content: dict[str, Any], file: Path) -> str:
    """Why a certificate that is said to be of this file is invalid."""
    network = {**content["network"], "file": file.name}
    network["sha256"] = sha256(file.read_bytes()).hexdigest()
    forged = {**content, "network": network}
    (file.parent / "c.json").write_bytes(canonical({**forged, "seal": seal(forged)}))
    return check(file.parent / "c.json", file).failure


def field(number: int, data: bytes) -> bytes:
    """A field of a protobuf message, of a number that ONNX does not know."""
    found = b""
    for whole in (number << 3 | 2, len(data)):
        left = whole
        while left > 127:
            found, left = found + bytes([left & 127 | 128]), left >> 7
        found += bytes([left])
    return found + data


@pytest.mark.parametrize("name", ["bad.onnx", "bad.h5", "bad.hdf5", "bad"])
def test_a_network_behind_another_has_no_certificate(tmp_path: Path, name: str) -> None:
    good = write_keras(dense(1), tmp_path / "good.keras", SHAPE)
    content = proof_of(good)
    assert not fails(content, good)
    bad = tmp_path / name
    if name.startswith("bad.h"):
        bad.write_bytes(write_keras1(dense(2), bad).read_bytes() + good.read_bytes())
    else:
        bad.write_bytes(to_onnx(dense(2)) + field(100, good.read_bytes()))
    assert "a keras network in a file" in fails(content, bad)
    # It is the other network that runs under this name.
    found = opened(load_network(bad, image_shape=SHAPE, classes=3, runtime="onnxruntime"))
    assert found.evaluator.outputs(np.zeros((1, 4), np.float32)).argmax() == 2


def test_no_ball_of_a_network_behind_another_has_one(tmp_path: Path) -> None:
    good = write_keras(dense(1), tmp_path / "good.keras", SHAPE)
    each = opened(load_network(good, image_shape=SHAPE, classes=3, runtime="onnxruntime"))
    region = Ball(Norm.LINF, Fraction(1, 255))
    _, label, proof = proved(each, IMAGE, region)
    data = ball_certificate(each.network, region, IMAGE, label, "quantised", proof)
    assert data is not None
    content = json.loads(data)
    assert not fails(content, good)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(to_onnx(dense(2)) + field(100, good.read_bytes()))
    assert "a keras network in a file" in fails(content, bad)


@pytest.mark.parametrize("other", ["bias_0", "bias_0.npy.npy", "./bias_0.npy"])
def test_an_array_of_two_names_has_no_certificate(tmp_path: Path, other: str) -> None:
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    good.write_bytes(fixed_bytes(fixed(1)))
    content = proof_of(good)
    assert not fails(content, good)
    with zipfile.ZipFile(good) as held, zipfile.ZipFile(bad, "w") as written:
        for name in held.namelist():
            if name == "bias_0.npy":
                values = io.BytesIO()
                np.save(values, np.array([0, 0, 10], np.int64))
                written.writestr(other, values.getvalue())
            written.writestr(name, held.read(name))
    assert "an array twice" in fails(content, bad)


HEADS = {
    "keras": b"PK\x03\x04",
    "fixed": b"PK\x03\x04",
    "keras-h5": b"\x89HDF\r\n\x1a\n",
    "keras1-h5": b"\x89HDF\r\n\x1a\n",
    "tflite": b"\x1c\0\0\0TFL3",
    "onnx": b"\x08\x08\x12\x06relrob",
}
SUFFIXES = {
    ".keras": ["keras"],
    ".npz": ["fixed"],
    ".h5": ["keras-h5", "keras1-h5"],
    ".HDF5": ["keras-h5", "keras1-h5"],
    ".onnx": ["onnx"],
    ".tflite": ["tflite"],
    ".zip": [],
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("said", HEADS)
@pytest.mark.parametrize("head", HEADS)
def test_a_format_needs_its_name_and_its_first_bytes(suffix: str, said: str, head: str) -> None:
    data = HEADS[head] + bytes(60)
    if said in SUFFIXES[suffix] and HEADS[said] == HEADS[head]:
        check_container(f"n{suffix}", data, said)
        return
    with pytest.raises(NoRulesError, match=f"a {said} network in a file"):
        check_container(f"n{suffix}", data, said)
