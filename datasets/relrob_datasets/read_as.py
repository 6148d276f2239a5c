"""How a user wants images and labels to be read, and how they were read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Levels
from relrob.errors import DatasetError, UsageError, printable

LABELS: Final = ("given", "reference")
LAYOUTS: Final = ("auto", "hwc", "chw")
AUTO: Final = "auto"
RANGE: Final = "LO:HI such as -1:1 or 0:16, or auto for the least and the largest value"
_NUMBER: Final = re.compile(
    r"[-+]?[0-9]{1,20}(\.[0-9]{0,20})?(e[-+]?[0-9]{1,2})?|[-+]?[0-9]+/[0-9]+"
)
# The ends of what an input contract can say (`relrob.domain.contract`).
_LEAST: Final = Fraction(1, 2**30)
_MOST: Final = Fraction(2**30)
# Rows that are turned into pixels at a time: they need eight bytes a value.
_BLOCK: Final = 1024
_DIGITS: Final = 6


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`, which pixels 0 to 1 stand for.

    Raises UsageError where high is not above low, or an end is beyond 2^30.

    >>> Range.of("-1:1").text
    '-1:1'
    """

    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UsageError(f"range {self.text}", "LO below HI")
        for each in (self.low, self.high, self.high - self.low):
            if each and not _LEAST <= abs(each) <= _MOST:
                raise UsageError(f"range {self.text}", "ends and width 0, or 2^-30 to 2^30")

    @staticmethod
    def of(text: str) -> Range:
        """From LO:HI, exactly. Raises UsageError."""
        low, _, high = ("".join(text.lower().split())).partition(":")
        if len(text) > 100 or not all(_NUMBER.fullmatch(end) for end in (low, high)):
            raise UsageError(f"range {text!r}", RANGE, "--range -1:1")
        try:
            return Range(Fraction(low), Fraction(high))
        except ZeroDivisionError as error:
            raise UsageError(f"range {text!r}", RANGE, "--range -1:1") from error

    @property
    def text(self) -> str:
        """LO:HI, from which `of` makes the same range."""
        return f"{_spelled(self.low)}:{_spelled(self.high)}"

    def pixels(self, values: NDArray[Any], where: str) -> Levels | Floats:
        """(value - low)/(high - low), nearest float32; levels 0..255 stay as they are where the
        range is theirs. Raises DatasetError for values outside the range."""
        if values.dtype == np.uint8 and self == LEVELS:
            return values
        low, high = float(self.low), float(self.high)
        least, most = (float(values.min()), float(values.max())) if values.size else (low, high)
        if least < low or most > high:
            raise DatasetError(
                f"{where} has values in [{least:g}, {most:g}]",
                f"values in the range {self.text}",
                f"--range {_spelled_float(min(least, low))}:{_spelled_float(max(most, high))}, "
                "or --range auto",
            )
        pixels = np.empty(values.shape, np.float32)
        for start in range(0, len(values), _BLOCK):
            wide = values[start : start + _BLOCK].astype(np.float64)
            pixels[start : start + _BLOCK] = (wide - low) / (high - low)
        return pixels


LEVELS: Final = Range(Fraction(0), Fraction(255))


def _spelled(number: Fraction) -> str:
    """As a decimal where a float is that number, else as a fraction."""
    short = _spelled_float(float(number))
    return short if Fraction(short) == number else str(number)


def _spelled_float(number: float) -> str:
    """The shortest decimal of a float.

    >>> _spelled_float(16.0), _spelled_float(-0.25)
    ('16', '-0.25')
    """
    return repr(number).removesuffix(".0")


@dataclass(frozen=True)
class ReadAs:
    """How to read images and labels, as the user asked.

    `classes`: the names of the classes in the order of the network's outputs, () for none given.
    `labels`: "given" with the images, or "reference": the reference network gives them. `range`:
    LO:HI or auto, None for pixels in [0, 1]. `layout`: the order of arrays of four dimensions.
    Raises UsageError.
    """

    classes: tuple[str, ...] = ()
    labels: str = "given"
    range: str | None = None
    layout: str = AUTO

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise UsageError(f"labels {self.labels!r}", ", ".join(LABELS), "--labels reference")
        if self.layout not in LAYOUTS:
            raise UsageError(f"images layout {self.layout!r}", ", ".join(LAYOUTS))
        if self.range not in (None, AUTO):
            Range.of(str(self.range))

    def json(self) -> dict[str, Any]:
        """The arguments of `of`, for a child process."""
        return {**vars(self), "classes": list(self.classes)}

    @staticmethod
    def of(arguments: Mapping[str, Any]) -> ReadAs:
        """From `json`."""
        return ReadAs(**{**arguments, "classes": tuple(arguments["classes"])})


