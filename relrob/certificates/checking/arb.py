"""Numbers and matrices in ball arithmetic (FLINT's Arb): a ball holds the exact value.

Reference: F. Johansson, Arb: Efficient Arbitrary-Precision Midpoint-Radius Interval Arithmetic,
IEEE Transactions on Computers 66(8), 2017.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from flint import arb, arb_mat, fmpq

from relrob.certificates.checking.entries import InvalidError

# Bits of the midpoints.
PRECISION: Final = 128


def ball(value: Fraction | int | float) -> Any:
    """A ball around a number; exact for an int or a float of at most `PRECISION` bits."""
    return (
        arb(fmpq(value.numerator, value.denominator)) if isinstance(value, Fraction) else arb(value)
    )


def matrix(rows: list[list[Any]]) -> Any:
    """A matrix of balls from its rows, of which there is at least one."""
    return arb_mat(len(rows), len(rows[0]), [value for row in rows for value in row])


def signed(given: Any) -> tuple[Any, Any]:
    """max(entry, 0) and min(entry, 0) of a matrix; their sum contains the matrix."""
    entries = given.entries()
    plus = [value.nonnegative_part() for value in entries]
    minus = [-(-value).nonnegative_part() for value in entries]
    shape = (given.nrows(), given.ncols())
    return arb_mat(*shape, plus), arb_mat(*shape, minus)


def repeated(values: list[Any], width: int) -> Any:
    """A matrix of `width` equal columns, shape (len(values), width)."""
    return arb_mat(len(values), width, [value for value in values for _ in range(width)])


def scaled(factors: list[Any], given: Any) -> Any:
    """The matrix, each row times its factor."""
    width = given.ncols()
    found = [value * factors[at // width] for at, value in enumerate(given.entries())]
    return arb_mat(given.nrows(), width, found)


def finite(values: list[Any]) -> list[Any]:
    """The values themselves.

    Raises:
        InvalidError: a value is infinite or no number.
    """
    if not all(value.is_finite() for value in values):
        raise InvalidError("numbers beyond all bounds")
    return values
