"""The laws of solvers of ladders: their answers, compared with every point run one by one.

A solver is asked so:

    for complaint in complaints(MySolver(), case, truth(case.problem)): ...

1. A verdict is never ROBUST where a point is wrong. A witness is a point of the region that the
   network gets wrong.
2. A complete solver answers when its budget allows. UNKNOWN names its reason.
3. A sub-region of a ROBUST region is ROBUST.
4. Bounds contain every point's margin, those of a single point too. Counts, where given, are exact.
5. Planted bugs are noticed (in `tests/`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.bounding.ladder import LadderBounds
from relrob.bounding.linear import Margins
from relrob.deciding.decide import Decision, decide
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Arithmetic
from relrob.domain.verdict import Reason, Status, Verdict
from relrob.errors import RelrobError, UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.findings import Share, Transfer
from relrob.queries.query import Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, whole
from relrob.testing.cases import Case

LARGEST: Final = 5_000


@dataclass(frozen=True, eq=False)
class Truth:
    """Every point of a problem: `masks` (n, F), exact `costs` (n,), and what each network says of
    it, `said` (n,) each."""

    masks: Bools
    costs: NDArray[Any]
    said: tuple[Ints, ...]
    label: int

    def wrong(self, number: int) -> Bools:
        """Which points are effective perturbations of a network."""
        return np.asarray(self.said[number] != self.label, dtype=np.bool_)


def truth(problem: Query[RungSet]) -> Truth:
    """By running every point as it is replayed. Raises UsageError above `LARGEST` points."""
    rungs = problem.points
    if rungs.count > LARGEST:
        raise UsageError(
            f"a case of {rungs.count:,} points", f"at most {LARGEST:,}", "a smaller ladder"
        )
    masks = rungs.knapsack.masks(0, rungs.count)
    images = rungs.images(masks)
    said = tuple(labels(opened.replayer.outputs(images)) for opened in problem.networks)
    return Truth(masks, rungs.cost_units(masks), said, problem.label)


def complaints(
    solver: Solver[RungSet],
    case: Case,
    known: Truth,
    counts: bool = True,
    answers: Counter[str] | None = None,
) -> Iterator[str]:
    """The complaints about a solver's answer to a case; none where it refuses the case.

    `answers`: counts its verdicts.
    """
    problem = replace(case.problem, counts=counts)
    if _refused(solver, problem):
        return
    try:
        with np.errstate(all="ignore"):
            decision = decide(problem, solver)
    except RelrobError as error:  # an alarm, or a witness outside the region
        yield f"stopped: {error}"
        return
    if answers is not None:
        answers.update(verdict.status for verdict in decision.verdicts)
    for number, verdict in enumerate(decision.verdicts):
        for complaint in _verdict(problem, verdict, known, number, solver.complete):
            yield f"network {number}: {complaint}"
        counted = decision.each[number].effective
        if counted is not None and counted != known.wrong(number).sum():
            yield (
                f"network {number}: {counted} effective perturbations, "
                f"not {known.wrong(number).sum()}"
            )
    if decision.transfer is not None and decision.transfer != _transfer(known):
        yield f"transfer {decision.transfer}, not {_transfer(known)}"


def _refused(solver: Solver[RungSet], asked: Query[RungSet]) -> bool:
    """Does the solver not take such a query?"""
    networks = [opened.network for opened in asked.networks]
    return solver.accepts(asked.points.region, networks) is not None


def _verdict(
    problem: Query[RungSet], verdict: Verdict, known: Truth, number: int, complete: bool
) -> Iterator[str]:
    """1 and 2."""
    wrong = known.wrong(number)
    if verdict.status is Status.ROBUST and wrong.any():
        yield f"ROBUST, and {wrong.sum()} points are wrong"
    if verdict.status is Status.UNKNOWN and (complete or verdict.reason in (None, Reason.CRASH)):
        yield f"UNKNOWN{' although complete' if complete else ''}: {verdict.reason}"
    if verdict.disagreements:
        yield "a proposed witness was refuted"
    if verdict.witness is not None:
        mask = np.zeros(problem.points.features, dtype=np.bool_)
        mask[list(verdict.witness.moved)] = True
        at = np.flatnonzero((known.masks == mask).all(axis=1))
        if len(at) != 1 or not wrong[at[0]]:
            yield f"the witness {verdict.witness.moved} is no effective perturbation"
        elif verdict.witness.label != known.said[number][at[0]]:
            yield f"the witness {verdict.witness.moved} has another label"


def _transfer(known: Truth) -> Transfer:
    """The exact counts from the first network to the second."""
    first, second = known.wrong(0), known.wrong(1)
    same = second & (known.said[0] == known.said[1])

    def share(at: Bools) -> Share:
        return Share(int(at.sum()), int((at & second).sum()), int((at & same).sum()))

    if not first.any():
        return Transfer(Share(), Share(), Share())
    near, far = min(known.costs[first]), max(known.costs[first])
    return Transfer(
        share(first), share(first & (known.costs == near)), share(first & (known.costs == far))
    )


def order_complaints(solver: Solver[RungSet], case: Case) -> Iterator[str]:
    """3: on fewer features and on a smaller radius, ROBUST stays ROBUST."""
    if _refused(solver, case.problem):
        return
    ladder = case.ladder
    smaller = [replace(ladder, radius=ladder.radius * Fraction(2, 3))]
    if (ladder.features or 0) > 1:
        smaller.append(replace(ladder, features=(ladder.features or 0) - 1))
    with np.errstate(all="ignore"):
        around = decide(replace(case.problem, counts=False), solver)
        for less in smaller:
            yield from _order(around, decide(replace(case.on(less), counts=False), solver))


def _order(around: Decision, within: Decision) -> Iterator[str]:
    for number, (outer, inner) in enumerate(zip(around.verdicts, within.verdicts, strict=True)):
        if outer.status is Status.ROBUST and inner.status is Status.NOT_ROBUST:
            yield f"network {number}: ROBUST on a region and NOT_ROBUST on a part of it"


def bound_complaints(opened: Opened, case: Case) -> Iterator[str]:
    """4: bounds of the whole ladder contain the margins of every point, and those of one point
    contain its own and are tighter, up to what float32 rounds."""
    enclosure = enclosure_of(opened.network)
    if enclosure is None or enclosure.probabilities or saturates(enclosure):
        return
    rungs, label = case.problem.points, case.problem.label
    bounds = LadderBounds(enclosure, rungs, label)
    masks = rungs.knapsack.masks(0, rungs.count)
    with np.errstate(all="ignore"):
        outputs = opened.replayer.outputs(rungs.images(masks))
        found = bounds.margins(whole(rungs))
        stored: Doubles = slack(outputs) * (opened.network.arithmetic is Arithmetic.REAL)
    if not margins_within(outputs, label, found, stored):
        yield "a point's margins are outside the bounds of the whole ladder"
    for row in (0, len(masks) - 1):
        moved = tuple(int(g) for g in np.flatnonzero(masks[row]))
        alone = bounds.margins(
            Part(rungs, moved, (), rungs.budget - sum(rungs.costs[g] for g in moved))
        )
        if not margins_within(outputs[[row]], label, alone, stored[[row]]):
            yield "a single point's margins are outside its own bounds"
        if (alone.low < found.low - _rounding(enclosure, alone, found)).any():
            yield "bounds of a single point are wider than those of the whole ladder"


def saturates(enclosure: Enclosure) -> bool:
    """Are outputs cut off, so that bounds speak of what comes before?"""
    last = enclosure.layers[-1]
    return any(np.isfinite(end) for end in (last.cap, last.floor))


def slack(outputs: Floats) -> Doubles:
    """By how much the outputs (n, classes) of real numbers were rounded at most when they were
    stored (n,)."""
    return np.asarray(2.0**-22 * np.abs(outputs.astype(np.float64)).max(axis=1))


def margins_within(outputs: Floats, label: int, found: Margins, stored: Doubles) -> bool:
    """Do bounds contain the margins of outputs (n, classes), where these are finite? `stored` (n,):
    as `slack`, or 0."""
    wide = outputs.astype(np.float64)
    finite: Bools = np.asarray(
        (np.abs(wide) < np.finfo(np.float32).max).all(axis=1), dtype=np.bool_
    )
    with np.errstate(all="ignore"):
        apart: Doubles = wide[:, [label]] - np.delete(wide, label, axis=1)
    return _within(apart[finite], found.low, found.high, stored[finite])


def _rounding(enclosure: Enclosure, alone: Margins, found: Margins) -> float:
    """By how much bounds of a point may be wider: a neuron that is open by rounding alone gets
    other lines there."""
    lost: Doubles = np.zeros(len(enclosure.layers[0].bias))
    with np.errstate(all="ignore"):  # where float32 may overflow: no number, and no complaint
        for known, layer in zip(alone.every, enclosure.layers[1:], strict=False):
            lost = (lost + 2 * known.error * ((known.low < 0) & (known.high > 0))) @ layer.size
    return float(1e-6 * (1 + found.every[-1].magnitude.max()) + 2 * lost.max())


def _within(values: Doubles, low: Doubles, high: Doubles, stored: Doubles) -> bool:
    """Are values (n, classes - 1) between bounds? `stored` (n,): by how much outputs of real
    numbers were rounded."""
    allowed = stored[:, None]
    return bool(((values >= low - allowed) & (values <= high + allowed)).all())
