"""The page of a run: what it says, its size, its bytes, what it escapes."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from relrob.domain.record import Record, Set
from relrob.report.class_names import class_name
from relrob.report.html import rows, thumbnails
from relrob.report.html.page import html
from relrob.report.html.run_page import judged, run_page
from relrob.report.html.thumbnails import Room
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import make_header, make_record
from tests.report.html.made_runs import made_run

MOST = 1_500_000
SCRIPT = 8192


class Text(HTMLParser):
    """The words of a page, by the section that they stand in, and what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: dict[str, str] = {}
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._section, self._skipped = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._skipped = tag in ("style", "script")
        if tag == "section":
            self._section = given.get("id", given.get("aria-labelledby", ""))
        if "id" in given:
            self.ids.append(given["id"])
        self.sources += [given[name] for name in ("src", "srcset", "data") if name in given]
        if "href" in given:
            (self.links if tag == "a" else self.sources).append(given["href"])

    def handle_endtag(self, tag: str) -> None:
        self._skipped = False

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.words[self._section] = self.words.get(self._section, "") + data


@pytest.fixture(scope="module")
def small() -> str:
    """A page of a few images of every set."""
    return html(run_page(made_run(28)))


def test_a_page_of_1000_images_is_small_and_has_a_row_for_each() -> None:
    text = html(run_page(made_run(1000)))
    assert len(text.encode()) <= MOST
    found = Text(text)
    assert len(found.ids) == len(set(found.ids))
    assert {f"i{index}" for index in range(1000)} <= set(found.ids)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert text == html(run_page(made_run(1000)))


def test_the_script_is_small() -> None:
    assert len((files("relrob.report.html") / "script.js").read_bytes()) <= SCRIPT


def test_nothing_is_fetched(small: str) -> None:
    sources = Text(small).sources
    assert sources
    assert all(source.startswith("data:") for source in sources)
    style = re.search(r"<style>(.*?)</style>", small, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1] and "@import" not in style[1]
    assert "://" not in small.replace("http://www.w3.org", "")


def test_the_verdict_comes_first_and_every_part_is_there(small: str) -> None:
    words = Text(small).words
    assert "Robustness is lost on 4 of 8 images" in words["verdict"]
    assert "Robust means that no image of the region fools the network" in words["verdict"]
    assert list(words)[:2] == ["", "verdict"]
    sections = ("sets", "worst", "classes", "layers", "attacks", "images", "provenance", "glossary")
    assert [name for name in words if name in sections] == list(sections)
    assert "relrob verify --radius 20" in words["provenance"]
    assert "b" * 64 in words["provenance"] and "c" * 64 in words["provenance"]
    assert "attacks 7" in words["provenance"] and "12.5 s" not in small
    assert "pgd" in words["attacks"] and "Alarm: silent" in words["attacks"]
    assert "dense 2" in words["layers"] and "0.700" in words["layers"]
    assert "First layer whose rounding flips it: dense 2." in words["worst"]


def test_lost_images_come_first_the_clearest_failure_before_others(small: str) -> None:
    titles = re.findall(r"<h3>Image (\d+), class \d+ <span[^>]*>([^<]*)<", small)
    lost = [record.index for record in map(make_record, range(28)) if record.set is Set.RFP]
    assert [int(index) for index, _ in titles[: len(lost)]] == lost
    assert {badge for _, badge in titles[: len(lost)]} <= {
        "robustness lost",
        "wrong with no change at all",
    }


def test_what_has_no_row_is_said_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST", 10)
    words = Text(html(run_page(made_run(28)))).words["images"]
    assert "18 images have no row here" in words
    every = {record.index for record in map(make_record, range(28))}
    shown = {int(index) for index in re.findall(r"^\s*(\d+)$", words, re.MULTILINE)}
    assert shown <= every


def test_ranges_are_exact() -> None:
    assert rows.ranges([5, 1, 2, 3, 9]) == "1-3, 5, 9"


def test_pictures_stop_at_the_budget_and_the_number_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thumbnails, "BUDGET", 3000)
    run = made_run(28)
    monkeypatch.setattr("relrob.report.html.images.Room", lambda: Room(3000))
    text = html(run_page(run))
    said = re.search(r"(\d+) pictures were left out", text)
    assert said is not None
    assert int(said[1]) == text.count('class="nopic"')


def test_text_from_files_is_escaped_and_capped() -> None:
    bad = "<script>alert(1)</script>\"'&\u202e" + "x" * 5000
    dataset = {"name": bad, "split": "test", "images": 7, "sha256": "e" * 64, "classes": [bad] * 10}
    header = make_header(7)
    networks = {name: {**header[name], "path": bad} for name in ("reference", "quantised")}
    text = html(run_page(made_run(7, None, dataset=dataset, **networks)))
    assert "<script>alert" not in text and "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "characters ..." in text and len(text) < 400_000


def _summary(*records: Record) -> Summary:
    return summarise(records, make_header(len(records)), 0.0)


def test_no_verdict_hides_what_is_undecided() -> None:
    kept, lost, open_ = make_record(0), make_record(1), make_record(5)
    robust_open = replace(open_, index=20, reference_verdict="ROBUST", quantised_verdict="UNKNOWN")
    both_open = replace(robust_open, index=21, reference_verdict="UNKNOWN")
    assert judged(_summary(kept)) == (
        "Robustness is kept on the one image",
        "good",
    )
    assert judged(_summary(kept, lost))[1] == "bad"
    words, tone = judged(_summary(kept, robust_open))
    assert words == "Robustness is kept on 1 of 2 images, 1 undecided" and tone == "open"
    assert judged(_summary(kept, both_open))[1] == "open"
    assert judged(_summary(both_open))[0].startswith("Undecided")
    assert judged(_summary(make_record(6)))[1] == "open"


def test_a_search_proves_nothing() -> None:
    header = make_header(1)
    header["region"]["kind"] = "search"
    words, tone = judged(summarise([make_record(0)], header, 0.0))
    assert words.startswith("Nothing is proved") and tone == "open"


def test_few_images_of_a_class_are_not_drawn(small: str) -> None:
    assert "fewer than 10 images" in Text(small).words["classes"]
    many = Text(html(run_page(made_run(280)))).words["classes"]
    assert "fewer than 10 images\n" not in many


def test_classes_have_their_names() -> None:
    assert class_name(1, ("cat", "dog")) == "1 dog" and class_name(4, ("cat",)) == "4"
