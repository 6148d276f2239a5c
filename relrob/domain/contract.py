"""The input contract of a network: how the values that its file reads follow from pixels in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from relrob.errors import UsageError

# Constants within these ends, and no others, keep every step far from float32's own ends.
_LEAST: Final = Fraction(1, 2**30)
_MOST: Final = Fraction(2**30)


@dataclass(frozen=True)
class InputContract:
    """The file reads ((`scale` * pixel) - `mean`) / `std`, each operation rounded to float32.

    `mean`, `std`: one number, or one a channel in the order of the images, before `bgr` reverses
    the channels; () stands for 0 and 1. `output`: the name of the output that holds the classes;
    "" is the only one.

    Raises UsageError for a scale or a std that is not above 0, or a constant beyond 2^30.

    >>> InputContract(Fraction(255), bgr=True).text()
    '--input-scale 255 --channels bgr'
    """

    scale: Fraction = Fraction(1)
    mean: tuple[Fraction, ...] = ()
    std: tuple[Fraction, ...] = ()
    bgr: bool = False
    output: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", Fraction(self.scale))
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(Fraction(each) for each in getattr(self, name)))
        if not _LEAST <= self.scale <= _MOST:
            raise UsageError(f"input scale {spelled(self.scale)}", "2^-30 to 2^30, such as 255")
        for each in self.std:
            if not _LEAST <= each <= _MOST:
                raise UsageError(f"std {spelled(each)}", "2^-30 to 2^30, such as 0.3081")
        for each in self.mean:
            if each and not _LEAST <= abs(each) <= _MOST:
                raise UsageError(f"mean {spelled(each)}", "0, or 2^-30 to 2^30 in magnitude")
        if len({len(self.mean), len(self.std)} - {0, 1}) > 1:
            raise UsageError(
                f"{len(self.mean)} means and {len(self.std)} stds",
                "one number, or one a channel, for each",
            )

    @property
    def identity(self) -> bool:
        """Does the file read the pixels as they are, and have one output?"""
        return self.plain and self.output == ""

    @property
    def plain(self) -> bool:
        """Does the file read the pixels as they are?"""
        return self.scale == 1 and not any(self.mean) and set(self.std) <= {1} and not self.bgr

    def check(self, channels: int) -> None:
        """Refuse a contract that does not fit images of so many channels. Raises UsageError."""
        for what, numbers in (("means", self.mean), ("stds", self.std)):
            if len(numbers) not in (0, 1, channels):
                raise UsageError(
                    f"{len(numbers)} {what} for images of {channels} channels",
                    f"1 number or {channels}, comma-separated",
                )
        if self.bgr and channels != 3:
            raise UsageError(f"channels bgr of images of {channels} channels", "3 channels")

    def text(self) -> str:
        """The options that give it, as typed; "" for the identity."""
        parts = [f"--input-scale {spelled(self.scale)}"] if self.scale != 1 else []
        parts += [f"--mean {_listed(self.mean)}"] if any(self.mean) else []
        parts += [f"--std {_listed(self.std)}"] if not set(self.std) <= {1} else []
        parts += ["--channels bgr"] if self.bgr else []
        parts += [f"--output {self.output}"] if self.output else []
        return " ".join(parts)

    def json(self) -> dict[str, Any]:
        """Its parts that are not those of the identity, exact, under the options' words."""
        found: dict[str, Any] = {}
        if self.scale != 1:
            found["input_scale"] = spelled(self.scale)
        if any(self.mean):
            found["mean"] = _listed(self.mean)
        if not set(self.std) <= {1}:
            found["std"] = _listed(self.std)
        if self.bgr:
            found["channels"] = "bgr"
        if self.output:
            found["output"] = self.output
        return found


def spelled(number: Fraction) -> str:
    """The number exactly: as a decimal where it is a short one, else as a fraction.

    >>> spelled(Fraction("0.1307")), spelled(Fraction(1, 3)), spelled(Fraction(255))
    ('0.1307', '1/3', '255')
    """
    for places in range(13):
        scaled = number * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
            return ("-" if number < 0 else "") + whole + (f".{part}" if part else "")
    return str(number)


def _listed(numbers: tuple[Fraction, ...]) -> str:
    return ",".join(spelled(number) for number in numbers)
