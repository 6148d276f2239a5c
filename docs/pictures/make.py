"""The pictures of docs/verdicts.md, made again: `python docs/pictures/make.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import relrob

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write ladder.png and witness.png."""
    relrob.ladder(4, radius=10, step="1/4", features=6, drawing=HERE / "ladder.png")
    with tempfile.TemporaryDirectory() as folder:
        relrob.demo(Path(folder) / "tour")
        relrob.explain(Path(folder) / "tour" / "witness", 4, picture=HERE / "witness.png")


if __name__ == "__main__":
    main()
