"""`verify` walks a `.tflite` flat buffer before anyone makes objects of it: every offset inside the
file, every index in range.

LiteRT runs a file without looking. A table that is named often costs little in a file and much in
memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Final

from relrob.errors import NetworkError

# Field numbers as in LiteRT's schema.fbs. A table's own name, or [name] for a vector of tables; a
# number is the size of a vector's element, 0 a text; ? is a table that is only known to be one
# (operators' options).
_TABLES: Final[dict[str, dict[int, str | int]]] = {
    "Model": {
        1: "[OperatorCode]",
        2: "[SubGraph]",
        3: 0,
        4: "[Buffer]",
        5: 4,
        6: "[Metadata]",
        7: "[SignatureDef]",
        8: "[?]",
        9: "[?]",
    },
    "OperatorCode": {1: 0},
    "SubGraph": {0: "[Tensor]", 1: 4, 2: 4, 3: "[Operator]", 4: 0},
    "Tensor": {0: 4, 3: 0, 4: "Quantization", 6: "Sparsity", 7: 4, 9: "[Variant]"},
    "Quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "?"},
    "Sparsity": {0: 4, 1: 4, 2: "[Dimension]"},
    "Dimension": {3: "?", 5: "?"},
    "Variant": {0: 4},
    "Operator": {1: 4, 2: 4, 4: "?", 5: 1, 7: 1, 8: 4, 12: "?"},
    "Buffer": {0: 1},
    "Metadata": {0: 0},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: 0},
    "TensorMap": {0: 0},
    "?": {},
}
# Bytes of a file that an object takes: the offset to its index, which two objects never share.
_LEAST: Final = 4
# The most characters of a name.
_NAME: Final = 10_000
# Bytes of one element of each type.
_ITEM: Final = {
    0: 4,
    1: 2,
    2: 4,
    3: 1,
    4: 8,
    6: 1,
    7: 2,
    8: 8,
    9: 1,
    10: 8,
    11: 8,
    12: 8,
    15: 4,
    16: 2,
    18: 2,
}


class _BrokenError(Exception):
    """The fault of the file."""


@dataclass(frozen=True)
class _Table:
    """A table at `place`; `fields` gives the place of each field that is there, 0 where it is
    not."""

    kind: str
    place: int
    fields: tuple[int, ...]

    def at(self, number: int) -> int:
        """The place of field `number`, 0 when it is absent."""
        return self.fields[number] if number < len(self.fields) else 0


@dataclass
class _Walk:
    """The file, and how many objects have been seen."""

    data: bytes
    seen: int = 0

    def number(self, form: str, place: int) -> int:
        """The number of that form at the place."""
        try:
            return int(struct.unpack_from(f"<{form}", self.data, place)[0])
        except struct.error as error:
            raise _BrokenError("an offset beyond its end") from error

    def follow(self, place: int) -> int:
        """The place to which the offset at the place leads."""
        target = place + self.number("I", place)
        if target == place or target + 4 > len(self.data):
            raise _BrokenError("an offset beyond its end")
        return target

    def table(self, kind: str, place: int) -> _Table:
        """The table at the place, all of it inside the file."""
        self.seen += 1
        if self.seen > len(self.data) // _LEAST:
            raise _BrokenError(f"more than {self.seen - 1:,} objects in {len(self.data):,} bytes")
        index = place - self.number("i", place)
        if index < 0:
            raise _BrokenError("a table without its index")
        size, body = self.number("H", index), self.number("H", index + 2)
        if (
            size < 4
            or size % 2
            or body < 4
            or index + size > len(self.data)
            or place + body > len(self.data)
        ):
            raise _BrokenError("a table beyond its end")
        offsets = struct.unpack_from(f"<{size // 2 - 2}H", self.data, index + 4)
        if any(offset >= body or 0 < offset < 4 for offset in offsets):
            raise _BrokenError("a field outside its table")
        return _Table(kind, place, tuple(place + offset if offset else 0 for offset in offsets))

    def vector(self, place: int, size: int) -> tuple[int, int]:
        """(start, length) of the vector that the field at `place` leads to, with elements of `size`
        bytes."""
        if not place:
            return 0, 0
        start = self.follow(place)
        length = self.number("I", start)
        if length * size > len(self.data) - start - 4:
            raise _BrokenError("a vector beyond its end")
        return start + 4, length

    def ints(self, place: int) -> tuple[int, ...]:
        """A vector of 32-bit integers."""
        start, length = self.vector(place, 4)
        self.seen += length // 16
        return struct.unpack_from(f"<{length}i", self.data, start)

    def text(self, place: int) -> None:
        """A name in UTF-8, of bounded length."""
        start, length = self.vector(place, 1)
        if length > _NAME:
            raise _BrokenError(f"a name of {length:,} bytes")
        try:
            self.data[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise _BrokenError("a name that is not UTF-8") from error

    def below(self, table: _Table) -> dict[int, list[_Table]]:
        """The tables that the fields lead to; other fields are checked."""
        found: dict[int, list[_Table]] = {}
        for number, what in _TABLES[table.kind].items():
            place = table.at(number)
            if not place:
                found[number] = []
            elif isinstance(what, str) and what.startswith("["):
                start, length = self.vector(place, 4)
                found[number] = [
                    self.table(what[1:-1], self.follow(start + 4 * each)) for each in range(length)
                ]
            elif isinstance(what, str):
                found[number] = [self.table(what, self.follow(place))]
            elif what == 0:
                self.text(place)
            else:
                self.vector(place, what)
        return found

    def scalar(self, table: _Table, number: int, form: str, default: int = 0) -> int:
        """A field that is a number."""
        place = table.at(number)
        return self.number(form, place) if place else default


def verify(path: str, data: bytes) -> None:
    """Raise NetworkError unless `data` is a whole `.tflite` file whose offsets, indices and sizes
    all fit."""
    walk = _Walk(data)
    try:
        model = walk.table("Model", walk.follow(0))
        parts = walk.below(model)
        for code in parts[1]:
            walk.below(code)
        lengths = [_buffer(walk, buffer) for buffer in parts[4]]
        for graph in parts[2]:
            _graph(walk, graph, len(parts[1]), len(parts[2]), lengths)
        for metadata in parts[6]:
            walk.below(metadata)
            _in_range("buffer", walk.scalar(metadata, 1, "I"), len(lengths))
        for signature in parts[7]:
            for maps in walk.below(signature).values():
                for each in maps:
                    walk.below(each)
            _in_range("subgraph", walk.scalar(signature, 4, "I"), len(parts[2]))
    except _BrokenError as error:
        raise NetworkError(
            f"{path} is not a whole .tflite file: it has {error}",
            "an undamaged file",
            "copy it again",
        ) from error


def _buffer(walk: _Walk, buffer: _Table) -> int:
    """The length of a buffer. Bytes that lie behind the flat buffer lie inside the file."""
    walk.below(buffer)
    offset, size = walk.scalar(buffer, 1, "Q"), walk.scalar(buffer, 2, "Q")
    if offset > 1 and offset + size > len(walk.data):
        raise _BrokenError("a buffer beyond its end")
    return size if offset > 1 else walk.vector(buffer.at(0), 1)[1]


def _graph(walk: _Walk, graph: _Table, codes: int, graphs: int, lengths: list[int]) -> None:
    """Check one subgraph: tensors fit their buffers, and operators name tensors and codes that are
    there."""
    parts = walk.below(graph)
    tensors = len(parts[0])
    for tensor in parts[0]:
        _tensor(walk, tensor, lengths)
    for number in (1, 2):
        for index in walk.ints(graph.at(number)):
            _in_range("tensor", index, tensors)
    for operator in parts[3]:
        walk.below(operator)
        _in_range("operator code", walk.scalar(operator, 0, "I"), codes)
        for number in (1, 2, 8):
            for index in walk.ints(operator.at(number)):
                _in_range("tensor", index, tensors, least=-1)


def _tensor(walk: _Walk, tensor: _Table, lengths: list[int]) -> None:
    """Check that the shape of a tensor and its buffer belong together."""
    for tables in walk.below(tensor).values():
        for table in tables:
            for below in walk.below(table).values():
                for each in below:
                    walk.below(each)
    buffer = walk.scalar(tensor, 2, "I")
    _in_range("buffer", buffer, len(lengths))
    shape = walk.ints(tensor.at(0))
    if any(n < 0 for n in shape) or len(shape) > 8 or prod(shape) >= 2**31:
        raise _BrokenError(f"a tensor of shape {'x'.join(map(str, shape[:9]))}")
    if any(n < -1 for n in walk.ints(tensor.at(7))):
        raise _BrokenError("a tensor of a negative shape")
    item = _ITEM.get(walk.scalar(tensor, 1, "b"))
    if item and lengths[buffer] and not tensor.at(6) and lengths[buffer] != prod(shape) * item:
        raise _BrokenError(
            f"a tensor of {prod(shape) * item} bytes with {lengths[buffer]} bytes of data"
        )


def _in_range(what: str, index: int, count: int, least: int = 0) -> None:
    if not least <= index < count:
        raise _BrokenError(f"{what} {index} of {count}")
