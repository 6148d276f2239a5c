"""Soft filter pruning: He et al. 2018, section 3.2."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools
from relrob.errors import UsageError

Numbers = NDArray[Any]


def kept_filters(kernel: Numbers, keep: float) -> Bools:
    """The mask (N,) of output filters that stay, of a kernel (..., N): the floor(N (1 - `keep`)) of
    least L2 norm do not. Of equal norms the first goes. Raises UsageError.

    >>> kept_filters(np.array([[3.0, 1.0, 2.0, 4.0]]), 0.7).tolist()
    [True, False, True, True]
    """
    if not 0 < keep <= 1:
        raise UsageError(f"a share of {keep:g} filters that stay", "above 0, up to 1", "sfp:0.9")
    norms = np.sqrt(np.square(np.asarray(kernel, np.float64)).reshape(-1, kernel.shape[-1]).sum(0))
    # 1 - 0.9 is a little less than a tenth in binary.
    away = floor(len(norms) * (1 - keep) + 1e-9)
    mask = np.ones(len(norms), bool)
    mask[np.argsort(norms, kind="stable")[:away]] = False
    return mask
