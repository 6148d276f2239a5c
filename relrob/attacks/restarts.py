"""Runs of an attack one after the other, each for the images that no run before it has broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.goal import Goal
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Norm

# From the rows of images still to break (m,) to candidates, each (m, d), the better ones first.
Run = Callable[[Ints], list[Floats]]


def restarted(
    victim: Victim, images: Floats, goal: Goal, norm: Norm, runs: Sequence[Run]
) -> Floats:
    """Proposals (n, d): for each image the first candidate that reaches the goal on the runtime,
    else the first candidate of the last run. One query a candidate; a step is noted after each
    run."""
    proposals = images.copy()
    left = np.arange(len(images))
    least = np.full(len(images), np.inf)
    for run in runs:
        if not len(left):
            break
        candidates = run(left)
        proposals[left] = candidates[0]
        open_ones = np.ones(len(left), bool)
        for each in candidates:
            at = np.flatnonzero(open_ones)
            found = at[goal.reached(victim.labels(each[at], left[at]), left[at])]
            proposals[left[found]] = each[found]
            least[left[found]] = distances(each[found], images[left[found]], norm)
            open_ones[found] = False
        victim.note(least)
        left = left[open_ones]
    return proposals
