"""Damage to any bytes: bits, bytes, numbers, cuts and splices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

Random = np.random.Generator
INTS: Final = (
    0,
    1,
    -1,
    2,
    7,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    -(2**31),
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**63),
)


def any_bytes(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A change that knows nothing of the format."""
    content = bytearray(data or b"\0")
    at = int(rng.integers(len(content)))
    match int(rng.integers(7)):
        case 0:
            for place in rng.integers(0, len(content), int(rng.integers(1, 9))):
                content[place] ^= 1 << int(rng.integers(8))
        case 1:
            for place in rng.integers(0, len(content), int(rng.integers(1, 17))):
                content[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
        case 2:
            return bytes(content[:at])
        case 3:
            other = others[int(rng.integers(len(others)))] if others else data
            start = int(rng.integers(len(other)))
            piece = other[start : start + int(rng.integers(1, 200))]
            content[at : at + len(piece) * int(rng.integers(2))] = piece
        case 4:
            del content[at : at + int(rng.integers(1, 64))]
        case 5:
            width = int(rng.choice([2, 4, 8]))
            value = int(rng.choice(INTS)) % 2 ** (8 * width)
            at -= at % (width if rng.random() < 0.7 else 1)
            content[at : at + width] = value.to_bytes(
                width, "little" if rng.random() < 0.9 else "big"
            )
        case _:
            width = int(rng.choice([4, 8]))
            at = min(at - at % 4, max(len(content) - width, 0))
            if len(content) >= at + width:
                old = int.from_bytes(content[at : at + width], "little")
                new = old + int(rng.choice([-8, -4, -1, 1, 4, 8, len(content)]))
                content[at : at + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(content)
