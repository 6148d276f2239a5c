"""A reader of flat buffers, written from the format's definition.

A table with a field that its reader does not name is refused.
Reference: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import NoRulesError

_SIZES: Final = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}
# Entries of a vector of tables.
_MOST: Final = 1 << 20


class Buffer:
    """The bytes, with every access checked."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, kind: str, at: int) -> int | float:
        """A little-endian number at a place."""
        if not 0 <= at <= len(self.data) - _SIZES[kind]:
            raise NoRulesError("a .tflite file that points outside itself")
        found: int | float = struct.unpack_from(f"<{kind}", self.data, at)[0]
        return found

    def whole(self, kind: str, at: int) -> int:
        return int(self.number(kind, at))

    def follow(self, at: int) -> int:
        """The place to which the offset at a place leads."""
        return at + self.whole("I", at)

    def root(self, identifier: bytes) -> Table:
        if self.data[4:8] != identifier:
            raise NoRulesError("a file that is no .tflite")
        return Table(self, self.follow(0))


class Table:
    """A table; fields are asked for by their number, absent ones have the default."""

    def __init__(self, buffer: Buffer, at: int) -> None:
        self._buffer, self._at = buffer, at
        self._slots = at - buffer.whole("i", at)
        self._count = (buffer.whole("H", self._slots) - 4) // 2

    def only(self, known: int, what: str) -> Table:
        """The table itself, whose fields have numbers below `known`."""
        later = [slot for slot in range(known, self._count) if self._field(slot) is not None]
        if later:
            raise NoRulesError(f"{what} with the field {later[0]}, which the checker does not know")
        return self

    def _field(self, slot: int) -> int | None:
        if slot >= self._count:
            return None
        offset = self._buffer.whole("H", self._slots + 4 + 2 * slot)
        return self._at + offset if offset else None

    def has(self, slot: int) -> bool:
        return self._field(slot) is not None

    def number(self, slot: int, kind: str, default: float) -> float:
        at = self._field(slot)
        return default if at is None else self._buffer.number(kind, at)

    def whole(self, slot: int, kind: str, default: int = 0) -> int:
        at = self._field(slot)
        return default if at is None else self._buffer.whole(kind, at)

    def table(self, slot: int) -> Table | None:
        at = self._field(slot)
        return None if at is None else Table(self._buffer, self._buffer.follow(at))

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables."""
        at = self._field(slot)
        if at is None:
            return []
        start, count = self._vector(at)
        if count > _MOST:
            raise NoRulesError(f"a .tflite file with {count} entries in one list")
        places = (start + 4 * number for number in range(count))
        return [Table(self._buffer, self._buffer.follow(place)) for place in places]

    def _vector(self, at: int) -> tuple[int, int]:
        start = self._buffer.follow(at)
        return start + 4, self._buffer.whole("I", start)

    def vector(self, slot: int, kind: str) -> NDArray[np.generic] | None:
        """A vector of numbers, None where it is absent. `kind`: as NumPy writes it, "<i4"."""
        at = self._field(slot)
        if at is None:
            return None
        start, count = self._vector(at)
        size = np.dtype(kind).itemsize * count
        if start + size > len(self._buffer.data):
            raise NoRulesError("a .tflite file that points outside itself")
        found: NDArray[np.generic] = np.frombuffer(self._buffer.data, kind, count, start)
        return found

    def text(self, slot: int) -> str:
        held = self.vector(slot, "<u1")
        return "" if held is None else held.tobytes().decode("latin-1")
