"""How long a browser takes to open a page of 1,000 images, and how large it is.

python benchmarks/pages.py [--images 1000] [--times 7]

Pages of a run with curves of radii, and of a search for radii, are made of synthetic records and
opened in Chromium, each in a new tab. The time is that from the navigation until everything was
laid out and the script had run; the answer comes from memory, so no network counts. Beside it
stands the work of the page's own thread, which other programs on the machine do not lengthen. Exit
code 1 where the median of a page is a second or more, or its size above 1.5 MB.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from relrob.report.html.page import html
from relrob.report.html.radius_page import curves_section, radius_page
from relrob.report.html.run_page import run_page
from tests.browser import Browser, Tab, running
from tests.make_radii import made_data
from tests.report.html.made_runs import made_run

SECONDS: Final = 1.0
BYTES: Final = 1_500_000
# Milliseconds from the navigation to the end of its load event and a layout of the whole page.
OPENED: Final = """(() => { document.documentElement.scrollHeight;
  const [entry] = performance.getEntriesByType('navigation');
  return entry.loadEventEnd; })()"""


def opened(browser: Browser, text: str) -> tuple[float, float]:
    """Seconds until the page was there, and of its thread's work."""
    tab = Tab(browser, text)
    while not (milliseconds := float(tab.value(OPENED))):
        pass  # the event itself goes on
    worked = tab.worked()
    tab.close()
    return milliseconds / 1000, worked


def main() -> int:
    """Print a line for each page."""
    parser = argparse.ArgumentParser(description="open pages in Chromium")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--times", type=int, default=7)
    given = parser.parse_args()
    radii = made_data(given.images)
    section = curves_section(radii, "radii", frozenset(range(given.images)))
    pages = {
        "run": html(run_page(made_run(given.images), section)),
        "radius": html(radius_page(radii)),
    }
    bad = 0
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as browser:
        opened(browser, "<!doctype html><title>first</title>")
        for name, text in pages.items():
            both = [opened(browser, text) for _ in range(given.times)]
            taken, worked = zip(*both, strict=True)
            middle, size = statistics.median(taken), len(text.encode())
            bad += middle >= SECONDS or size > BYTES
            sys.stdout.write(
                f"{name}: {given.images:,} images, {size:,} bytes, "
                f"{1000 * middle:.0f} ms (median of {given.times}, "
                f"{1000 * min(taken):.0f} to {1000 * max(taken):.0f}), "
                f"{1000 * statistics.median(worked):.0f} ms of work\n"
            )
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
