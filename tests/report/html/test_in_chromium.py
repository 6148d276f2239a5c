"""Pages as readers see them: Chromium with axe-core, without scripts, under a strict policy, on
phones, in the dark, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from relrob.report.html.page import html
from relrob.report.html.radius_page import curves_section, radius_page
from relrob.report.html.run_page import run_page
from tests.browser import AXE, URL, Browser, Tab, axe_source, running
from tests.make_radii import made_data
from tests.report.html.made_runs import made_run
from tests.report.html.test_run_page import MOST

POLICY: Final = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SHOWN: Final = (
    "[...document.querySelectorAll('form.filter')].at(-1).querySelector('output').textContent"
)
ROWS: Final = "document.querySelectorAll('tr[id^=i]').length"
# What sticks out of the page to the right, outside of windows that scroll.
WIDE: Final = """[...document.body.querySelectorAll('*')].filter(each =>
  !each.closest('.scroll,.skip') && each.getBoundingClientRect().right > innerWidth + 1).length"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def small() -> str:
    """A run with the curves of a search for radii."""
    return html(run_page(made_run(42), curves_section(made_data(42), "radii", frozenset())))


@pytest.fixture(scope="module")
def radii() -> str:
    """A search for radii."""
    return html(radius_page(made_data(42)))


@pytest.fixture(scope="module")
def large() -> str:
    """A run of 1,000 images."""
    return html(run_page(made_run(1000), curves_section(made_data(1000), "radii", frozenset())))


@pytest.mark.parametrize("media", [{}, {"prefers-color-scheme": "dark"}], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("which", ["small", "radii"])
def test_axe_finds_nothing(
    browser: Browser,
    request: pytest.FixtureRequest,
    which: str,
    media: dict[str, str],
    width: int,
) -> None:
    tab = Tab(browser, request.getfixturevalue(which), media=media, width=width)
    tab.value(axe_source() + ";0")
    assert tab.value(AXE) == []
    tab.close()


def test_axe_finds_nothing_on_a_page_of_1000_images(browser: Browser, large: str) -> None:
    assert len(large.encode()) <= MOST
    tab = Tab(browser, large)
    tab.value(axe_source() + ";0")
    assert tab.value(AXE) == []
    tab.close()


def test_faults_are_noticed(browser: Browser, small: str) -> None:
    """What the other tests look for can be found."""
    bad = small.replace(' alt="', ' data-alt="').replace(
        "<footer>", "<footer style='width:9999px'>"
    )
    bad = bad.replace("</main>", "</main><img src='https://example.test/a.png' alt=''>")
    tab = Tab(browser, bad, width=360)
    assert tab.value("document.documentElement.scrollWidth") > 360
    assert tab.value(WIDE) > 0
    assert any("Content Security Policy" in each for each in tab.complaints)
    tab.value(axe_source() + ";0")
    assert any(each.startswith("image-alt") for each in tab.value(AXE))
    tab.close()


def test_the_console_is_silent_and_nothing_is_requested(browser: Browser, small: str) -> None:
    tab = Tab(browser, small)
    assert tab.requests == [URL]
    assert tab.complaints == []
    tab.close()


def test_a_page_of_1000_images_filters_and_sorts(browser: Browser, large: str) -> None:
    tab = Tab(browser, large)
    assert tab.value(ROWS) == 1000
    assert tab.value(SHOWN) == "1000 of 1000 rows"
    choose = """(() => { const form = [...document.querySelectorAll('form.filter')].at(-1);
      form.querySelector('select').value = 'R^FP';
      form.querySelector('select').dispatchEvent(new Event('change')); })()"""
    tab.value(choose)
    lost = len([index for index in range(1000) if index % 7 == 1])
    assert tab.value(SHOWN) == f"{lost} of 1000 rows"
    visible = "[...document.querySelectorAll('tr[id^=i]')].filter(row => row.offsetHeight).length"
    assert tab.value(visible) == lost
    click = """[...document.querySelectorAll('#' + [...document.querySelectorAll('form.filter')]
      .at(-1).dataset.for + ' thead button')][0]"""
    first = "document.querySelector('tr[id^=i]').id"
    tab.value(f"{click}.click()")
    assert tab.value(first) == "i0"
    tab.value(f"{click}.click()")
    assert tab.value(first) == "i999"
    assert tab.value(f"{click}.closest('th').getAttribute('aria-sort')") == "descending"
    assert tab.complaints == []
    tab.close()


@pytest.mark.parametrize(("which", "rows"), [("small", 42), ("radii", 42), ("large", 1000)])
def test_without_scripts_every_row_is_there_and_no_dead_control(
    browser: Browser, request: pytest.FixtureRequest, which: str, rows: int
) -> None:
    tab = Tab(browser, request.getfixturevalue(which), scripts=False)
    assert tab.value(ROWS) == rows
    assert tab.value("document.querySelectorAll('thead button').length") == 0
    seen = "[...document.querySelectorAll('form')].filter(each => each.offsetHeight).length"
    assert tab.value(seen) == 0
    tab.close()


@pytest.mark.parametrize(("which", "rows"), [("small", 42), ("radii", 42), ("large", 1000)])
def test_a_strict_policy_shows_pictures_and_style(
    browser: Browser, request: pytest.FixtureRequest, which: str, rows: int
) -> None:
    text = request.getfixturevalue(which)
    tab = Tab(browser, text, headers={"Content-Security-Policy": POLICY})
    assert tab.value(ROWS) == rows
    assert tab.value("[...document.images].every(each => each.naturalWidth > 0)") is True
    assert tab.value("document.images.length") > 40
    assert (
        tab.value("getComputedStyle(document.querySelector('.verdict')).borderLeftWidth") != "0px"
    )
    told = [each for each in tab.complaints if "script" not in each.lower()]
    assert told == [] and tab.requests == [URL]
    tab.close()


@pytest.mark.parametrize("width", [1280, 768, 320])
@pytest.mark.parametrize("which", ["small", "radii"])
def test_nothing_sticks_out(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int
) -> None:
    tab = Tab(browser, request.getfixturevalue(which), width=width)
    assert tab.value(WIDE) == 0
    assert tab.value("document.documentElement.scrollWidth") <= width
    tab.close()


def test_it_prints(browser: Browser, small: str, tmp_path: Path) -> None:
    tab = Tab(browser, small)
    data = tab.printed()
    (tmp_path / "page.pdf").write_bytes(data)
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") >= 1
    tab.close()
