"""A worker process that keeps the memory that NumPy gives back."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

# M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, in bytes.
_MALLOC: Final = ((-3, 32 << 20), (-1, 128 << 20))


def keep_memory() -> None:
    """Let this process keep up to 128 MiB of freed memory, and map only arrays above 32 MiB apart.

    Otherwise each array of a block can be mapped and cleared again: always below Dask's nanny,
    which sets `MALLOC_TRIM_THRESHOLD_`, and elsewhere until a large array was freed
    (PERFORMANCE.md). Only the GNU C library can do it; another is left alone.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOC:
            library.mallopt(parameter, value)
