"""The documents: links and anchors lead somewhere, names of modules and files exist, examples run,
and code cites what is there."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relrob.report.run.csv_file import COLUMNS
from tests.support import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = sorted(path for folder in ("relrob", "solvers") for path in (ROOT / folder).rglob("*.py"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"\brelrob(?:_solvers|_datasets)?(?:\.[a-z_][a-z_0-9]*)+")
FILE = re.compile(r"(?<![\w./-])(?:relrob|solvers|datasets|tests|benchmarks|reports)/[\w./-]*\w")
CITED = re.compile(r"\b(?:docs/)?[\w-]+\.md\b")
SECTION = re.compile(r'\b(docs/[\w-]+\.md), "([^"]+)"')
WRITTEN = {"table.md", "radius.md"}  # names of files that a run writes
PLACEHOLDER = re.compile(r"[A-Z]{3}")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """The document without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Anchors as GitHub makes them of headings: lower case, no punctuation, hyphens for spaces, a
    number for repetitions."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+?)\s*$", prose(path), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{n}" if n else slug for slug, most in found.items() for n in range(most + 1)}


def exists(name: str) -> bool:
    """Is there a module of that name, or an attribute of one?"""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.util.find_spec(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        if found is not None:
            module = importlib.import_module(".".join(parts[:length]))
            return length == len(parts) or hasattr(module, parts[length])
    return False


def examples(path: Path) -> Iterator[doctest.Example]:
    """Those of blocks of Python that show a prompt."""
    for kind, text in FENCE.findall(path.read_text(encoding="utf-8")):
        if kind == "python" and ">>>" in text:
            yield from doctest.DocTestParser().get_examples(text)


def test_the_map_has_one_whole_sentence_about_each_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = re.findall(r"^- `[\w/]+\.py`: (.*)$|^### [\w/]+/\n\n(.*)$", page, re.MULTILINE)
    entries = [one or other for one, other in told]
    assert len(entries) > 400
    # A second sentence or a number of a list; no whole sentence; code.
    cut = re.compile(r"(?<!Sec)(?<!\bal)[.?!] [^a-z]|Sec\.$|[?:]\.$|^\S+\.$|>>>| = \"")
    wrong = [
        text
        for text in entries
        if cut.search(text)
        or text[-1:] not in (".", "?")
        or text.count("(") != text.count(")")
        or text.count("`") % 2
    ]
    assert wrong == []


def test_there_is_something_to_check() -> None:
    assert len(DOCUMENTS) >= 8
    assert len(SOURCES) > 150
    assert sum(len(LINK.findall(prose(path))) for path in DOCUMENTS) > 40
    assert sum(len(list(examples(path))) for path in DOCUMENTS) > 10
    assert sum(len(SECTION.findall(path.read_text(encoding="utf-8"))) for path in SOURCES) > 5


def test_names_that_do_not_exist_are_noticed() -> None:
    assert (
        exists("relrob.domain.region")
        and exists("relrob.domain.region.Ladder")
        and exists("relrob.verify")
    )
    assert not exists("relrob.domain.nowhere") and not exists("relrob.nowhere.region")


def test_anchors_are_githubs(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "# R^0, `x` and |y|: why?\n\n## Two words\n\n```sh\n# no heading\n```\n\n## Two words\n"
    )
    assert anchors(path) == {"r0-x-and-y-why", "two-words", "two-words-1"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_names_of_modules_and_files_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in set(MODULE.findall(text)):
        assert exists(name), name
    for name in set(FILE.findall(text)):
        assert PLACEHOLDER.search(name) or list(ROOT.glob(name)) or list(ROOT.glob(f"{name}*")), (
            name
        )


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if any(examples(path))], ids=ids)
def test_examples_run(path: Path) -> None:
    text, told = list(examples(path)), list[str]()
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(doctest.DocTest(text, {}, ids(path), str(path), 0, None), out=told.append)
    assert not runner.failures, "".join(told)


def test_code_cites_documents_that_a_stranger_has() -> None:
    """With the section where one is named."""
    for path in SOURCES:
        text = " ".join(path.read_text(encoding="utf-8").split())
        for name in set(CITED.findall(text)) - WRITTEN:
            assert (ROOT / name).is_file(), f"{ids(path)} cites {name}"
        for name, heading in SECTION.findall(text):
            assert re.search(rf"^#+ {re.escape(heading)}$", prose(ROOT / name), re.MULTILINE), (
                f"{ids(path)}: {heading}"
            )


def test_the_interface_names_every_key_and_column() -> None:
    """docs/interface.md against the keys of a real summary and the columns of images.csv."""
    text = (ROOT / "docs" / "interface.md").read_text()
    told = set(re.findall(r"`([A-Za-z_^0-9]+)`", text))
    summary = json.loads((ROOT / "reports" / "quickstart" / "summary.json").read_text())
    given = {key for key in summary if not key.endswith("_bounds")}
    assert given - told == set()
    assert set(COLUMNS) - told == set()
