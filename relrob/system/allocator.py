"""How a worker process holds on to memory that NumPy gives back."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_MALLOC: Final = ((-3, 32 << 20), (-1, 128 << 20))  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def keep_memory() -> None:
    """Let this process keep freed memory up to 128 MiB and map only arrays above 32 MiB apart,
    where the C library is GNU's.

    Otherwise each array of a block can be mapped, and cleared, anew: always below Dask's nanny,
    which sets `MALLOC_TRIM_THRESHOLD_`, and elsewhere while no large array was freed yet
    (PERFORMANCE.md).
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOC:
            library.mallopt(parameter, value)
