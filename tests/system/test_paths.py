"""Paths that are no regular files, or no file names: one line, at once, and nothing is waited
for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from relrob.certificates.checking.check import check
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.write import certificate
from relrob.cli.mistakes import mistake_of
from relrob.deciding.decide import decide
from relrob.errors import CertificateError, NetworkError, StoreError
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.store.run_directory import Store
from relrob.system.files import read_regular
from relrob_solvers.branch_ladder import Branch
from tests.certificate_cases import SHAPE, Made, image_of, opened, rungs_of
from tests.support import random_dense


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One certificate and its network."""
    folder, dense = tmp_path_factory.mktemp("made"), random_dense(5, (36, 12, 4))
    (folder / "float.onnx").write_bytes(to_onnx(dense))
    each = opened(load_network(folder / "float.onnx", image_shape=SHAPE, classes=4))
    for seed in range(30):
        image, ladder = image_of(seed), rungs_of(image_of(seed), ("1", "1/8"))
        label = int(each.evaluator.outputs(ladder.base[None, :]).argmax())
        asked = Query(ladder, Label(label), (each,), Budget(600), False, True)
        proof = decide(asked, Branch(10)).each[0].proof
        if proof is not None:
            data = certificate(each, ladder, image, label, "reference", proof)
            assert data is not None
            (folder / "one.json").write_bytes(data)
            return Made(folder / "one.json", folder / "float.onnx", json.loads(data))
    raise AssertionError("no image is robust")


def pipe(path: Path) -> Path:
    """A pipe that nobody writes to: reading it would wait for ever."""
    os.mkfifo(path)
    return path


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"12345")
    assert read_regular(tmp_path / "plain", 5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, more than 4"):
        read_regular(tmp_path / "plain", 4)
    for other in (pipe(tmp_path / "pipe"), Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"no regular file|Is a directory"):
            read_regular(other)


@pytest.mark.parametrize("name", ["pipe", "zero"])
def test_a_certificate_is_a_regular_file(tmp_path: Path, name: str) -> None:
    path = pipe(tmp_path / "pipe") if name == "pipe" else tmp_path / "zero"
    if name == "zero":
        path.symlink_to("/dev/zero")
    with pytest.raises(CertificateError, match="no regular file"):
        check(path)


def test_the_network_of_a_certificate_is_a_regular_file(made: Made, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no regular file"):
        check(made.path, pipe(tmp_path / "net.onnx"))
    huge = tmp_path / "huge.onnx"
    huge.touch()
    os.truncate(huge, 1 << 40)
    with pytest.raises(NetworkError, match="bytes, more than"):
        check(made.path, huge)


@pytest.mark.parametrize("name", ["a" * 300, "a" * 5000, "\0", "/"])
def test_a_network_whose_name_is_no_file_name_is_not_beside(
    made: Made, tmp_path: Path, name: str
) -> None:
    content = json.loads(made.path.read_bytes())
    content["network"]["file"] = name
    content["seal"] = seal(content)
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "one.json").write_bytes(canonical(content))
    for summary in (pipe(tmp_path / "summary.json"), tmp_path / "summary.json"):
        with pytest.raises(CertificateError, match="is not beside it"):
            check(folder / "one.json")
        summary.unlink(missing_ok=True)
        summary.write_text(json.dumps({content["role"]: {"path": "b" * 5000}}), encoding="utf-8")


def test_a_store_is_a_regular_file(tmp_path: Path) -> None:
    pipe(tmp_path / "store.sqlite")
    with pytest.raises(StoreError, match="no regular file"):
        Store.open(tmp_path, {"radius": 1})


def test_a_name_that_is_too_long_is_called_so() -> None:
    with pytest.raises(OSError, match="too long") as caught:
        Path("a" * 300).stat()
    assert str(mistake_of(caught.value)).startswith(
        "a name is longer than the file system takes: aaa"
    )