GIVEN: Final = ReadAs()


@dataclass(frozen=True)
class Reading:
    """How images and labels were read.

    `class_names`: the classes by name, in the order of labels, () where labels are numbers;
    `named_by`: "classes" where the user gave them, else "data". `labels`: "data", or "reference".
    `range`: the values that pixels stand for, None for pixels. `layout`: that of the source; "chw"
    was turned into "hwc". `splits`: of the source, () where it has none. `notes`: sentences for the
    user.
    """

    class_names: tuple[str, ...] = ()
    named_by: str = "data"
    labels: str = "data"
    range: Range | None = None
    layout: str = "hwc"
    splits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """What a summary says of it, as printable text: nothing for pixels and numbers as they
        are."""
        names = [printable(name) for name in self.class_names]
        named = {"classes": names, "named_by": self.named_by}
        return {
            **({"labels": self.labels} if self.labels != "data" else {}),
            **(named if self.class_names else {}),
            **({"range": self.range.text} if self.range is not None else {}),
            **({"layout": self.layout} if self.layout != "hwc" else {}),
            **({"notes": [printable(note) for note in self.notes]} if self.notes else {}),
        }

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the user should know of it."""
        found = []
        if self.class_names:
            order = "as --classes gives them" if self.named_by == "classes" else "in sorted order"
            found.append(f"classes, {order}: {mapped(self.class_names)}")
        if self.labels == "reference":
            found.append("labels: the reference's own, so accuracies are agreement with it")
        if self.range is not None:
            found.append(
                f"values {self.range.text} are pixels 0 to 1: radius and step are in units of "
                "the range"
            )
        return (*found, *self.notes)

    def identity(self) -> dict[str, Any]:
        """What decides pixels and labels, besides the bytes of the source."""
        told = ("notes", "named_by", *(("classes",) if self.named_by == "data" else ()))
        return {key: value for key, value in self.json().items() if key not in told}


AS_IT_IS: Final = Reading()


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a line: the first ones, and how many more."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def mapped(names: Sequence[str], most: int = 20) -> str:
    """The map of labels to names in a line.

    >>> mapped(["cat", "dog"])
    '0 cat, 1 dog'
    """
    return listed([f"{label} {name}" for label, name in enumerate(names)], most)


def ranged(
    values: NDArray[Any], asked: str | None, where: str, least_of: tuple[NDArray[Any], ...] = ()
) -> tuple[NDArray[Any], Range | None]:
    """The pixels of some values and their range: as they are where none was asked for.

    `least_of`: arrays that "auto" looks at as well. Raises DatasetError: no numbers, values that
    are not finite, values outside the range.
    """
    if asked is None:
        return values, None
    for array in (values, *least_of):
        if array.dtype.kind not in "uif":
            raise DatasetError(f"{where} has values of type {array.dtype}", "numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DatasetError(f"{where} has NaN or infinite values", "finite numbers")
    found = Range.of(asked) if asked != AUTO else _own((values, *least_of), where)
    return found.pixels(values, where), found


def _own(arrays: tuple[NDArray[Any], ...], where: str) -> Range:
    """The least and the largest value, rounded outwards to six digits. Raises DatasetError where
    they are equal."""
    full = [array for array in arrays if array.size]
    if not full:
        raise DatasetError(f"{where} is empty", "at least one value")
    low, high = min(float(each.min()) for each in full), max(float(each.max()) for each in full)
    if low == high:
        raise DatasetError(
            f"{where} has the one value {low:g}, of which no range comes", "--range LO:HI"
        )
    ends = [
        Context(prec=_DIGITS, rounding=rounding).plus(Decimal(end))
        for end, rounding in ((low, ROUND_FLOOR), (high, ROUND_CEILING))
    ]
    first, last = Fraction(ends[0]), Fraction(ends[1])
    # Ends below the least that an input contract knows are put outside of it.
    first = first if abs(first) >= _LEAST else -_LEAST if first < 0 else Fraction(0)
    last = last if abs(last) >= _LEAST else _LEAST if last > 0 else Fraction(0)
    return Range(first, last)
