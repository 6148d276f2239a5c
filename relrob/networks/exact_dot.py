"""Integer dot products through floating-point BLAS, only where every partial sum is provably
exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Ints, read_only
from relrob.errors import NetworkError

SINGLE: Final = 2**24
DOUBLE: Final = 2**53
_INT64: Final = 2**63
_MOST_PARTS: Final = 4
_WIDE: Final = 64
_SPARSE: Final = 0.8

Numbers = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ExactDot:
    """x -> x W + b for integer-valued x (n, n_in) with `low` <= x <= `high`; `weights` (n_in,
    n_out), `bias` (n_out,) int64.

    Chooses one float32 product, up to four float32 products added in float64, one float64 product,
    or int64 arithmetic, by the largest absolute value that any partial sum of any order can take.
    `lowest`, `highest` (n_out,): the range of the result. Raises NetworkError when int64 could
    overflow.

    >>> ExactDot(np.array([[2], [-3]]), np.array([7]), 0, 255)(np.array([[1, 2]], np.float32)).tolist()
    [[3.0]]
    """

    weights: Ints
    bias: Ints
    low: int
    high: int
    lowest: Ints = field(init=False)
    highest: Ints = field(init=False)
    parts: tuple[Numbers, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        weights = read_only(np.asarray(self.weights, dtype=np.int64))
        bias = read_only(np.asarray(self.bias, dtype=np.int64))
        most = max(abs(self.low), abs(self.high), 1)
        sums = np.abs(weights.astype(np.float64)).sum(axis=0) * most + np.abs(
            bias.astype(np.float64)
        )
        if sums.max(initial=0.0) * (1 + 2.0**-30) >= _INT64:
            raise NetworkError("an integer layer whose sums exceed 64 bits", "sums below 2^63")
        down, up = _ends(weights, self.low, self.high)
        values: dict[str, Any] = {
            "weights": weights,
            "bias": bias,
            "lowest": read_only(
                np.minimum(weights * self.low, weights * self.high).sum(axis=0) + bias
            ),
            "highest": read_only(
                np.maximum(weights * self.low, weights * self.high).sum(axis=0) + bias
            ),
            "parts": tuple(
                read_only(part) for part in _parts(weights, bias, down, up, self.low, self.high)
            ),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def limit(self) -> int:
        """The largest absolute value of a result."""
        return int(max(-self.lowest.min(initial=0), self.highest.max(initial=0)))

    def __call__(self, values: Numbers) -> Numbers:
        """(n, n_in) -> (n, n_out), exact integers: float32 when one product holds them, else
        float64, or int64 at need."""
        kind = self.parts[0].dtype
        if len(self.parts) == 1:
            total = _product(values.astype(kind, copy=False), self.parts[0])
            total += self.bias.astype(kind)
            return total
        start, wide = (
            0,
            np.broadcast_to(self.bias.astype(np.float64), (len(values), len(self.bias))).copy(),
        )
        for part in self.parts:
            wide += values[:, start : start + len(part)].astype(np.float32, copy=False) @ part
            start += len(part)
        return wide


def _product(values: Numbers, weights: Numbers) -> Numbers:
    """values @ weights without the inputs that are zero in every row: black borders, dead neurons
    of neighbouring images."""
    with np.errstate(
        invalid="ignore"
    ):  # BLAS has raised it over lanes that hold no value; whole numbers never do
        if weights.shape[1] >= _WIDE and len(values) >= _WIDE:
            live = np.flatnonzero((values != 0).any(axis=0))
            if len(live) < _SPARSE * len(weights):
                return np.asarray(values.take(live, axis=1) @ weights[live])
        return np.asarray(values @ weights)


def _ends(weights: Ints, low: int, high: int) -> tuple[Ints, Ints]:
    """For each column the least and the greatest sum of any subset of its products (n_out,)."""
    down, up = np.minimum(weights * low, weights * high), np.maximum(weights * low, weights * high)
    return np.minimum(down, 0).sum(axis=0), np.maximum(up, 0).sum(axis=0)


def _reach(weights: Ints, low: int, high: int) -> int:
    """The largest absolute value that a partial sum takes."""
    down, up = _ends(weights, low, high)
    return int(max(-down.min(initial=0), up.max(initial=0)))


def _parts(
    weights: Ints, bias: Ints, down: Ints, up: Ints, low: int, high: int
) -> Iterator[Numbers]:
    """The matrices to multiply by, in the type whose arithmetic is exact."""
    reach = int(
        max(-(down + np.minimum(bias, 0)).min(initial=0), (up + np.maximum(bias, 0)).max(initial=0))
    )
    if reach <= SINGLE:
        yield weights.astype(np.float32)
        return
    if reach <= DOUBLE and max(abs(low), abs(high)) <= SINGLE:
        for count in range(1, _MOST_PARTS + 1):
            pieces = np.array_split(weights, count)
            if all(_reach(piece, low, high) <= SINGLE for piece in pieces) and (count > 1):
                yield from (piece.astype(np.float32) for piece in pieces)
                return
    yield weights.astype(np.float64 if reach <= DOUBLE else np.int64)
