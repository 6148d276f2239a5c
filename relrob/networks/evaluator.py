"""The interface of every runtime: outputs, labels and margins of a batch of images."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints

# A batch and an image alone differ by less, relative to the largest output, where only rounding
# tells them apart.
NEAR: Final = 2.0**-10


class Evaluator(Protocol):
    """One network, opened on one named runtime.

    An evaluator is not shared between threads or processes. Opening another is cheap.
    """

    @property
    def runtime(self) -> str:
        """The runtime's name, as in `relrob.registry.EVALUATORS`."""
        ...

    @property
    def best_batch(self) -> int:
        """The batch size at which this runtime is fastest; `outputs` takes any."""
        ...

    def outputs(self, images: Floats) -> Floats:
        """Raw outputs (n, classes) float32 of flat images (n, d) float32 in [0,1], pixels in (H, W,
        C) raster order."""
        ...


def labels(outputs: Floats) -> Ints:
    """First index of the largest output of each row: (n, classes) -> (n,). A row with NaN has -1,
    no class."""
    return np.where(np.isnan(outputs).any(axis=1), -1, outputs.argmax(axis=1)).astype(np.int64)


def tied(outputs: Floats) -> Bools:
    """Does a row have its largest output more than once, so that the first gives the label? (n,
    classes) -> (n,)."""
    most: Bools = (outputs == outputs.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return most


def near_ties(outputs: Floats, scale: float = 0.0, share: float = NEAR) -> Ints:
    """Rows whose label another rounding could change, (n, classes) -> (n,).

    The two largest outputs of such a row are as good as equal, or one of its outputs is no number.
    `scale`: a usual magnitude of outputs, where those of a row tell none: one logit stands beside a
    0, and is small at every near tie. `share`: of the largest magnitude, up to which two outputs
    are near.
    """
    wide = outputs.T.astype(np.float64, order="C")
    top, low = wide.max(axis=0), wide.min(axis=0)
    wide[wide.argmax(axis=0), np.arange(len(outputs))] = -np.inf
    with np.errstate(invalid="ignore"):
        sure = top - wide.max(axis=0) > share * np.maximum(np.maximum(top, -low), scale)
    return np.flatnonzero(~sure)


def margins(outputs: Floats, label: int) -> Doubles:
    """Output of `label` minus the largest other output of each row, in float64: (n, classes) ->
    (n,).

    The margin is 0 where both are the same infinity, and -inf for a row with NaN.
    """
    wide = outputs.astype(np.float64)
    mine, best = wide[:, label], np.delete(wide, label, axis=1).max(axis=1)
    with np.errstate(invalid="ignore"):
        least = np.where(mine == best, 0.0, mine - best)
    return np.where(np.isnan(wide).any(axis=1), -np.inf, least)
