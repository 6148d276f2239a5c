"""Regions by name, with radii that the field uses: `--region linf-8` fills in the radius, and the
step where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Preset:
    """A region of some `kind` with its numbers: options of `relrob verify` and their values, as
    typed."""

    name: str
    kind: str
    options: tuple[tuple[str, str | int], ...]
    summary: str


# Radii of robust training and its benchmarks on 8-bit images.
_LEVELS: Final = (1, 2, 4, 8)

PRESETS: Final[tuple[Preset, ...]] = (
    Preset(
        "ladder-paper",
        "ladder",
        (("radius", "20"), ("step", "1/4"), ("features", "20"), ("axes", 10)),
        "ladder of radius 20, step 1/4, 20 features of 10 axes (Duncan et al. 2020)",
    ),
    *(
        Preset(
            f"linf-{levels}",
            "linf",
            (("radius", f"{levels}/255"),),
            f"L-infinity ball of radius {levels}/255",
        )
        for levels in _LEVELS
    ),
)
BY_NAME: Final[Mapping[str, Preset]] = {preset.name: preset for preset in PRESETS}
