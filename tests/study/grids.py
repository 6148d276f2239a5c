"""Studies that tests run: files of grids."""

from __future__ import annotations

from pathlib import Path

from tests.cli_case import Case

GRID = '[[grid]]\nname = "a"\nradius = "1"\nstep = "1/2"\n'


def study_file(case: Case, folder: Path, images: str = "0:12") -> Path:
    """Two ladders and two searches on the small data set."""
    path = folder / "small.toml"
    path.write_text(
        f"""
title = "A small | study"
[defaults]
dataset = "{case.data}"
reference = "{case.reference}"
quantised = "{case.quantised}"
images = "{images}"
axes = 3
radius = [2, "3"]
[[grid]]
name = "ladder"
step = 0.5
features = 8
[[grid]]
name = "search"
region = "search"
step = "1/2"
evaluations = 60
"""
    )
    return path
