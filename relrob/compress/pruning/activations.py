"""Pruning of activations after training (PP): Matachana et al. 2020, section 3."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools
from relrob.errors import UsageError

Numbers = NDArray[Any]
GRANULARITIES = ("unit", "channel")


def kept_units(means: Numbers, keep: float, granularity: str = "unit") -> Bools:
    """The mask of a block's output (..., C) that keeps the share `keep` of largest mean activation.

    `means`: of each unit over clean images, in the shape of one output. "unit" masks units one by
    one, "channel" whole channels by the mean over their units, as fine-pruning does. Of equal means
    the first goes. Raises UsageError.

    >>> kept_units(np.array([0.5, 0.0, 0.2, 0.9]), 0.7).tolist()
    [True, False, True, True]
    """
    if granularity not in GRANULARITIES:
        raise UsageError(f"granularity {granularity!r}", ", ".join(GRANULARITIES))
    if not 0 < keep <= 1:
        raise UsageError(f"a share of {keep:g} units that stay", "above 0, up to 1")
    wide = np.asarray(means, np.float64)
    judged = wide.reshape(-1, wide.shape[-1]).mean(axis=0) if granularity == "channel" else wide
    mask = np.ones(judged.size, bool)
    away = floor(judged.size * (1 - keep) + 1e-9)
    mask[np.argsort(judged.reshape(-1), kind="stable")[:away]] = False
    return np.array(np.broadcast_to(mask.reshape(judged.shape), wide.shape))
