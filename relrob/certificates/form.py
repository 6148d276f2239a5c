"""The form of a certificate: canonical JSON, its seal, and the hash chain over the points of a run.

Source: docs/certificates.md, "The file" and "A run leaf".
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

FORMAT: Final = "relrob certificate 2"
# Has no `details` in `network`; still read.
BEFORE: Final = "relrob certificate 1"


def canonical(content: Mapping[str, Any]) -> bytes:
    """The bytes of a certificate: JSON with sorted keys, no spaces, no NaN, ASCII only, and a line
    end.

    >>> canonical({"b": 1, "a": [0.5]})
    b'{"a":[0.5],"b":1}\\n'
    """
    return (
        json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    ).encode("ascii")


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the certificate without its `seal`."""
    return hashlib.sha256(
        canonical({key: value for key, value in content.items() if key != "seal"})
    ).hexdigest()


def chain(path: Iterable[int], seen: Iterable[tuple[int, float]]) -> str:
    """The hash chain of a leaf's points in rank order, `seen` being the (label, margin) of each:
    hex of h(0) = SHA-256(path as decimal numbers joined by commas), h(k+1) = SHA-256(h(k) + rank k
    + label + margin), where the three are a little-endian 64-bit unsigned, a 64-bit signed and an
    IEEE-754 double. A margin of -0 counts as 0."""
    value = hashlib.sha256(",".join(map(str, path)).encode()).digest()
    for rank, (label, margin) in enumerate(seen):
        value = hashlib.sha256(value + struct.pack("<Qqd", rank, label, margin + 0.0)).digest()
    return value.hex()
