"""A study as a TOML file: grids of options of `relrob verify`. Each cell of a grid is a run.

title = "..."                  # optional; also `published`, a table of published numbers
[defaults]                     # options of every grid
images = "0:100"
[[grid]]
name = "ladder"
radius = ["10", "20"]          # a list is one cell a value, in every combination
step = ["1/4", "1/2"]
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

from relrob.errors import UsageError
from relrob.study.options import USES, filled, idle, spelled
from relrob.study.request import CONSTANTS, Request, asked_with
from relrob.system.files import sha256_bytes
from relrob.system.toml import toml_tables, toml_text

_OPTIONS: Final = tuple(field.name for field in fields(Request))
_DEFAULTS: Final = {field.name: field.default for field in fields(Request)}
_HEAD: Final = ("title", "published", "defaults", "grid")
_EXACT: Final = ("radius", "step", *CONSTANTS)
MOST_CELLS: Final = 10_000


@dataclass(frozen=True)
class Cell:
    """One run of a study: the `grid` that it belongs to and its options."""

    grid: str
    options: dict[str, Any]

    def request(self) -> Request:
        """The run. Raises UsageError for options that do not fit each other, or that the run would
        not use."""
        return asked_with(self.options)


@dataclass(frozen=True)
class Spec:
    """A study. `published`: the built-in table of published numbers, "" for none; `sha256`: of the
    text; `cells`: those that were asked for, in order; `every`: all cells, in order."""

    name: str
    title: str
    published: str
    sha256: str
    cells: tuple[Cell, ...]
    every: tuple[Cell, ...]

    @property
    def grids(self) -> tuple[str, ...]:
        """Names of the grids asked for, in order."""
        return grids_of(self.cells)


def grids_of(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Names of the grids of some cells, in order."""
    return tuple(dict.fromkeys(cell.grid for cell in cells))


def builtin() -> dict[str, str]:
    """The studies that come with relrob: name to TOML text."""
    folder = files("relrob.study") / "builtin"
    texts = [
        (entry.name.removesuffix(".toml"), entry)
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    ]
    return {name: entry.read_text() for name, entry in sorted(texts)}


def find_spec(
    name: str, changes: dict[str, Any], references: dict[str, str], only: tuple[str, ...] = ()
) -> Spec:
    """The built-in study of that name, or the one in a TOML file.

    `changes`: options that replace those of every grid. `references`: data set to reference
    network. `only`: grids to keep, all when empty. Raises UsageError.
    """
    return read_spec(*find_text(name), changes, references, only)


