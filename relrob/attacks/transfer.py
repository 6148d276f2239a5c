"""Examples of one network on others: a matrix of models, and the three scenarios of Zhao et al.
2018.

A cell stands for one source and one target (Matachana et al. 2020: a row a target, a column a
source; the diagonal is the white-box attack). Of the scenarios, COMP->COMP crafts and tests on a
compressed network c, FULL->COMP crafts on the full-precision network and tests on c, COMP->FULL
crafts on c and tests on the full-precision network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.metrics import Metrics, averaged, metrics_of
from relrob.attacks.recognition import Recognition, in_top, recognition
from relrob.attacks.selection import Filter, first
from relrob.domain.arrays import Bools, Ints
from relrob.errors import UsageError
from relrob.networks.deployed import labelled_outputs
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened


@dataclass(frozen=True, eq=False)
class Cell:
    """The examples of source number `source` on target number `target`.

    `metrics`: on the target; `successes`: examples among these that succeeded on the source, of
    which `transferred` succeed on the target; `in_top_2`: examples whose true class is among the
    target's two most likely; `recognition`: those that nobody would recognise. `kept` (n,): the
    examples of the set that count; `said` (k,): the target's labels of these.
    """

    source: int
    target: int
    metrics: Metrics
    successes: int
    transferred: int
    in_top_2: int
    recognition: Recognition
    kept: Bools
    said: Ints

    @property
    def transfer_rate(self) -> float | None:
        """Share of the source's successes that succeed on the target; None where there are none."""
        return self.transferred / self.successes if self.successes else None

    def json(self) -> dict[str, Any]:
        """The fields, by number of source and target, and the rates."""
        rate = self.transfer_rate
        return {
            "source": self.source,
            "target": self.target,
            **self.metrics.json(),
            "source_success": self.successes,
            "transferred": self.transferred,
            "transfer_rate": None if rate is None else round(rate, 6),
            "in_top_2": self.in_top_2,
            "unrecognisable": self.recognition.json(),
        }


def cell(
    source: int,
    target: int,
    found: AdversarialSet,
    opened: Opened,
    right: Bools,
    chosen: Filter,
    most: int | None = None,
) -> Cell:
    """The cell of a set of examples on an open target.

    `right` (n,): does the target label the clean images rightly? `chosen`: which examples count,
    of these the first `most` in the order of the data.
    """
    kept = first(chosen.kept(np.asarray(found.clean == found.labels), right), found.indices, most)
    adversarial, images, truth = found.adversarial[kept], found.images[kept], found.labels[kept]
    targets = None if found.targets is None else found.targets[kept]
    outputs = (
        labelled_outputs(opened, adversarial)
        if len(truth)
        else np.zeros((0, opened.network.classes), np.float32)
    )
    said = labels(outputs)
    success = found.goal.reached(said, np.flatnonzero(kept))
    before = found.success[kept]
    return Cell(
        source,
        target,
        metrics_of(truth, said, adversarial, images, targets),
        int(before.sum()),
        int((before & success).sum()),
        int(in_top(outputs, truth, 2).sum()),
        recognition(adversarial, images, outputs, truth, success),
        kept,
        said,
    )


def filter_of(asked: Filter | None, found: AdversarialSet) -> Filter:
    """Which examples of a set count: those asked for, or by default all. Raises UsageError for
    images that were left out when the set was made."""
    made = found.origin.filter
    if asked is Filter.NONE and made is not Filter.NONE:
        raise UsageError(
            f"--filter none of a set whose images were chosen by {made.value}",
            "source_correct or both_correct",
            "relrob attack --filter none, which attacks every image",
        )
    return made if asked is None else asked


@dataclass(frozen=True)
class Scenario:
    """The three scenarios of a compressed network, number `network`, as cells; None where one was
    not run. `full`: the full-precision network on its own examples."""

    network: int
    comp_comp: Cell | None
    full_comp: Cell | None
    comp_full: Cell | None
    full: Cell | None

    def json(self) -> dict[str, Any]:
        """The adversarial accuracy of each."""
        told = vars(self).items()
        shown = {name: _accuracy(found) for name, found in told if name != "network"}
        return {"network": self.network, **shown}


def scenarios(cells: Sequence[Cell], columns: Sequence[int], full: int) -> tuple[Scenario, ...]:
    """The scenarios of every target but number `full`, the full-precision network.

    `columns`: for each source, in the order of `Cell.source`, the number of the network that it is
    among the targets, -1 where it is none.
    """
    by_place = {(columns[each.source], each.target): each for each in cells}
    others = sorted({each.target for each in cells} - {full})
    return tuple(
        Scenario(
            number,
            by_place.get((number, number)),
            by_place.get((full, number)),
            by_place.get((number, full)),
            by_place.get((full, full)),
        )
        for number in others
    )


def matrix(
    cells: Sequence[Cell], rows: int, columns: int, targeted: bool = False
) -> list[list[float | None]]:
    """Evasion rates, or with `targeted` the shares of the target's label: a row a target, a column
    a source, rounded to 6 digits; None where there is none."""
    found: list[list[float | None]] = [[None] * columns for _ in range(rows)]
    for each in cells:
        rate = each.metrics.targeted_rate if targeted else each.metrics.evasion_rate
        found[each.target][each.source] = None if np.isnan(rate) else round(rate, 6)
    return found


def means(lines: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean of each line, without what is not there."""
    found = []
    for line in lines:
        there = [value for value in line if value is not None]
        found.append(round(averaged(there)[0], 6) if there else None)
    return found


def _accuracy(found: Cell | None) -> float | None:
    if found is None or not found.metrics.samples:
        return None
    return round(found.metrics.adversarial_accuracy, 6)
