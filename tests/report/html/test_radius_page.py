"""The pages of searches for critical radii, and their curves beside runs and audits."""

from __future__ import annotations

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import relrob
from relrob.api.page import page
from relrob.api.results import RadiusResults
from relrob.domain.radius import Interval
from relrob.errors import StoreError
from relrob.report.html import curves
from relrob.report.html.page import html
from relrob.report.html.radius_page import judged, radius_page
from relrob.store.radius_directory import FILE
from relrob.store.radius_summary import RadiusSummary
from tests.cli_case import Case
from tests.make_radii import (
    CONFIG,
    UNIT,
    made_data,
    made_header,
    made_interval,
    made_record,
    made_search,
    made_summary,
)
from tests.report.html.test_run_page import MOST, Text


def test_a_page_of_1000_images_is_small_and_has_a_row_for_each() -> None:
    text = html(radius_page(made_data(1000)))
    assert len(text.encode()) <= MOST
    found = Text(text)
    assert len(found.ids) == len(set(found.ids))
    assert {f"i{index}" for index in range(1000)} <= set(found.ids)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert text == html(radius_page(made_data(1000)))


def test_the_page_says_what_was_found() -> None:
    text = html(radius_page(made_data(60)))
    words = Text(text).words
    less = made_summary(60).compared["less"]
    assert less == 30
    assert f"Less robust after quantisation on {less} of 54 images" in words["verdict"]
    assert "n = 54 images" in words["radii"]
    assert "b" * 64 in words["provenance"] and "c" * 64 in words["provenance"]
    assert "Alarm: silent" in words["provenance"] and "12.5" not in words["provenance"]
    cards = re.findall(r"<h3>Image (\d+), class", text)
    records = sorted(
        (made_record(index) for index in range(60) if made_record(index).compared == "less"),
        key=lambda record: -(record.cost[0] or 0),
    )
    assert [int(index) for index in cards] == [record.index for record in records[:12]]
    assert f"{less - 12} more such images" in words["worst"]


@given(
    st.lists(
        st.tuples(st.integers(-1, 30), st.integers(1, 20), st.booleans()), min_size=1, max_size=25
    ),
    st.integers(0, 55),
)
def test_curves_are_the_shares_at_every_radius(drawn: list[tuple[int, int, bool]], at: int) -> None:
    """Both step functions against a count of the images one by one."""
    found = [
        Interval(None, Fraction(0), True, "", "clean image", 1)
        if low < 0
        else made_interval(low, None if endless else low + more)
        for low, more, endless in drawn
    ]
    lower, upper = curves.edges(found, 1.0)
    proved, open_, broken = curves.shares(found, at * UNIT)
    assert proved + open_ + broken == len(found)
    assert proved == sum(low >= at for low, _, _ in drawn)
    assert broken == sum(
        low < 0 or (not endless and low + more <= at) for low, more, endless in drawn
    )
    # At a step the lower curve still has the share before it, and the upper one that behind it.
    before = [lower[0][1], *(share for radius, share in lower[1:] if radius < float(at * UNIT))]
    behind = [share for radius, share in upper if radius <= float(at * UNIT)]
    assert before[-1] == pytest.approx(proved / len(found))
    assert behind[-1] == pytest.approx(1 - broken / len(found))


def test_few_images_have_no_curve_and_the_page_says_so() -> None:
    text = html(radius_page(made_data(9)))
    assert "No curve is drawn of 9 images" in Text(text).words["radii"]
    assert 'class="curves"' not in text
    assert 'class="curves"' in html(radius_page(made_data(12)))


def test_the_curve_holds_its_bands_within_its_frame() -> None:
    text = html(radius_page(made_data(200)))
    (chart,) = re.findall(r'<svg class="curves".*?</svg>', text)
    numbers = [
        [float(value) for value in re.findall(r"-?\d+\.?\d*", path)]
        for path in re.findall(r' d="([^"]*)" class="f-', chart)
    ]
    assert len(numbers) == 2
    assert all(0 <= value <= 480 for path in numbers for value in path)


def test_no_verdict_hides_what_is_open() -> None:
    def of(*indices: int) -> RadiusSummary:
        return RadiusSummary(made_header(1), tuple(map(made_record, indices)), 1.0)

    assert judged(of(0, 2, 4))[1] == "bad"
    assert judged(of(0, 1)) == ("No certain loss; 1 of 2 images are open", "open")
    words, tone = judged(of(1, 3))
    assert words.startswith("Undecided on all 2 images") and tone == "open"
    assert judged(of(0, 2))[1] == "good" and judged(of(0))[0].endswith("the one image")
    assert judged(of(9))[1] == "open"


