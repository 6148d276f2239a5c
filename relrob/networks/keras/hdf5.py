"""HDF5 files under guard: one error for a damaged file, no links, finite arrays, no more read than
a file can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from relrob.errors import NetworkError

LARGEST: Final = 4 * 2**30
# The most bytes that one packed byte may hold. DEFLATE packs 1,032 at most.
_DENSEST: Final = 1100
_SMALL: Final = 2**20
# Errors of h5py on damaged files besides OSError: numbers and names that do not fit.
DAMAGED: Final = (
    *(
        OSError,
        KeyError,
        RuntimeError,
        ValueError,
        TypeError,
        OverflowError,
        AttributeError,
        MemoryError,
    ),
    *(IndexError, NotImplementedError),
)


@contextmanager
def opened(source: Path | bytes, path: str) -> Iterator[Any]:
    """The file (or its bytes) as an h5py group, read-only. Raises NetworkError when it is truncated
    or not HDF5."""
    try:
        with h5py.File(BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            yield file
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise NetworkError(
            f"{path} is not a whole HDF5 file: {reason}",
            "an undamaged file",
            "copy or export the file again",
        ) from error


def child(group: Any, name: str, path: str) -> Any:
    """The group of that name ("a/b" for one inside another), by no link but hard ones, as Keras
    demands."""
    here = _followed(group, name, path)
    if not isinstance(here, h5py.Group):
        raise NetworkError(
            f"{path} lacks the group {group.name.rstrip('/')}/{name}", hint="save the model again"
        )
    return here


def dataset(group: Any, name: str, path: str) -> Any:
    """One numeric data set of the file itself, not yet read. Raises NetworkError when it is
    missing, not numeric or external."""
    item = _followed(group, name, path)
    if not isinstance(item, h5py.Dataset):
        raise NetworkError(
            f"{path} lacks the weights {group.name.rstrip('/')}/{name}", hint="save the model again"
        )
    if item.external or item.is_virtual:
        raise NetworkError(
            f"{path}: {item.name} keeps its data in another file", "weights inside the file"
        )
    if item.dtype.kind not in "fiu" or "dtype" in item.attrs:
        raise NetworkError(f"{path}: {item.name} has type {item.dtype}", "floating-point weights")
    if item.nbytes > LARGEST:
        raise NetworkError(
            f"{path}: {item.name} claims {item.nbytes:,} bytes", f"arrays of at most {LARGEST:,}"
        )
    if item.nbytes > _SMALL and item.nbytes > _DENSEST * item.id.get_storage_size():
        raise NetworkError(
            f"{path}: {item.name} claims {item.nbytes:,} bytes", "as many as the file holds"
        )
    return item


def array(group: Any, name: str, path: str) -> NDArray[Any]:
    """The finite values of the data set of that name."""
    return values(dataset(group, name, path), path)


def values(item: Any, path: str) -> NDArray[Any]:
    """The finite values of a data set."""
    read: NDArray[Any] = item[()]
    return finite(np.asarray(read), item.name, path)


def finite(array: NDArray[Any], name: str, path: str) -> NDArray[Any]:
    """The array itself. Raises NetworkError when a value is NaN or infinite."""
    if not np.isfinite(array).all():
        raise NetworkError(
            f"{path}: {name} has NaN or infinite weights", "finite values", "train again"
        )
    return array


def texts(group: Any, attribute: str) -> list[str]:
    """An attribute that lists names, in one piece or in numbered ones, as text; empty when it is
    absent."""
    pieces = [attribute] if attribute in group.attrs else []
    while not pieces or pieces[0] != attribute:
        piece = f"{attribute}{len(pieces)}"
        if piece not in group.attrs:
            break
        pieces.append(piece)
    return [
        _text(value) for piece in pieces for value in np.atleast_1d(group.attrs[piece]).tolist()
    ]


def text(group: Any, attribute: str) -> str | None:
    """An attribute that is one text, or None."""
    value = group.attrs.get(attribute)
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    """Text that the file keeps as such or as UTF-8. `opened` reports any other bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _followed(group: Any, name: str, path: str) -> Any:
    """The object under a name, or None."""
    here = group
    for part in name.split("/"):
        if not isinstance(here, h5py.Group) or not part or part not in here:
            return None
        if not isinstance(here.get(part, getlink=True), h5py.HardLink):
            raise NetworkError(f"{path}: {name} is a link", "weights inside the file")
        here = here[part]
    return here
