"""How far bounds that are computed in float64 are moved outward, so that they hold for the real
numbers that they stand for."""

from __future__ import annotations

from typing import Final

# More than float64 sums of `rounding.WIDEST` terms, products nested three deep, can lose relative
# to the magnitude of their terms.
SLACK: Final = 2.0**-34
# Counts as a magnitude beside every number that an unknown is multiplied with, whatever its size:
# SLACK times it is more than that many products lose that fall below float64's normal range.
FLOOR: Final = 2.0**-960