def test_hostile_names_stay_text() -> None:
    bad = "<script>alert(1)</script>\u202e" + "x" * 5000
    header = made_header(12)
    networks = {name: {**header[name], "path": bad} for name in ("reference", "quantised")}
    dataset = {**header["dataset"], "classes": [bad] * 10}
    text = html(radius_page(made_data(12, dataset=dataset, **networks)))
    assert "<script>alert" not in text and "\u202e" not in text


def test_a_result_shows_its_head_in_a_notebook(tmp_path: Path) -> None:
    shown = RadiusResults(made_summary(60), tmp_path)._repr_html_()
    assert "Less robust after quantisation on 30 of 54 images" in shown
    assert "<script" not in shown and shown.count("<div") == shown.count("</div")


def test_relrob_page_writes_the_page_of_a_search(tmp_path: Path) -> None:
    made_search(tmp_path / "radii", 30, kept=(40,))
    text = page(tmp_path / "radii").read_text()
    assert text == page(tmp_path / "radii", tmp_path / "again.html").read_text()
    ids = Text(text).ids
    assert "i29" in ids and "i40" not in ids


def test_an_unfinished_or_damaged_search_is_refused_in_one_line(tmp_path: Path) -> None:
    place = made_search(tmp_path / "radii", 12)
    document = json.loads((place / "radius.json").read_text())
    for change in ({"run": "0" * 64}, {"dataset": {"indices": "0:13"}}):
        (place / "radius.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(StoreError, match="is damaged"):
            page(place)
    for name in ("dataset", "quantised"):
        edited = {**document, name: {**document[name], "sha256": "0" * 64}}
        (place / "radius.json").write_text(json.dumps(edited))
        with pytest.raises(StoreError, match=rf"{name}\.sha256"):
            page(place)
    (place / "radius.json").unlink()
    with pytest.raises(StoreError, match="not finished"):
        page(place)
    with pytest.raises(StoreError, match="no finished run"):
        page(tmp_path)


@pytest.fixture(scope="module")
def both(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and in its folder a search of the same pair on other images."""
    folder = tmp_path_factory.mktemp("both")
    pair, data = (case.reference, case.simulated), str(case.data)
    relrob.verify(
        *pair, dataset=data, region="linf", radius="0.05", images="0:6", out=folder / "run"
    )
    relrob.radius(
        *pair,
        dataset=data,
        images="0:12",
        max_radius="1/10",
        precision="1/100",
        out=folder / "run" / "radii",
    )
    return folder / "run"


def test_a_search_in_the_folder_radii_of_a_run_has_its_curves_on_the_page(
    both: Path, tmp_path: Path
) -> None:
    own = (both / "radii" / "report.html").read_text()
    assert own == page(both / "radii", tmp_path / "own.html").read_text()
    assert "radii" not in Text((both / "report.html").read_text()).words
    text = page(both).read_text()
    words = Text(text).words["radii"]
    assert "From the search in radii/" in words and "6 of these 12 are images of this run" in words
    names = list(Text(text).words)
    assert names.index("attacks") < names.index("radii") < names.index("images")
    assert page(both).read_text() == text


def test_a_search_of_another_pair_is_not_shown_and_the_page_says_why(
    both: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "run"))
    shutil.rmtree(copy / "radii")
    made_search(copy / "radii", 12, CONFIG)
    words = Text(page(copy).read_text()).words["radii"]
    assert "is not shown: it is of other networks" in words
    (copy / "radii" / FILE).write_bytes(b"no database" * 100)
    assert "is not shown" in Text(page(copy).read_text()).words["radii"]


def test_an_audit_shows_the_curves_of_the_search_in_its_folder(
    case: Case, both: Path, tmp_path: Path
) -> None:
    pair, data = (case.reference, case.simulated), str(case.data)
    place = tmp_path / "audit"
    relrob.audit(*pair, dataset=data, images="0:3", time="20s", out=place)
    shutil.copytree(both / "radii", place / "radii")
    words = Text(page(place).read_text()).words["radii"]
    assert "3 of these 12 are images of this run" in words
