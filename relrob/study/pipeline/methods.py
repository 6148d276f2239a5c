"""Methods of compression after training, as a study of stages writes them."""

from __future__ import annotations

from typing import Final

from relrob.domain.formats import FixedFormat
from relrob.errors import UsageError

_PARTS: Final = ("weights", "activations")


def split_method(text: str) -> tuple[FixedFormat, str]:
    """(the format, "weights", "activations" or "" for both). Raises UsageError.

    >>> split_method("q:4:1:weights")[1]
    'weights'
    """
    kind, *rest = text.split(":")
    numbers = all(part.isascii() and part.isdigit() for part in rest[:2])
    part = rest[2] if len(rest) == 3 else ""
    if kind != "q" or len(rest) not in (2, 3) or not numbers or part not in ("", *_PARTS):
        raise UsageError(f"method {text!r}", "q:W:P, q:W:P:weights, q:W:P:activations", "q:8:2")
    return FixedFormat(int(rest[0]), int(rest[1])), part
