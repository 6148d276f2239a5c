"""Copy what a finished `make verify` run says into this folder: summary, table, images and a
gallery of witnesses.

python reports/quickstart/make.py RUN_DIRECTORY
python reports/quickstart/make.py --records

The second writes summary and table again from the counts in summary.json.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from relrob.domain.record import WitnessView
from relrob.registry import load
from relrob.report.run.table import table_markdown
from relrob.report.run.wording import region_words
from relrob.report.run.write import summary_json
from relrob.store.header import Header
from relrob.store.run_directory import Store
from relrob.store.summary import Summary
from relrob.system.files import write_atomic

HERE = Path(__file__).resolve().parent
PACKAGES = ("relrob", "numpy", "tensorflow", "keras", "ai-edge-litert", "onnxruntime")


def main(run: Path) -> None:
    """Write the report; nothing here is computed anew."""
    for name in ("summary.json", "table.md", "images.csv"):
        write_atomic(HERE / name, (run / name).read_bytes())
    with Store.read(run) as store:
        # One an image: the reference's, or that of an image which the quantised network alone lost.
        first: dict[int, WitnessView] = {}
        for view in store.witnesses():
            if view.network == "reference" or view.index not in first:
                first[view.index] = view
        views, region = [first[index] for index in sorted(first)], region_words(header(run))
        load("relrob.report.run.picture:gallery")(views, HERE / "gallery.png", 8, region)
        provenance = {
            "command": "relrob verify --radius 20 --step 0.25",
            "content_sha256": store.content_sha256(),
            "seconds_of_work": round(sum(store.seconds().values()), 1),
            "machine": f"{platform.machine()}, {platform.system()}, "
            f"Python {platform.python_version()}",
            "packages": {name: version(name) for name in PACKAGES},
        }
    write_atomic(HERE / "provenance.json", json.dumps(provenance, indent=2) + "\n")


def header(run: Path) -> Header:
    """The header of the run's summary."""
    return Header.of(json.loads((run / "summary.json").read_text(encoding="utf-8")))


def again() -> None:
    """summary.json and table.md in the form of this relrob; the counts stay."""
    document = json.loads((HERE / "summary.json").read_text(encoding="utf-8"))
    summary = Summary.of(document)
    write_atomic(HERE / "summary.json", summary_json(summary))
    write_atomic(HERE / "table.md", table_markdown(summary))


if __name__ == "__main__":
    again() if sys.argv[1] == "--records" else main(Path(sys.argv[1]))
