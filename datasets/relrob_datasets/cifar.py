"""CIFAR-10 as published: the binary batches, the Python batches, or the .tar.gz of either, which is
not unpacked onto the disk."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np

from relrob.domain.arrays import Ints, Levels
from relrob.errors import DatasetError
from relrob_datasets.integrity import reading
from relrob_datasets.pickles import byte_array, load_inert

BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
PIXELS = 3 * 32 * 32
LARGEST = 1 << 26


def read(paths: Sequence[Path], split: str) -> tuple[Levels, Ints]:
    """Images (n, 32, 32, 3) and labels (n,) of a split, from one .tar.gz or from the batches in
    order. Raises DatasetError.

    The files hold each image channel by channel (Krizhevsky's page, "Dataset layout").
    """
    if len(paths) == 1 and paths[0].name.endswith((".tar.gz", ".tgz")):
        batches = _from_archive(paths[0], split)
    else:
        batches = [(str(path), _read_file(path)) for path in paths]
    decoded = [
        _binary(name, data) if name.endswith(".bin") else _pickled(name, data)
        for name, data in batches
    ]
    planes = np.concatenate([pixels for pixels, _ in decoded]).reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    images.flags.writeable = False
    return images, np.concatenate([labels for _, labels in decoded])


def _read_file(path: Path) -> bytes:
    """The whole file. Raises DatasetError for one larger than a batch can be."""
    with reading(path), path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DatasetError(f"{path} is larger than a CIFAR-10 batch", f"{LARGEST} bytes at most")
    return data


def _from_archive(path: Path, split: str) -> list[tuple[str, bytes]]:
    """The batches of a split as (name, bytes), binary or Python, in order. Reading stops at the
    last of them."""
    plain = BATCHES[split]
    binary = tuple(f"{name}.bin" for name in plain)
    found: dict[str, bytes] = {}
    try:
        with reading(path), gzip.open(path) as plain_tar, _opened(plain_tar) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if not member.isfile() or name not in plain + binary:
                    continue
                if member.size > LARGEST:
                    raise DatasetError(
                        f"{member.name} in {path} has {member.size} bytes",
                        f"{LARGEST} bytes at most",
                    )
                stream = archive.extractfile(member)
                found[name] = stream.read() if stream else b""
                for names in (plain, binary):
                    if all(name in found for name in names):
                        return [(name, found[name]) for name in names]
    except tarfile.TarError as error:
        raise DatasetError(
            f"cannot read {path}: {error}", "a .tar.gz archive", "another copy of the file"
        ) from error
    raise DatasetError(
        f"{path} does not hold the {split} batches", f"{', '.join(plain)}, or the same with .bin"
    )


class _Bounded:
    """A file that gives at most a batch at once. The header of a member can claim gigabytes."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As of any file. Raises tarfile.ReadError."""
        if not 0 <= size <= LARGEST:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _opened(file: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], _Bounded(file)), mode="r:")


def _binary(name: str, data: bytes) -> tuple[Levels, Ints]:
    """Records of one label byte and 3072 pixel bytes."""
    if not data or len(data) % (1 + PIXELS):
        raise DatasetError(
            f"{name} has {len(data)} bytes", f"a multiple of {1 + PIXELS} (label and pixels)"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _pickled(name: str, data: bytes) -> tuple[Levels, Ints]:
    """A pickled dictionary with `data` (n, 3072) and the list `labels`."""
    try:
        batch = load_inert(data)
        fields = (
            {_text(key): value for key, value in batch.items()} if isinstance(batch, dict) else {}
        )
        pixels, labels = byte_array(fields.get("data")), fields.get("labels")
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from error
    if pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        raise DatasetError(f"{name} has data of shape {pixels.shape}", f"(n, {PIXELS})")
    if (
        not isinstance(labels, list)
        or len(labels) != len(pixels)
        or not all(type(v) is int and 0 <= v < 256 for v in labels)
    ):
        raise DatasetError(
            f"{name} has no list of {len(pixels)} labels", "a list of integers, one an image"
        )
    return pixels, np.array(labels, dtype=np.int64)


def _text(key: Any) -> Any:
    """The key as text. Python 2 wrote bytes."""
    return key.decode("latin1") if isinstance(key, bytes) else key
