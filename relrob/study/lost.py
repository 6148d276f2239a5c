"""Warnings of a quantised network that is much worse than its reference: a study of the two says
little."""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)
MUCH: Final = 0.01


def accuracy_warnings(reference: float, quantised: float) -> list[str]:
    """One text where the quantised network's accuracy is more than a point below the reference's;
    logged too."""
    if reference - quantised <= MUCH + 1e-9:
        return []
    text = (
        f"the quantised network is right on {quantised:.2%} of the images, the reference on {reference:.2%}: "
        "it has lost more than a point"
    )
    log.warning("%s", text)
    return [text]
