"""Memory that nobody has written, filled with a pattern: a program that reads it gives other
numbers."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any, Final

# M_PERTURB of the GNU C library.
_PERTURB: Final = -6
# Bytes of a new block are the complement of the pattern, bytes of a freed one the pattern.
_PATTERN: Final = 0xA5


@contextlib.contextmanager
def unwritten() -> Iterator[None]:
    """Fill new blocks of native code with a pattern while the block lasts.

    Without it they hold zeros or older data. Only the GNU C library can do it; with another nothing
    changes.
    """
    change: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None:
        yield
        return
    change(_PERTURB, _PATTERN)
    try:
        yield
    finally:
        change(_PERTURB, 0)
