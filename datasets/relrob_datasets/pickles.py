"""Read one NumPy byte array and its labels from a pickle without executing anything that the pickle
names.

A pickle is a program that may call any function. Here each global that it names becomes an inert
record of the name, calls on it become records of their arguments, and every name but the five that
NumPy's arrays need is refused.
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
    """A name, the arguments it was called with, and the state it was given; nothing behind it."""

    __slots__ = ("args", "kind", "state")

    def __init__(self, kind: str, args: tuple[Any, ...] = ()) -> None:
        self.kind, self.args, self.state = kind, args, ()

    def __call__(self, *args: Any) -> Any:
        """A record of the call. `_codecs.encode(text, "latin1")` is how Python 3 writes bytes in
        old protocols: those bytes."""
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
    """An unpickler that builds inert records only. The final word on globals is `find_class`;
    extension codes end there too."""

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
        """Refused."""
        raise DatasetError(
            "a pickle refers to objects outside itself", "NumPy arrays, lists and bytes only"
        )


def load_inert(data: bytes) -> Any:
    """The object of a pickle: plain values and Inert records. Python 2 strings come as bytes.
    Raises DatasetError."""
    try:
        _check_memo(data)
        return InertUnpickler(io.BytesIO(data), encoding="bytes").load()
    except DatasetError:
        raise
    except (
        Exception
    ) as error:  # broken pickles raise almost anything (documented in the module pickle)
        raise DatasetError(
            f"not a readable pickle: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _check_memo(data: bytes) -> None:
    """The unpickler makes a table as long as the largest number that a value is remembered by: 8
    bytes can ask for gigabytes."""
    for operation, number, _ in pickletools.genops(data):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(number or 0) <= len(
            data
        ):
            raise DatasetError(
                f"a pickle remembers a value as number {number}", f"{len(data)} at most, its length"
            )


def byte_array(record: Any) -> Levels:
    """The uint8 array that an Inert record of `_reconstruct` describes; read-only. Raises
    DatasetError for anything else."""
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
