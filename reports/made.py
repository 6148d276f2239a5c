"""What reports have in common: the machine and the packages that they were made with, and figures
with their captions."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

from relrob.system.files import write_atomic
from relrob.system.processors import processors

FIGURES = "figures"
VECTORS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni")


def machine() -> str:
    """This machine in words."""
    return (
        f"{platform.machine()} ({', '.join(vectors())}), {processors()} cores, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def vectors() -> list[str]:
    """Which vector instructions the processor has: kernels choose their sums by them."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return [name for name in VECTORS if name in flags]


def packages(names: Iterable[str]) -> dict[str, str]:
    """The versions of installed packages."""
    return {name: version(name) for name in names}


def write_figures(report: Path, made: Mapping[str, bytes]) -> None:
    """Write the figures of a report, and remove those of another run."""
    for old in (report / FIGURES).glob("*"):
        if old.name not in made:
            old.unlink()
    for name, data in made.items():
        write_atomic(report / FIGURES / name, data)


def captioned(pictures: Sequence[tuple[str, str]], drawn: Iterable[str]) -> list[str]:
    """Lines of Markdown that show these figures. `pictures`: (pattern of names, caption), in order;
    figures of no pattern are left out."""
    lines = []
    for pattern, caption in pictures:
        names = [name for name in drawn if fnmatch(name, pattern)]
        if names:
            lines += [caption, "", *[f"![{name}]({FIGURES}/{name})\n" for name in names]]
    return lines
