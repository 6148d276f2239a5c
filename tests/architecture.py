"""The figures of the house: `python -m tests.architecture` prints them, and
`tests/test_architecture.py` checks them.

Everything is read from the source text; nothing is imported.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LIBRARY: Final = ("relrob", "solvers", "datasets")
COLUMNS: Final = 100
SHARED: Final = 10
# Regions, and their points around an image.
KINDS: Final = {"Ladder", "Search", "Ball", "Lattice", "RungSet", "BallSet"}
# Where it may be asked which kind of region something is.
ASKED_IN: Final = ("relrob/regions/", "relrob/bounding/", "relrob/certificates/", "solvers/")
# A name that is loaded later: "relrob.study.run:run".
TARGET: Final = re.compile(r"relrob[\w.]*:\w*")
# The function that a package lends under its own name stands in `api`, above it.
DOORS: Final = tuple(f"relrob/{name}/__init__.py" for name in ("attacks", "audit", "study"))


@dataclass(frozen=True)
class Source:
    """One Python file: its place relative to the repository, its text, its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.text.splitlines()

    @property
    def module(self) -> str:
        """The dotted name under which it is imported."""
        parts = Path(self.path).with_suffix("").parts
        parts = parts[1:] if parts[0] in ("solvers", "datasets") else parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*folders: str) -> list[Source]:
    """The Python files below these folders, in order."""
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [_source(path) for path in found]


def _source(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text))


def root_modules() -> list[str]:
    """The modules that stand loose in `relrob/`."""
    return sorted(path.stem for path in (ROOT / "relrob").glob("*.py"))


def packages() -> list[str]:
    """The packages directly below `relrob/`."""
    return sorted(path.parent.name for path in (ROOT / "relrob").glob("*/__init__.py"))


def layers() -> list[str]:
    """The import layers of the contract in pyproject.toml, the highest first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    return next(list(each["layers"]) for each in contracts if each["name"] == "floors")


def cycle(library: list[Source]) -> list[str]:
    """Modules that import each other in a circle; empty where none do. Imports for types count."""
    names = {source.module for source in library}
    graph = {source.module: set(_imported(source, names)) - {source.module} for source in library}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def _imported(source: Source, names: set[str]) -> Iterator[str]:
    """The modules of the library that a file imports."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from (name for name in (whole,) if name in names)
                if whole not in names and node.module in names:
                    yield node.module


def inner_imports(library: list[Source]) -> list[str]:
    """Places where a function imports something."""
    return [
        f"{source.path}:{node.lineno}"
        for source in library
        for function in _functions(source)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def _functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods; one inside another is part of that."""
    waiting: list[ast.AST] = [source.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        else:
            waiting += ast.iter_child_nodes(node)


def upward(library: list[Source]) -> list[str]:
    """Places of strings "module:name" that name a module of a higher floor than their own, which
    no import shows. Outside stand the tables of the registry, the doors, and the files of the root
    that are on no floor."""
    floors = {
        part: number
        for number, layer in enumerate(reversed(layers()), 1)
        for part in layer.split(" | ")
    }
    return [
        f"{source.path}:{node.lineno} {node.value}"
        for source in library
        if source.path != "relrob/registry.py"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if TARGET.fullmatch(node.value)
        if 0 < _floor(source.module, floors) < _floor(node.value.partition(":")[0], floors)
        if not (source.path in DOORS and node.value.startswith("relrob.api."))
    ]


def _floor(module: str, floors: dict[str, int]) -> int:
    """The floor of a module, 1 for the lowest; 0 where it is on none."""
    found = [floors[part] for part in floors if f"{module}.".startswith(f"{part}.")]
    return found[0] if found else 0


def too_wide(everything: list[Source]) -> list[str]:
    """Places of lines of more than `COLUMNS` columns."""
    return [
        f"{source.path}:{number}"
        for source in everything
        for number, line in enumerate(source.lines, 1)
        if len(line) > COLUMNS
    ]


def asks_kinds(library: list[Source]) -> list[str]:
    """Files outside `ASKED_IN` that ask by its class which kind of region, or of points, something
    is: by isinstance, by `type(x) is`, or by the pattern of a match."""
    return [
        source.path
        for source in library
        if not source.path.startswith(ASKED_IN) and any(map(_asks_kind, ast.walk(source.tree)))
    ]


def _asks_kind(node: ast.AST) -> bool:
    """Does a node compare a class with one of `KINDS`?"""
    if isinstance(node, ast.Call):
        return _calls(node, "isinstance") and _names_kind(*node.args[1:])
    if isinstance(node, ast.Compare):
        return any(_calls(side, "type") for side in ast.walk(node)) and _names_kind(node)
    return isinstance(node, ast.MatchClass) and _names_kind(node.cls)


def _calls(node: ast.AST, name: str) -> bool:
    """Is a node the call of a function of that name?"""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _names_kind(*nodes: ast.AST) -> bool:
    """Do these nodes name one of `KINDS`, bare or behind its module?"""
    inside = [each for node in nodes for each in ast.walk(node)]
    names = {each.id for each in inside if isinstance(each, ast.Name)}
    return bool(KINDS & (names | {each.attr for each in inside if isinstance(each, ast.Attribute)}))


def repeated(library: list[Source]) -> list[tuple[str, str]]:
    """Pairs of functions that share `SHARED` lines in a row, comments and docstrings aside."""
    seen: dict[tuple[str, ...], str] = {}
    pairs = set()
    for source in library:
        for function in _functions(source):
            name, body = f"{source.path}:{function.name}", _body(source, function)
            for start in range(len(body) - SHARED + 1):
                other = seen.setdefault(tuple(body[start : start + SHARED]), name)
                if other != name:
                    pairs.add((other, name))
    return sorted(pairs)


def _body(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The statements of a function, one text a line, as Python would write them."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return [line.strip() for each in statements for line in ast.unparse(each).splitlines()]


def ratio(library: list[Source], tests: list[Source]) -> float:
    """Lines of tests for each line of code; the conformance suite is a test."""
    suite = [source for source in library if source.path.startswith("relrob/testing/")]
    code = sum(len(source.lines) for source in library) - sum(len(each.lines) for each in suite)
    return (sum(len(each.lines) for each in tests) + sum(len(each.lines) for each in suite)) / code


def main() -> int:
    """Print every figure."""
    library, tests = sources(*LIBRARY), sources("tests")
    everything = [*library, *tests, *sources("benchmarks", "docs", "reports")]
    lengths = [len(source.lines) for source in library]
    long = [f"{each.path} ({len(each.lines)})" for each in everything if len(each.lines) > 400]
    told: dict[str, list[str]] = {
        "modules at the root": root_modules(),
        "packages": packages(),
        "import layers": layers(),
        "modules in a cycle": cycle(library),
        "strings that name a higher floor": upward(library),
        "imports inside functions": inner_imports(library),
        "files of more than 400 lines": long,
        f"lines of more than {COLUMNS} columns": too_wide(everything),
        "files that ask for kinds of regions": asks_kinds(library),
        f"functions that share {SHARED} lines": [" and ".join(pair) for pair in repeated(library)],
    }
    for what, found in told.items():
        shown = ", ".join(map(str, found[:12])) + (", ..." if len(found) > 12 else "")
        sys.stdout.write(f"{what}: {len(found)}{f' ({shown})' if found else ''}\n")
    sys.stdout.write(f"lines of a file, median: {median(lengths):g}; largest: {max(lengths)}\n")
    sys.stdout.write(f"lines of tests for a line of code: {ratio(library, tests):.2f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
