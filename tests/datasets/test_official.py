"""Readers of the official formats, against files that other programs' rules (struct, tarfile,
pickle, SciPy) wrote."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.io

from relrob.errors import DatasetError
from relrob_datasets import cifar, idx, load, svhn
from relrob_datasets.manifest import CIFAR10
from relrob_datasets.pickles import byte_array, load_inert
from tests.support import shared_data

GREY = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
DIGITS = np.array([3, 0, 9, 1])


def idx_bytes(array: Any) -> bytes:
    body: bytes = array.astype(np.uint8).tobytes()
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + body


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_is_read_packed_and_plain(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "i").write_bytes(pack(idx_bytes(GREY)))
    (tmp_path / "l").write_bytes(pack(idx_bytes(DIGITS)))
    images, labels = idx.read([tmp_path / "i", tmp_path / "l"], "test")
    assert np.array_equal(images, GREY[..., None]) and labels.tolist() == DIGITS.tolist()


GOOD = idx_bytes(GREY)
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG" + GOOD[4:], "begins with 89504e47; accepted: an idx file"),
        (b"\0\0\x0d\x03" + GOOD[4:], "begins with 00000d03"),
        (idx_bytes(DIGITS), "begins with 00000801"),
        (GOOD[:9], "truncated in its header"),
        (GOOD[:-1], "is truncated: its header says 4x3x2 = 24 bytes"),
        (GOOD + b"\0", "has bytes after its data"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "announces"),
        (PACKED[:-9], "cannot read"),
        (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "cannot read"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "CRC"),
    ],
)
def test_idx_refuses(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        idx.read_idx(tmp_path / "bad", 3)
    assert (
        words in str(caught.value) and "bad" in str(caught.value) and "\n" not in str(caught.value)
    )
    with pytest.raises(DatasetError, match="No such file"):
        idx.read_idx(tmp_path / "absent", 3)


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2's cPickle wrote: every string of bytes as BINSTRING (protocol 2)."""

    dispatch: ClassVar[Any] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: Any) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<I", len(data)) + data)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[bytes] = save_string
    dispatch[str] = save_string


def python2_pickle(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def planes(images: Any) -> Any:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def as_binary(images: Any, labels: Any) -> bytes:
    return np.concatenate([labels[:, None].astype(np.uint8), planes(images)], axis=1).tobytes()


def as_batch(images: Any, labels: Any) -> dict[str, Any]:
    return {
        "batch_label": "testing batch 1 of 1",
        "labels": labels.tolist(),
        "data": planes(images),
        "filenames": ["a.png"],
    }


def as_python(images: Any, labels: Any) -> bytes:
    return python2_pickle(as_batch(images, labels))


def colours(count: int = 40) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, count)


WRITERS = {".bin": ("cifar-10-batches-bin", as_binary), "": ("cifar-10-batches-py", as_python)}


