"""The weights inside an HDF5 file: plain arrays of this file, reached through hard links only."""

from __future__ import annotations

import io
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import NoRulesError

LARGEST: Final = 2**31
Array = NDArray[Any]


def opened(data: bytes) -> Any:
    """The file of these bytes."""
    try:
        return h5py.File(io.BytesIO(data), "r")
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise NoRulesError("an HDF5 file that is damaged") from error


def _member(group: Any, name: str) -> Any:
    """The member at a path of hard links: no link leads to another place or another file."""
    for part in name.strip("/").split("/"):
        try:
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                raise NoRulesError(f"no weights at {name[:60]!a}")
            group = group[part]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise NoRulesError("an HDF5 file that is damaged") from error
    return group


def group_at(parent: Any, name: str) -> Any:
    """The group at a path of hard links."""
    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise NoRulesError(f"no group at {name[:60]!a}")
    return found


def array_at(group: Any, name: str) -> Array:
    """A float32 dataset, all of it in this file (or a single whole number, which Normalization
    counts with)."""
    item = _member(group, name)
    plain = isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual
    if not plain or not (item.dtype == np.float32 or (item.dtype.kind == "i" and item.shape == ())):
        raise NoRulesError(f"weights at {name[:60]!a} that are no float32 array in this file")
    if item.nbytes > LARGEST:
        raise NoRulesError("weights that are too large")
    try:
        values: Array = item[()]
    except (OSError, RuntimeError, ValueError) as error:
        raise NoRulesError("an HDF5 file that is damaged") from error
    if not np.isfinite(values).all():
        raise NoRulesError("weights that are not finite")
    return np.asarray(values)


def texts(group: Any, attribute: str) -> list[str]:
    """An attribute that lists names."""
    if attribute not in group.attrs:
        raise NoRulesError(f"an HDF5 group without {attribute}")
    values = np.atleast_1d(group.attrs[attribute]).tolist()
    found = [
        value.decode(errors="replace") if isinstance(value, bytes) else value for value in values
    ]
    if not all(isinstance(value, str) and value for value in found):
        raise NoRulesError(f"an HDF5 group whose {attribute} are no names")
    return found
