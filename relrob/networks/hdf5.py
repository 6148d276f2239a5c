"""HDF5 files opened with care: one error for a damaged file, no links out of it, finite arrays only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from relrob.errors import NetworkError

LARGEST = 4 * 2**30


@contextmanager
def opened(source: Path | bytes, path: str) -> Iterator[Any]:
    """The file (or its bytes) as an h5py group, read-only. Raises NetworkError when it is truncated or not HDF5."""
    try:
        with h5py.File(BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise NetworkError(
            f"{path} is not a whole HDF5 file: {error}", "an undamaged file", "copy or export the file again"
        ) from error


def array(group: Any, name: str, path: str) -> NDArray[Any]:
    """One numeric dataset of the file itself. Raises NetworkError when it is missing, not numeric, external or not finite."""
    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        raise NetworkError(f"{path} lacks the weights {group.name.rstrip('/')}/{name}", hint="save the model again")
    if item.external or item.is_virtual or item.file.filename != group.file.filename:
        raise NetworkError(f"{path}: {item.name} keeps its data in another file", "weights inside the file")
    if item.dtype.kind not in "fiu":
        raise NetworkError(f"{path}: {item.name} has type {item.dtype}", "floating-point weights")
    if item.nbytes > LARGEST:
        raise NetworkError(f"{path}: {item.name} claims {item.nbytes:,} bytes", f"arrays of at most {LARGEST:,}")
    values: NDArray[Any] = item[()]
    if not np.isfinite(values).all():
        raise NetworkError(f"{path}: {item.name} has NaN or infinite weights", "finite values", "train again")
    return values


def texts(group: Any, attribute: str) -> list[str]:
    """An attribute that lists names, as text; empty when it is absent."""
    values = group.attrs.get(attribute, ())
    return [value.decode() if isinstance(value, bytes) else str(value) for value in np.atleast_1d(values)]


def text(group: Any, attribute: str) -> str | None:
    """An attribute that is one text, or None."""
    value = group.attrs.get(attribute)
    return value.decode() if isinstance(value, bytes) else (None if value is None else str(value))
