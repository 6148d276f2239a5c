"""What a run says of a pair of files that may be the wrong ones: the audit's checks of weights, and
those of runs where too few labels are right."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from relrob.audit.classes import SKILL
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.judge import Diagnosed, diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.sample import spread
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import weights_on
from relrob.compress.accuracy_loss import MUCH
from relrob.domain.arrays import Ints
from relrob.domain.network import Network
from relrob.errors import RelrobError
from relrob.system.processors import processors
from relrob_datasets.dataset import Dataset

log = logging.getLogger(__name__)
# Images that both networks label where something is wrong.
LABELLED: Final = 1000
# Fewer images tell nothing of an accuracy.
FEWEST: Final = 20


@dataclass(frozen=True)
class _NoRuns:
    """What runs show where the accuracies give no reason to ask."""

    diagnoses: tuple[Diagnosis, ...] = ()
    candidates: tuple[Diagnosis, ...] = ()


def doubts(
    reference: Network,
    quantised: Network,
    data: Dataset,
    accuracies: tuple[float, float],
    weights: WeightReport | None = None,
) -> list[str]:
    """A text for each fault of the pair, which is logged too.

    Weights are always compared, now unless `weights` are given. Runs are, on 20 to 1,000 images,
    where the reference is near chance or the quantised network is right on a point less:
    `accuracies` of both, shares of all images.
    """
    try:
        compared = weights or weights_on(reference, quantised, data)
        runs: Diagnosed = _NoRuns()
        if _suspicious(data, *accuracies):
            runs = compare_pair(reference, quantised, _some(data), threads=processors())
    except RelrobError:  # the run itself says what is wrong with a file
        return []
    texts = [_text(found) for found in diagnose(runs, compared) if found.blocking]
    for text in texts:
        log.warning("%s", text)
    return texts


def _suspicious(data: Dataset, reference: float, quantised: float) -> bool:
    """Do the accuracies ask for an explanation?"""
    if len(data) < FEWEST:
        return False
    chance = _chance(data.labels)
    near_chance = chance < 1 and (reference - chance) / (1 - chance) < SKILL
    return near_chance or reference - quantised > MUCH


def _chance(labels: Ints) -> float:
    """The share of the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def _some(data: Dataset) -> Dataset:
    chosen = spread(len(data), LABELLED)
    return replace(data, images=data.images[chosen], labels=data.labels[chosen])


def _text(found: Diagnosis) -> str:
    """In a line.

    >>> _text(Diagnosis("layout", "the reference reads C,H,W", hint="--layout chw"))
    'layout: the reference reads C,H,W; try: --layout chw'
    """
    return f"{found.id}: {found.sentence}" + (f"; try: {found.hint}" if found.hint else "")
