"""A cheap search for an effective perturbation."""

from __future__ import annotations

import numpy as np

from relrob.judging.tally import WITNESS, Tally
from relrob.regions.ladder import RungSet


def greedy(tally: Tally, rungs: RungSet) -> None:
    """A cheap search: add the feature that lowers the margin most, while the radius allows; stops
    at the first witness."""
    mask = np.zeros(rungs.features, dtype=np.bool_)
    spent = 0
    while tally.hint is None and not tally.late:
        options = [int(g) for g in np.flatnonzero(~mask) if spent + rungs.costs[g] <= rungs.budget]
        if not options:
            return
        block = np.repeat(mask[None, :], len(options), axis=0)
        block[np.arange(len(options)), options] = True
        seen = tally.see(block)
        tally.searched += len(block)
        best = int(seen.margins.argmin())
        mask, spent = block[best], spent + rungs.costs[options[best]]
        if seen.fails[best]:
            tally.hint, tally.step = mask.copy(), WITNESS
