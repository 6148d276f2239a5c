"""Many candidates in calls of a runtime with little padding; each batch has sizes of its own."""

from __future__ import annotations

from typing import Final

# Images that a call of a runtime is worth.
_CALL: Final = 6


def pieces(count: int, most: int) -> list[int]:
    """The batch sizes of calls that run so many images: powers of 4, the last one not full.

    `most`: the largest batch. A call costs its size, padding included, and `_CALL` more.

    >>> pieces(600, 1024)
    [256, 256, 64, 16, 4, 4]
    >>> pieces(3, 1)
    [1, 1, 1]
    """
    sizes = sorted({most, *(4**k for k in range(8) if 4**k < most)})
    whole, left = divmod(count, most)
    return [most] * whole + (_split(left, sizes) if left else [])


def _split(count: int, sizes: list[int]) -> list[int]:
    above = next(size for size in sizes if size >= count)
    below = max((size for size in sizes if size < count), default=0)
    if below == 0 or above == count:
        return [above]
    split = [below, *_split(count - below, sizes)]
    return split if sum(split) + _CALL * len(split) < above + _CALL else [above]
