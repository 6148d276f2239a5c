"""The idx format of MNIST: magic 0, 0, type, rank; sizes as big-endian 32-bit numbers; then the
bytes."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relrob.domain.arrays import Ints, Levels
from relrob.errors import DatasetError
from relrob_datasets.integrity import reading

UNSIGNED_BYTE = 0x08
LARGEST = 1 << 31


def read(paths: Sequence[Path], split: str) -> tuple[Levels, Ints]:
    """Images (n, H, W, 1) and labels (n,) from an image file and a label file. Raises
    DatasetError."""
    images, labels = (read_idx(path, rank) for path, rank in zip(paths, (3, 1), strict=True))
    return images[..., np.newaxis], labels.astype(np.int64)


def read_idx(path: Path, rank: int) -> Levels:
    """The array of one idx file of unsigned bytes, gzipped or plain, with `rank` dimensions;
    read-only.

    Raises DatasetError: not idx, another type or rank, too few or too many bytes.
    """
    with reading(path):
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            shape = _shape(path, file.read(4), file.read(4 * rank), rank)
            expected = math.prod(shape)
            data = file.read(expected + 1)
    if len(data) != expected:
        state = "is truncated" if len(data) < expected else "has bytes after its data"
        raise DatasetError(
            f"{path} {state}: its header says {'x'.join(map(str, shape))} = {expected} bytes"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(path: Path, magic: bytes, sizes: bytes, rank: int) -> tuple[int, ...]:
    """The dimensions in the header. Raises DatasetError for another magic, type or rank, and for
    sizes that no data set here has."""
    accepted = (
        f"an idx file of unsigned bytes with {rank} dimensions "
        f"(magic 0000{UNSIGNED_BYTE:02x}{rank:02x})"
    )
    if magic != bytes((0, 0, UNSIGNED_BYTE, rank)):
        raise DatasetError(f"{path} begins with {magic.hex() or 'nothing'}", accepted)
    if len(sizes) < 4 * rank:
        raise DatasetError(f"{path} is truncated in its header", accepted)
    shape = struct.unpack(f">{rank}I", sizes)
    if math.prod(shape) > LARGEST:
        raise DatasetError(
            f"{path} announces {'x'.join(map(str, shape))} bytes", f"{LARGEST} bytes at most"
        )
    return shape
