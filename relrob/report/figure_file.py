"""A Matplotlib figure as the bytes of a file: the same figure gives the same bytes. Imports
Matplotlib."""

from __future__ import annotations

import io
from typing import Any, Final

from matplotlib.figure import Figure

# Letters are outlines in SVG and whole fonts (type 42) in PDF, so that every reader shows them.
STYLE: Final[Any] = {"svg.hashsalt": "relrob", "svg.fonttype": "path", "pdf.fonttype": 42}
# Formats of a printed figure.
PRINTED: Final = ("svg", "pdf")
_DPI: Final = 150
_METADATA: Final[dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


def saved(figure: Figure, kind: str) -> bytes:
    """The figure as "svg", "pdf" or "png", without a date. The caller sets `STYLE` (rc_context)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return buffer.getvalue()


def files(name: str, figure: Figure) -> dict[str, bytes]:
    """NAME.svg and NAME.pdf of a figure."""
    return {f"{name}.{kind}": saved(figure, kind) for kind in PRINTED}
