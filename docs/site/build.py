"""Build the documentation site: `python docs/site/build.py OUT`.

The pages are the Markdown files of the repository, in the same folders, so their links work here as
they do in a repository browser. Nothing is fetched, and a warning is an error.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parents[2]
# The pages beside docs/*.md, and what pages show or link to.
BESIDE = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "PERFORMANCE.md",
    "CHANGELOG.md",
    "reports/**/README.md",
    "reports/*.md",
    "reports/quickstart/table.md",
)
SHOWN = ("docs/site/static/*", "docs/pictures/*", "reports/**/*.png", "reports/**/*.svg")
# What the theme leaves out for readers by ear and by keyboard: levels of headings, names of
# landmarks, code and tables that scroll.
_MENDED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}
_GENERATED = re.compile(r"<!-- \[\[\[cog.*?\]\]\] -->|<!-- \[\[\[end\]\]\] -->", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def lay_out(folder: Path) -> list[str]:
    """Copy all pages and what they show; returns the names of the pages."""
    pages = sorted({*ROOT.glob("docs/*.md"), *(each for g in BESIDE for each in ROOT.glob(g))})
    shown = [each for pattern in SHOWN for each in ROOT.glob(pattern) if each.is_file()]
    known = {*pages, *shown}
    for path in (*pages, *shown):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in pages:
            target.write_text(page_text(path, known), encoding="utf-8")
        else:
            shutil.copy(path, target)
    (folder / "index.md").write_text(
        (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8"), encoding="utf-8"
    )
    return [str(path.relative_to(ROOT)) for path in pages]


def page_text(path: Path, known: set[Path]) -> str:
    """The text of a page without the marks of generated parts. Links to what is no page of the site
    (a folder, a program) become their words."""

    def linked(found: re.Match[str]) -> str:
        words, link = found.groups()
        target = (path.parent / link.partition("#")[0]).resolve()
        if "://" in link or link.startswith(("#", "mailto:")) or target in known:
            return found[0]
        readme = target / "README.md"
        if readme in known:
            return f"[{words}]({link.rstrip('/')}/README.md)"
        return words

    return _LINK.sub(linked, _GENERATED.sub("", path.read_text(encoding="utf-8")))


def main(out: Path) -> int:
    """Build into `out`; returns the exit code of Sphinx."""
    with tempfile.TemporaryDirectory() as name:
        lay_out(Path(name))
        settings = ["-W", "--keep-going", "-q", "-c", str(ROOT / "docs" / "site")]
        code = build_main(["-b", "html", *settings, "-d", f"{name}/.doctrees", name, str(out)])
    for page in out.rglob("*.html"):
        page.write_text(mended(page.read_text(encoding="utf-8")), encoding="utf-8")
    return code


def mended(text: str) -> str:
    """A page of the theme that readers by ear and by keyboard can use."""
    for found, better in _MENDED.items():
        text = text.replace(found, better)
    return text


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
