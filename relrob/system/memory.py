"""Memory that nobody has written, filled on purpose: a program that reads it then gives other
numbers than before."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any, Final

_PERTURB: Final = -6  # M_PERTURB of the GNU C library
_PATTERN: Final = 0xA5  # each byte of a new block is its complement, of a freed one itself


@contextlib.contextmanager
def unwritten() -> Iterator[None]:
    """Blocks that native code asks for here hold a pattern instead of zeros or of what was there;
    nothing where the C library cannot do that."""
    change: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None:
        yield
        return
    change(_PERTURB, _PATTERN)
    try:
        yield
    finally:
        change(_PERTURB, 0)