def find_text(name: str) -> tuple[str, str]:
    """(name, TOML text) of the built-in study of that name, or of the one in a file. Raises
    UsageError, StoreError."""
    known = builtin()
    if name in known:
        return name, known[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise UsageError(
            f"study {name!r}",
            f"{', '.join(known)}, or a file that ends in .toml",
            "relrob study list",
        )
    if not path.exists():
        raise UsageError(
            f"study {name}: no such file", f"{', '.join(known)}, or a file that ends in .toml"
        )
    return path.stem, toml_text(path)


def parsed(name: str, text: str) -> dict[str, Any]:
    """The tables of a study's text. Raises UsageError."""
    return toml_tables(f"study {name}", text)


def read_spec(
    name: str,
    text: str,
    changes: dict[str, Any],
    references: dict[str, str],
    only: tuple[str, ...] = (),
) -> Spec:
    """A study from its text, with `changes`, `references` and `only` as for `find_spec`.

    Raises UsageError that names the grid and the option.
    """
    given = parsed(name, text)
    _named(f"study {name}: option", given, _HEAD)
    grids, defaults = given.get("grid", []), given.get("defaults", {})
    if (
        not isinstance(grids, list)
        or not grids
        or not all(isinstance(grid, dict) for grid in grids)
    ):
        raise UsageError(f"study {name} without a grid", "[[grid]] and its options")
    if not isinstance(defaults, dict):
        raise UsageError(f"study {name}: defaults {defaults!r}", "[defaults] and options")
    _named(f"study {name}, defaults: option", defaults, _OPTIONS)
    cells: list[Cell] = []
    for number, grid in enumerate(grids, start=1):
        title = str(grid.get("name", f"grid {number}"))
        _named(f"study {name}, {title}: option", grid, ("name", *_OPTIONS))
        if title in grids_of(cells):
            raise UsageError(
                f"study {name}: two grids with the name {title}", "a name for each", 'name = "..."'
            )
        options = {
            **defaults,
            **{key: value for key, value in grid.items() if key != "name"},
            **changes,
        }
        for chosen in _combinations(f"study {name}, {title}", options):
            own = references.get(_dataset(chosen))
            found = chosen if own is None else {**chosen, "reference": own}
            cells.append(Cell(title, _without_idle(changes, found)))
        if len(cells) > MOST_CELLS:
            raise UsageError(
                f"study {name}: more than {MOST_CELLS:,} runs", "fewer grids, or shorter lists"
            )
    _named("grid", only, grids_of(cells))
    _named(
        "a reference for the data set",
        references,
        dict.fromkeys(_dataset(cell.options) for cell in cells),
    )
    kept = tuple(cell for cell in cells if not only or cell.grid in only)
    for cell in kept:
        _check(name, cell)
    for option in changes:
        if not any(option in cell.options for cell in kept):
            raise UsageError(
                f"study {name}: {spelled(option)} has no effect on any of its runs",
                hint=f"leave out {spelled(option)}",
            )
    digest = sha256_bytes(text.encode())
    return Spec(
        name,
        str(given.get("title", name)),
        str(given.get("published", "")),
        digest,
        kept,
        tuple(cells),
    )


def _named(what: str, asked: Iterable[str], there: Collection[str]) -> None:
    missing = [name for name in asked if name not in there]
    if missing:
        raise UsageError(f"{what} {missing[0]!r}", ", ".join(there))


def _without_idle(changes: Iterable[str], cell: dict[str, Any]) -> dict[str, Any]:
    """The cell without those of the changes that it makes no use of."""
    asked = {**_DEFAULTS, **cell}
    unused = {option for option in changes if option in USES and idle(option, asked)}
    return {option: value for option, value in cell.items() if option not in unused}


def _dataset(options: dict[str, Any]) -> str:
    return str(options.get("dataset", Request.dataset))


def _combinations(where: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    """The options of each cell. Numbers become text where options are exact text."""
    values = [value if isinstance(value, list) else [value] for value in options.values()]
    empty = [key for key, value in zip(options, values, strict=True) if not value]
    if empty:
        raise UsageError(f"{where}: {empty[0]} = []", "at least one value")
    if prod(map(len, values)) > MOST_CELLS:
        raise UsageError(
            f"{where}: {prod(map(len, values)):.3g} runs",
            f"{MOST_CELLS:,} at most",
            "shorter lists",
        )
    found = [dict(zip(options, chosen, strict=True)) for chosen in product(*values)]
    for cell in found:
        for key in _EXACT:
            if isinstance(cell.get(key), (int, float)) and not isinstance(cell[key], bool):
                cell[key] = str(cell[key])
        if isinstance(cell.get("features"), int):
            cell["features"] = str(cell["features"])
    try:
        found = [filled(cell) for cell in found]
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    if any("radius" not in cell for cell in found):
        hint = 'a number or a list, such as radius = ["10", "20"], or a region with a radius'
        raise UsageError(f"{where}: no radius", hint)
    return found


def _check(name: str, cell: Cell) -> None:
    """Raise UsageError, with the grid's name, for options of the wrong type or that do not fit each
    other."""
    try:
        cell.request()
    except UsageError as error:
        raise UsageError(f"study {name}, {cell.grid}: {error}") from error
