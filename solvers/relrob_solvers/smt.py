"""SMT: z3 decides what bounds and a cheap search leave open. Boolean features, a linear budget, only unstable ReLUs; complete.

Cube and conquer: a part of the ladder on which too many ReLUs are open is split on a feature. One question a threat to the label (a rival class, or outputs that saturate). Unsatisfiable for all of them is a proof for the
runtime's arithmetic (`relrob.bounding.encoding`). A model is a point of the ladder: it is run, and its neighbours with it; those
that the runtime gives the label are excluded, and the question is asked again. On satisfiable questions z3 is slow: the search for
witnesses comes first.
"""

from __future__ import annotations

import time
from typing import Final, final

import numpy as np
import z3

from relrob.bounding.encoding import Claim, Encoding, encode, survey
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.part import Part, whole
from relrob.bounding.smtlib import smtlib
from relrob.domain.arrays import Bools
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.problem import Finding, Findings, Opened, Problem
from relrob.tally import Tally, greedy, judge_of

UNSTABLE: Final = 120  # z3 is lost with more open ReLUs than that (measured); a split closes some
PATIENCE: Final = 2.0  # seconds on one threat before a part is split
_SEED: Final = 0


@final
class Smt:
    """z3 on the whole ladder. UNKNOWN comes only from the time limit. Gives verdicts, not counts, unless there is nothing to count."""

    name = "smt"
    complete = True

    def accepts(self, problem: Problem) -> str | None:
        """Networks that have bounds: float MLPs and dense LiteRT files."""
        if all(enclosure_of(opened.network) is not None for opened in problem.networks):
            return None
        return "no bounds for one of these networks; float MLPs and dense .tflite files have them"

    def solve(self, problem: Problem) -> Findings:
        """Each network by itself, within the budget."""
        each = tuple(_decide(opened, problem) for opened in problem.networks)
        return Findings(each, None, min(max(finding.evaluated for finding in each), problem.rungs.count))


def to_smtlib(opened: Opened, problem: Problem) -> str:
    """SMT-LIB 2 text (QF_LRA) of the question about one network on the whole ladder; unsatisfiable means ROBUST.

    Raises UsageError for a network without bounds.
    """
    enclosure = enclosure_of(opened.network)
    if enclosure is None:
        raise UsageError(f"{opened.network.path} has no bounds", "float MLPs and dense .tflite files")
    bounds = LadderBounds(enclosure, problem.rungs, problem.label)
    return smtlib(encode(bounds, survey(bounds, whole(problem.rungs))))


def _decide(opened: Opened, problem: Problem) -> Finding:
    """One network: search, then bounds and z3 part by part."""
    tally = Tally(judge_of(opened, problem.rungs, problem.label), problem.label, problem.budget.seconds)
    enclosure = enclosure_of(opened.network)
    greedy(tally, problem.rungs)
    if tally.hint is None and enclosure is not None:
        with tally.clock():
            bounds = LadderBounds(enclosure, problem.rungs, problem.label)
        _search(tally, bounds, problem)
    return tally.finding(problem.counts)


def _search(tally: Tally, bounds: LadderBounds, problem: Problem) -> None:
    """Parts of the ladder: proved by bounds, asked, or split where too many ReLUs are open or z3 is out of patience."""
    stack = [whole(problem.rungs)]
    while stack and not tally.late:
        part = stack.pop()
        with tally.clock():
            found = survey(bounds, part)
        if not found.threats:
            tally.proved += part.count
            tally.margin = min(tally.margin, found.margin)
        elif part.count == 1:
            _run(tally, part.masks(0, 1))
        elif found.unstable > UNSTABLE or not _ask(tally, encode(bounds, found)):
            stack += part.split(max(part.free, key=lambda g: (found.slopes[g], -g)))
        if tally.hint is not None:
            return
    tally.finished = not stack and not tally.late


def _ask(tally: Tally, encoding: Encoding) -> bool:
    """Every threat of a part in turn. False when z3 gave none of its answers in time; points that turn out right are excluded."""
    excluded: list[Bools] = []
    for claim in encoding.claims:
        with tally.clock():
            questions = _Questions(encoding, claim, excluded)
        patience = PATIENCE
        while True:
            begin = time.perf_counter()
            with tally.clock():
                answer = questions.ask(min(patience, tally.limit - tally.spent))
            patience -= time.perf_counter() - begin
            if answer == z3.unsat:
                break
            if answer != z3.sat or tally.late or patience <= 0:
                return False
            masks = _around(questions.point(), encoding.part)
            _run(tally, masks)
            if tally.hint is not None:
                return True
            with tally.clock():
                questions.exclude(masks)
    tally.proved += encoding.part.count
    return True


def _run(tally: Tally, masks: Bools) -> None:
    """Run some points; keep the first that is wrong."""
    seen = tally.see(masks)
    tally.searched += len(masks)
    wrong = np.flatnonzero(seen.labels != tally.label)
    if len(wrong):
        tally.hint = masks[wrong[0]].copy()


def _around(mask: Bools, part: Part) -> Bools:
    """The point and the points of the part that differ from it in one feature."""
    rungs = part.rungs
    masks = np.vstack([mask, mask ^ np.eye(len(mask), dtype=np.bool_)[list(part.free)]])
    return masks[np.asarray(rungs.cost_units(masks) <= rungs.budget, dtype=np.bool_)]


@final
class _Questions:
    """z3 on one threat. `excluded`: points known to be right, shared between threats."""

    def __init__(self, encoding: Encoding, claim: Claim, excluded: list[Bools]) -> None:
        self._encoding, self._excluded = encoding, excluded
        self._solver = z3.SolverFor("QF_LRA")
        self._solver.set("random_seed", _SEED)
        self._solver.from_string(smtlib(encoding, [claim], check=False))
        self._features = [z3.Bool(f"z{g}") for g in encoding.part.free]
        for mask in excluded:
            self._block(mask)

    def ask(self, seconds: float) -> z3.CheckSatResult:
        """sat, unsat, or unknown at the limit."""
        self._solver.set("timeout", max(1, int(seconds * 1000)))
        return self._solver.check()

    def point(self) -> Bools:
        """The mask (F,) of the model's point."""
        model = self._solver.model()
        return self._encoding.mask([bool(z3.is_true(model.eval(z, model_completion=True))) for z in self._features])

    def exclude(self, masks: Bools) -> None:
        """Leave points out from now on."""
        for mask in masks:
            self._excluded.append(mask)
            self._block(mask)

    def _block(self, mask: Bools) -> None:
        free = self._encoding.part.free
        self._solver.add(z3.Or([z3.Not(z) if mask[g] else z for g, z in zip(free, self._features, strict=True)]))
