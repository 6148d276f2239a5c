"""Arrays as the bytes of an .npz: the same arrays give the same bytes, and reading them runs no
code."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of the .npz, its members in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            # The bytes must not depend on the operating system.
            info.create_system = 3
            archive.writestr(
                info, member.getvalue(), compress_type=zipfile.ZIP_DEFLATED, compresslevel=6
            )
    return buffer.getvalue()


def unpacked(data: bytes, most: int) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz of at most `most` bytes when unpacked.

    Raises an exception of any class for other bytes: zipfile, zlib, NumPy and its parser of headers
    have their own.
    """
    with warnings.catch_warnings():
        # NumPy warns of headers that it has to repair.
        warnings.simplefilter("error")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > most:
            raise ValueError(f"{size} bytes when unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as members:
            found = {name: members[name] for name in members.files}
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} is no array")
    return found


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) of names, types, shapes and values; compression changes nothing."""
    sha = hashlib.sha256()
    for name, array in arrays.items():
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return sha.hexdigest()
