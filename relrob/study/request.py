"""What the user asked for, as typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed: the options of `relrob verify` (interface.md). None = the default."""

    radius: str
    step: str
    reference: str | None = None
    quantised: str | None = None
    dataset: str = "mnist"
    split: str = "test"
    images: str = "0:100"
    quantise: str = "dynamic"
    runtime: str | None = None
    reference_runtime: str | None = None
    layout: str = "auto"
    region: str = "ladder"
    features: str = "20"
    axes: int = 10
    grid: str = "exact"
    seed: int = 0
    effective: str = "closest"
    solver: str = "auto"
    time_limit: float = 60.0
    counts: bool = True
    certificates: bool = False
