"""A reader of protocol buffers, written from the wire format.

A message with a field that its reader does not name is refused.
Reference: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from typing import Final

from relrob.certificates.checking.reading.facts import NoRulesError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_DAMAGED: Final = "a protocol buffer that is damaged"


class Message:
    """One message; the values of each field in the order of the file."""

    def __init__(self, data: bytes, known: dict[int, int], what: str) -> None:
        """`known`: the wire type of each field that its reader knows."""
        self.what = what
        self._fields: dict[int, list[tuple[int, int | bytes]]] = {}
        at = 0
        while at < len(data):
            key, at = _varint(data, at)
            field, kind = key >> 3, key & 7
            value, at = _value(data, at, kind)
            packed = known.get(field) in (VARINT, FIXED32) and kind == BYTES
            if field not in known or not (known[field] == kind or packed):
                raise NoRulesError(
                    f"{what} with the field {field}, which the checker does not know"
                )
            self._fields.setdefault(field, []).append((kind, value))

    def has(self, field: int) -> bool:
        return field in self._fields

    def _single(self, field: int, kind: int) -> int | bytes | None:
        held = self._fields.get(field, [])
        if len(held) > 1 or (held and held[0][0] != kind):
            raise NoRulesError(f"{self.what} with the field {field} twice")
        return held[0][1] if held else None

    def whole(self, field: int, default: int = 0) -> int:
        """A signed number."""
        held = self._single(field, VARINT)
        return _signed(held) if isinstance(held, int) else default

    def real(self, field: int) -> float:
        held = self._single(field, FIXED32)
        return 0.0 if not isinstance(held, bytes) else float(struct.unpack("<f", held)[0])

    def data(self, field: int) -> bytes | None:
        held = self._single(field, BYTES)
        return held if isinstance(held, bytes) else None

    def text(self, field: int) -> str:
        held = self.data(field)
        try:
            return "" if held is None else held.decode()
        except UnicodeDecodeError as error:
            raise NoRulesError(_DAMAGED) from error

    def every(self, field: int) -> list[bytes]:
        """Messages or texts that are repeated."""
        return [
            value
            for kind, value in self._fields.get(field, [])
            if kind == BYTES and isinstance(value, bytes)
        ]

    def wholes(self, field: int) -> list[int]:
        """Repeated numbers, packed or not."""
        found = []
        for kind, value in self._fields.get(field, []):
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            at = 0
            while kind == BYTES and at < len(value):
                number, at = _varint(value, at)
                found.append(_signed(number))
        return found

    def reals(self, field: int) -> bytes:
        """Repeated float32 numbers, packed or not, as bytes."""
        found = [value for _, value in self._fields.get(field, []) if isinstance(value, bytes)]
        return b"".join(found)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at
    raise NoRulesError(_DAMAGED)


def _value(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind == VARINT:
        return _varint(data, at)
    size = {FIXED64: 8, FIXED32: 4}.get(kind)
    if kind == BYTES:
        size, at = _varint(data, at)
    if size is None or at + size > len(data):
        raise NoRulesError(_DAMAGED)
    return data[at : at + size], at + size
