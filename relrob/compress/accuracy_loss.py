"""A warning of a quantised network that is much less accurate than its reference."""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)
# The loss of accuracy, as a share of the images, above which there is a warning.
MUCH: Final = 0.01


def accuracy_warnings(
    reference: float, quantised: float, what: str = "quantised", own: bool = False
) -> list[str]:
    """One text, which is logged too, where compression lost more than a point of accuracy; else
    none. Both accuracies are shares in [0, 1]. `what`: "quantised" or "pruned". `own`: the labels
    are the reference's own, so that another label may be the right one."""
    if reference - quantised <= MUCH + 1e-9:
        return []
    text = (
        f"the {what} network gives another label than the reference on {1 - quantised:.2%} of the "
        "images"
        if own
        else f"the {what} network is right on {quantised:.2%} of the images, "
        f"the reference on {reference:.2%}: it has lost more than a point"
    )
    log.warning("%s", text)
    return [text]
