"""The documentation site: it builds without a warning, its pages ask nothing of the network, and
all can read them, in light and in dark."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import AXE, Browser, SiteTab, axe_source, running
from tests.support import ROOT

BUILD = ROOT / "docs" / "site" / "build.py"
OUTSIDE = re.compile(r'(?:src|srcset)="(?:https?:)?//[^"]+"|<link[^>]+href="(?:https?:)?//[^"]+"')
CSS = re.compile(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built."""
    for name in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}: pip install 'relrob[docs]'")
    if not BUILD.is_file():
        pytest.skip("the documents are not beside the tests")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(BUILD), str(out)], text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_every_document_is_a_page(site: Path) -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert (site / "docs" / f"{path.stem}.html").is_file(), path.name
    assert (site / "index.html").is_file() and (site / "README.html").is_file()


def test_pages_ask_nothing_of_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert not OUTSIDE.search(page.read_text(encoding="utf-8")), page.name
    for sheet in site.rglob("*.css"):
        assert not CSS.search(sheet.read_text(encoding="utf-8")), sheet.name


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith(("mailto:", "data:")):
                assert (page.parent / link).exists(), (page.name, link)


def test_nothing_of_cog_is_left(site: Path) -> None:
    assert not any("[[[" in page.read_text() for page in site.rglob("docs/cli.html"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["index", "README", "docs/start", "docs/verdicts", "docs/radius"])
def test_main_pages_can_be_read_by_all(
    site: Path, browser: Browser, page: str, width: int, scheme: str
) -> None:
    """axe finds nothing, all that a page asks for is there, and nothing sticks out of it."""
    source, media = axe_source(), {"prefers-color-scheme": scheme}
    tab = SiteTab(browser, site, f"{page}.html", media=media, width=width)
    tab.value(source + ";0")
    assert tab.value(AXE) == []
    assert tab.missing == [] and tab.complaints == []
    assert tab.value("document.documentElement.scrollWidth") <= width
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert (tab.value(shade) < 128) is (scheme == "dark")
    tab.close()