def write_cifar(root: Path, suffix: str, images: Any, labels: Any) -> Path:
    """The official folder: five training batches and one of test images, all from the images given
    (the last fifth: test)."""
    name, writer = WRITERS[suffix]
    (root / name).mkdir()
    parts = np.array_split(np.arange(len(images)), 6)
    for part, batch in zip(
        parts, [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"], strict=True
    ):
        (root / name / f"{batch}{suffix}").write_bytes(writer(images[part], labels[part]))
    (root / name / "batches.meta").write_bytes(b"not a batch")
    return root / name


@pytest.mark.parametrize("suffix", list(WRITERS))
@pytest.mark.parametrize("packed", [False, True])
def test_cifar_in_each_published_form(tmp_path: Path, suffix: str, packed: bool) -> None:
    images, labels = colours(60)
    source = write_cifar(tmp_path, suffix, images, labels)
    if packed:
        archive = tmp_path / f"cifar-10-{'binary' if suffix else 'python'}.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(source, source.name)
        source = archive
    for split, part in (("train", slice(0, 50)), ("test", slice(50, 60))):
        data = load(str(source), split)
        assert data.image_shape == (32, 32, 3) and data.classes == 10
        assert np.array_equal(data.images, images[part]) and np.array_equal(
            data.labels, labels[part]
        )
    assert (
        load(str(source)).sha256
        == hashlib.sha256(
            (source if packed else source / f"test_batch{suffix}").read_bytes()
        ).hexdigest()
    )


def test_the_real_test_images_come_back_and_have_the_published_checksum(tmp_path: Path) -> None:
    with np.load(shared_data("cifar10/cifar10_test.npz"), allow_pickle=False) as real:
        images, labels = real["x_test"], real["y_test"]
    (tmp_path / "test_batch.bin").write_bytes(as_binary(images, labels))
    (tmp_path / "test_batch").write_bytes(as_python(images, labels))
    published = next(
        file.sha256
        for form in CIFAR10.forms
        for file in form.files
        if file.name == "test_batch.bin"
    )
    assert load(str(tmp_path)).sha256 == published
    for name in ("test_batch.bin", "test_batch"):
        read, classes = cifar.read([tmp_path / name], "test")
        assert (
            np.array_equal(read, images)
            and np.array_equal(classes, labels)
            and not read.flags.writeable
        )


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("order", ["C", "F"])
def test_python_3_pickles_are_read_too(protocol: int, order: Any) -> None:
    array = np.array(GREY.reshape(4, 6), order=order)
    assert np.array_equal(byte_array(load_inert(pickle.dumps(array, protocol=protocol))), array)


class Evil:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, protocol: int, function: Any) -> None:
    flag = tmp_path / "flag"
    command = f"touch {flag}" if function is os.system else f"open({str(flag)!r}, 'w').close()"
    attack = pickle.dumps({"data": Evil(function, command), "labels": []}, protocol=protocol)
    (tmp_path / "test_batch").write_bytes(attack)
    with pytest.raises(DatasetError, match=r"test_batch.*names .*(system|eval), which is not run"):
        cifar.read([tmp_path / "test_batch"], "test")
    assert not flag.exists()
    pickle.loads(attack)
    assert flag.exists()  # so the attack is a real one


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a readable pickle"),
        (b"\x80\x02}q\0", "not a readable pickle"),
        (b"cnumpy\nndarray.__class__\n.", "names numpy.ndarray.__class__"),
        (b"cnumpy\nload\n(S'x'\ntR.", "names numpy.load"),
        (b"Px\n.", "objects outside itself"),
        (b"\x82\x01.", "not a readable pickle"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "no NumPy array"),
        (pickle.dumps([1, 2]), "no NumPy array"),
        (pickle.dumps({"labels": [1]}), "no NumPy array"),
        (
            pickle.dumps({"data": np.zeros((1, 3072)), "labels": [1]}, protocol=2),
            "not of unsigned bytes",
        ),
        (
            pickle.dumps({"data": np.zeros((1, 3072), object), "labels": [1]}, protocol=2),
            "not of unsigned bytes",
        ),
        (
            pickle.dumps({"data": np.zeros((1, 9), np.uint8), "labels": [1]}, protocol=2),
            "shape (1, 9)",
        ),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8)}, protocol=2), "no list of 1 labels"),
        (
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}, protocol=2),
            "no list of 1 labels",
        ),
        (
            pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": ["x"]}, protocol=2),
            "no list of 1 labels",
        ),
        (
            as_python(*colours(2)).replace(
                struct.pack("<BHB", 0x4D, 3072, 0x86), struct.pack("<BHB", 0x4D, 3073, 0x86)
            ),
            "bytes",
        ),
    ],
)
def test_broken_batches_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "test_batch").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        cifar.read([tmp_path / "test_batch"], "test")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_broken_binary_batches_and_archives_are_refused(tmp_path: Path) -> None:
    whole = as_binary(*colours(3))
    for name, data, words in (
        ("test_batch.bin", whole[:-1], "a multiple of 3073"),
        ("test_batch.bin", b"", "0 bytes"),
        ("cifar.tar.gz", b"", "cannot read"),
        ("cifar.tar.gz", gzip.compress(whole, mtime=0), "cannot read"),
        ("cifar.tar.gz", archive({"notes.txt": b"x"}), "does not hold the test batches"),
        ("cifar.tar.gz", archive({"x/test_batch.bin": whole})[:-900], "cannot read"),
        (
            "cifar.tar.gz",
            archive({"x/test_batch": b"", "x/data_batch_1": whole}, kind=tarfile.SYMTYPE),
            "does not hold",
        ),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DatasetError, match=words) as caught:
            cifar.read([tmp_path / name], "test")
        assert "\n" not in str(caught.value)
    (tmp_path / "label.bin").write_bytes(b"\x0b" + whole[1:])
    (tmp_path / "test_batch.bin").write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(DatasetError, match="label 11 at image 0"):
        load(str(tmp_path))


def archive(files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = (len(data) if kind == tarfile.REGTYPE else 0), kind
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_svhn_as_scipy_writes_it(tmp_path: Path, compressed: bool) -> None:
    images, _ = colours(12)
    labels = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 1])
    content = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None].astype(np.uint8)}
    scipy.io.savemat(tmp_path / "test_32x32.mat", content, do_compression=compressed)
    for source in (tmp_path, tmp_path / "test_32x32.mat"):
        data = load(str(source))
        assert np.array_equal(data.images, images) and data.labels.tolist() == [
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9,
            0,
            0,
            1,
        ]


def test_svhn_refuses(tmp_path: Path) -> None:
    path = tmp_path / "test_32x32.mat"
    X = np.zeros((32, 32, 3, 2), dtype=np.uint8)
    y = np.array([[1], [2]], dtype=np.uint8)
    for content, words in (
        ({"X": X}, "no y"),
        ({"y": y}, "no X"),
        ({"X": X.astype(float), "y": y}, "no X"),
        ({"X": X[:28], "y": y}, "no X"),
        ({"X": X, "y": y[:1]}, "no y"),
        ({"X": X, "y": y + 9}, r"labels 10\.\.11"),
    ):
        scipy.io.savemat(path, content)
        with pytest.raises(DatasetError, match=words):
            svhn.read([path], "test")
    for data in (
        b"",
        b"MATLAB 5.0 MAT-file",
        path.read_bytes()[:300],
        b"\x89HDF\r\n\x1a\n" + b"\0" * 600,
    ):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"test_32x32\.mat") as caught:
            svhn.read([path], "test")
        assert "\n" not in str(caught.value)


def test_idx_folders_of_a_user_are_read_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(GREY))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(DIGITS))
    data = load(str(folder))
    assert (data.name, len(data), data.image_shape) == ("letters", 4, (3, 2, 1))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(DIGITS[:3]))
    with pytest.raises(DatasetError, match="4 images and labels of shape"):
        load(str(folder))
