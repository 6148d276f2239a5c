"""The figures of the house stay within their limits (docs/architecture.md); the script that
counts them can count."""

from __future__ import annotations

import ast
from statistics import median

import pytest

from tests import architecture as house
from tests.architecture import Source

LIBRARY = house.sources(*house.LIBRARY)
EVERYTHING = [*LIBRARY, *house.sources("tests", "benchmarks", "docs", "reports")]


def made(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text))


def test_four_modules_at_the_root_and_few_rooms_on_few_floors() -> None:
    assert house.root_modules() == ["__init__", "__main__", "errors", "registry"]
    assert len(house.packages()) <= 24
    assert len(house.layers()) <= 12


def test_no_cycle_and_no_import_inside_a_function() -> None:
    assert house.cycle(LIBRARY) == []
    assert house.inner_imports(LIBRARY) == []


def test_no_string_names_a_higher_floor() -> None:
    assert house.upward(LIBRARY) == []


def test_files_are_short_and_lines_are_narrow() -> None:
    assert [each.path for each in EVERYTHING if len(each.lines) > 400] == []
    assert house.too_wide(EVERYTHING) == []
    assert median(len(each.lines) for each in LIBRARY) <= 130


def test_few_files_ask_which_kind_of_region_something_is() -> None:
    assert len(house.asks_kinds(LIBRARY)) <= 2


def test_no_two_functions_share_ten_lines() -> None:
    assert house.repeated(LIBRARY) == []


def test_planted_faults_are_counted() -> None:
    one = made(
        "relrob/a.py", "from relrob.b import x\n\n\ndef f():\n    import os\n    return os\n"
    )
    two = made("relrob/b.py", "import relrob.a\n")
    assert set(house.cycle([one, two])) == {"relrob.a", "relrob.b"}
    assert house.cycle([one]) == []
    assert house.inner_imports([one, two]) == ["relrob/a.py:5"]
    assert house.too_wide([made("x.py", f"y = '{'z' * 95}'\n"), two]) == ["x.py:1"]


@pytest.mark.parametrize(
    ("asks", "counted"),
    [
        ("isinstance(r, Ball | Lattice)", True),
        ("not isinstance(r.points, (int, points.RungSet))", True),
        ("type(r) is BallSet", True),
        ("type(r) in {Search: 1}", True),
        ("Ball(r)", False),
        ("isinstance(Ball, type)", False),
        ("type(r) is int and Ball", False),
    ],
)
def test_questions_for_kinds_are_counted(asks: str, counted: bool) -> None:
    text = f"def f(r):\n    return {asks}\n"
    assert house.asks_kinds([made("relrob/c.py", text)]) == (["relrob/c.py"] if counted else [])
    assert house.asks_kinds([made("relrob/regions/c.py", text)]) == []


@pytest.mark.parametrize(
    ("path", "target", "counted"),
    [
        ("relrob/training/a.py", "relrob.compress.in_training.named:named", True),
        ("relrob/networks/a.py", "relrob_solvers.smt_ladder:", True),
        ("datasets/relrob_datasets/a.py", "relrob.api.train:train", True),
        ("relrob/attacks/__init__.py", "relrob.study.run:run", True),
        ("relrob/audit/__init__.py", "relrob.api.audit:audit", False),
        ("relrob/compress/a.py", "relrob.training.train:train", False),
        ("relrob/compress/a.py", "relrob.compress.graph:Graph", False),
        ("relrob/compress/a.py", "relrob.api.train", False),
        ("relrob/registry.py", "relrob_solvers.smt_ladder:Smt", False),
        ("relrob/__main__.py", "relrob.cli.main:main", False),
    ],
)
def test_strings_that_name_a_higher_floor_are_counted(
    path: str, target: str, counted: bool
) -> None:
    text = f'"""A file."""\n\nFOUND = load("{target}")\n'
    assert house.upward([made(path, text)]) == ([f"{path}:3 {target}"] if counted else [])


def test_patterns_for_kinds_are_counted() -> None:
    text = "match r:\n    case int() | Ladder():\n        x = 1\n"
    assert house.asks_kinds([made("relrob/c.py", text)]) == ["relrob/c.py"]


@pytest.mark.parametrize(("lines", "found"), [(9, 0), (10, 1)])
def test_shared_lines_are_counted_from_ten_on(lines: int, found: int) -> None:
    body = "".join(f"    a{number} = {number}\n" for number in range(lines))
    texts = [f'def {name}():\n    """{name}"""\n    {name} = 1\n{body}' for name in "fg"]
    sources = [made(f"relrob/{name}.py", text) for name, text in zip("fg", texts, strict=True)]
    assert len(house.repeated(sources)) == found
