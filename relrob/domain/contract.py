"""The input contract of a network: how the values that its file reads follow from pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from relrob.errors import UsageError

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2}|/[0-9]{1,30})?")
_OTHERS: Final = ("mean", "std", "channels")
# Constants within these ends, and no others, keep every step far from float32's own ends.
_LEAST: Final = Fraction(1, 2**30)
_MOST: Final = Fraction(2**30)


@dataclass(frozen=True)
class InputContract:
    """The file reads ((`scale` * pixel) - `mean`) / `std`, each operation rounded to float32.

    Pixels lie in [0, 1]. `bgr`: the file reads the channels in the reverse order. `mean`, `std`:
    one number, or one a channel in the order in which the file reads them; () stands for 0 and
    1. `output`: the name of the output that holds the classes;
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


# The file reads pixels as they are.
IDENTITY: Final = InputContract()


@dataclass(frozen=True)
class InputOptions:
    """The options of an input contract, as parsed; None where one was not given."""

    scale: Fraction | None = None
    mean: tuple[Fraction, ...] | None = None
    std: tuple[Fraction, ...] | None = None
    bgr: bool | None = None
    output: str | None = None

    def over(self, read: InputContract) -> InputContract:
        """The contract that a file says, `read`, with the options that were given in place of its
        parts. Raises UsageError where they do not fit each other."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(read, **given)


def exactly(contract: InputContract) -> InputOptions:
    """Options that give this contract, whatever a file says, but for the output's name."""
    return InputOptions(contract.scale, contract.mean, contract.std, contract.bgr)


def input_options(
    input_scale: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    channels: str | None = None,
    output: str | None = None,
) -> InputOptions:
    """The options from their texts: exact decimals or fractions, several with commas. Raises
    UsageError.

    >>> input_options(mean="0.5,1/3,0", channels="bgr").bgr
    True
    """
    if channels not in (None, "rgb", "bgr"):
        raise UsageError(f"channels {channels!r}", "rgb, bgr")
    if output == "":
        raise UsageError("output ''", "the name of an output of the file")
    scale = None if input_scale is None else _numbers("input scale", input_scale, "255, 1/2")
    if scale is not None and len(scale) != 1:
        raise UsageError(f"input scale {input_scale!r}", "one number", "--input-scale 255")
    options = InputOptions(
        None if scale is None else scale[0],
        None if mean is None else _numbers("mean", mean, "0.5, or 0.485,0.456,0.406"),
        None if std is None else _numbers("std", std, "0.5, or 0.229,0.224,0.225"),
        None if channels is None else channels == "bgr",
        output,
    )
    options.over(IDENTITY)
    return options


def _numbers(what: str, text: str, example: str) -> tuple[Fraction, ...]:
    parts = [part.strip() for part in text.split(",")]
    try:
        if all(_NUMBER.fullmatch(part) for part in parts):
            return tuple(Fraction(part) for part in parts)
    except ZeroDivisionError:
        pass
    raise UsageError(f"{what} {text!r}", f"exact numbers: {example}")


def contract_of_text(text: str) -> InputContract:
    """The contract whose `text` this is. Raises UsageError.

    >>> contract_of_text("--input-scale 255 --mean 0.5 --output a b").text()
    '--input-scale 255 --mean 0.5 --output a b'
    """
    words, _, output = text.partition("--output ")
    parts = words.split()
    given = dict(zip(parts[::2], parts[1::2], strict=False))
    known = {f"--{name.replace('_', '-')}": name for name in ("input_scale", *_OTHERS)}
    if 2 * len(given) != len(parts) or not set(given) <= set(known):
        raise UsageError(f"input contract {text!r}", "options such as --input-scale 255")
    options = {known[name]: value for name, value in given.items()}
    return input_options(**options, output=output or None).over(IDENTITY)


def constant(value: Any) -> Any:
    """Numbers of Python as the text of an option, several with commas; anything else as it is.

    >>> constant(255), constant((0.485, 0.456)), constant(None)
    ('255', '0.485,0.456', None)
    """
    if isinstance(value, (int, float, Fraction)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (list, tuple)) and value:
        return ",".join(str(each) for each in value)
    return value


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
