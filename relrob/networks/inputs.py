"""The input contract of a file: the user's options, then what the file itself says, then what its
reference reads (docs/inputs.md)."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from typing import Final

from relrob.domain.contract import IDENTITY, InputContract, InputOptions
from relrob.networks.source import Source

log = logging.getLogger(__name__)

LEVELS: Final = InputContract(Fraction(255))
# A scale that was learnt from images whose brightest pixel is not white is less than that of white.
_DARKEST: Final = 0.9
_ROUNDED: Final = 1e-5


def contract_of(
    name: str, source: Source, inputs: InputOptions | None, like: InputContract | None
) -> tuple[InputContract, str]:
    """The contract of the file called `name`, and the part of the file that says it, "" where the
    options or the reference do.

    One warning names an option that contradicts the file. Raises UsageError.
    """
    if inputs is None:
        return replace(IDENTITY, output=source.output), ""
    said, where = source.reads or (None, "")
    given = inputs
    if inputs.scale is None and (inputs.mean is not None or inputs.std is not None):
        # A mean and a std are of pixels, and not of the levels that the file says.
        given = replace(inputs, scale=Fraction(1))
    found = replace(given.over(said or like or IDENTITY), output=source.output)
    if said is not None and found.scale != said.scale:
        log.warning(
            "%s reads %s by %s; the options hold all the same: %s",
            name,
            _range(said),
            where,
            found.text() or "--input-scale 1",
        )
    return found, where if said is not None and found.scale == said.scale != 1 else ""


def read_grid(scale: float, zero: int, least: int) -> tuple[InputContract, str] | None:
    """The contract that an 8-bit input tensor says: levels 0..255 by a scale of 1, pixels 0..1 by
    one of 1/255. None for another grid."""
    if zero != least:
        return None
    where = f"its input tensor (scale {scale:g}, zero point {zero})"
    if _DARKEST <= scale <= 1 + _ROUNDED:
        return LEVELS, where
    if _DARKEST / 255 <= scale <= (1 + _ROUNDED) / 255:
        return IDENTITY, where
    return None


def read_factor(factor: float, layer: str) -> tuple[InputContract, str] | None:
    """The contract that a first layer of that factor says: levels 0..255 by 1/255 or 1/127.5. None
    for another factor."""
    if any(abs(factor * whole - 1) <= _ROUNDED for whole in (255.0, 127.5)):
        whole = "1/255" if abs(factor * 255 - 1) <= _ROUNDED else "1/127.5"
        return LEVELS, f"{layer} (factor {whole})"
    return None


def _range(contract: InputContract) -> str:
    return "0..255" if contract.scale == 255 else "0..1"
