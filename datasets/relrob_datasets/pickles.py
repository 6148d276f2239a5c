"""One NumPy byte array and its labels from a pickle, of which nothing is executed.

A pickle is a program that may call any function. Here each global that it names becomes an inert
record of the name, and a call becomes a record of its arguments. Names are refused but for the five
that NumPy's arrays need.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

from relrob.domain.arrays import Levels
from relrob.errors import DatasetError

ARRAY = "reconstruct"
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): ARRAY,
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}


class Inert:
    """A name, the arguments that it was called with, and the state that it was given."""

    __slots__ = ("args", "kind", "state")

    def __init__(self, kind: str, args: tuple[Any, ...] = ()) -> None:
        self.kind, self.args, self.state = kind, args, ()

    def __call__(self, *args: Any) -> Any:
        """A record of the call; for `_codecs.encode(text, "latin1")` the bytes, which Python 3
        writes so in old protocols."""
        if (
            self.kind == "encode"
            and len(args) == 2
            and isinstance(args[0], str)
            and args[1] in ("latin1", b"latin1")
        ):
            return args[0].encode("latin1")
        return Inert(self.kind, args)

    def __setstate__(self, state: Any) -> None:
        """Keep the state as it is."""
        self.state = state


class InertUnpickler(pickle.Unpickler):
    """An unpickler that builds inert records alone. Every global goes through `find_class`,
    extension codes too."""

    def find_class(self, module: str, name: str) -> Any:
        """An inert record for the five names of NumPy arrays; DatasetError for any other."""
        kind = ALLOWED.get((module, name))
        if kind is None:
            raise DatasetError(
                f"a pickle names {module}.{name}, which is not run",
                "NumPy arrays, lists and bytes only",
            )
        return Inert(kind)

    def persistent_load(self, pid: Any) -> Any:
        """Raise DatasetError: a pickle must not refer to anything outside itself."""
        raise DatasetError(
            "a pickle refers to objects outside itself", "NumPy arrays, lists and bytes only"
        )


def load_inert(data: bytes) -> Any:
    """The object of a pickle, of plain values and Inert records. Strings of Python 2 are bytes.
    Raises DatasetError."""
    try:
        _check_memo(data)
        return InertUnpickler(io.BytesIO(data), encoding="bytes").load()
    except DatasetError:
        raise
    except (
        # Broken pickles raise almost anything, as the documentation of pickle says.
        Exception
    ) as error:
        raise DatasetError(
            f"not a readable pickle: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _check_memo(data: bytes) -> None:
    """Raise DatasetError for a memo number above the length of the pickle.

    The unpickler makes a table as long as the largest of these numbers: 8 bytes can ask for
    gigabytes.
    """
    for operation, number, _ in pickletools.genops(data):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(number or 0) <= len(
            data
        ):
            raise DatasetError(
                f"a pickle remembers a value as number {number}", f"{len(data)} at most, its length"
            )


def byte_array(record: Any) -> Levels:
    """The read-only uint8 array of an Inert record of `_reconstruct`. Raises DatasetError for
    another object."""
    try:
        _, shape, kind, fortran, raw = record.state
        if (
            record.kind == ARRAY
            and kind.kind == "dtype"
            and kind.args[0] in ("u1", b"u1")
            and type(raw) is bytes
        ):
            if math.prod(shape) == len(raw):
                return np.frombuffer(raw, dtype=np.uint8).reshape(
                    shape, order="F" if fortran else "C"
                )
            raise DatasetError(f"a pickled array of shape {shape} has {len(raw)} bytes")
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise DatasetError(
            "the pickle holds no NumPy array where its images belong", "a uint8 array"
        ) from error
    raise DatasetError("a pickled array is not of unsigned bytes", "a uint8 array")
