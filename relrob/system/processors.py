"""How many processors this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import os


def processors() -> int:
    """Those in its affinity mask."""
    return len(os.sched_getaffinity(0))
