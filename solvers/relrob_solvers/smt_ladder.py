"""SMT: z3 decides what bounds and a cheap search leave open. Boolean features, a linear budget,
only unstable ReLUs; complete.

Cube and conquer (`relrob.branching.cubes`): a part of the ladder on which too many ReLUs are open
is split on a feature. One question a threat to the label (a rival class, or outputs that saturate);
unsatisfiable for all of them is a proof for the runtime's arithmetic (`relrob.encoding.encode`). A
model is a point of the ladder: it is run, and its neighbours with it; those that the runtime gives
the label are excluded, and the question is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from relrob.branching.cubes import around, run, solve
from relrob.branching.z3_text import Z3, Said
from relrob.domain.arrays import Bools
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.encoding.encode import Encoding, Refutation
from relrob.encoding.smtlib import smtlib
from relrob.judging.tally import Tally
from relrob.networks.enclose import refusal
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.regions.ladder import RungSet

UNSTABLE: Final = 32  # z3 is lost with many more open ReLUs (measured); a split closes some
# z3's own measure of effort on one question before a part is split: about half a second
PATIENCE: Final = 300_000
MODELS: Final = 50  # models that the runtime may refute before a part is split


@final
class Smt:
    """z3 on parts of the ladder with at most `unstable` open ReLUs. UNKNOWN comes only from the
    limit. Verdicts, not counts."""

    name = "smt"
    complete = True

    def __init__(self, unstable: int = UNSTABLE, patience: int = PATIENCE) -> None:
        self._unstable, self._patience = unstable, patience

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks that all have bounds: float MLPs and dense LiteRT files."""
        return refusal(networks)

    def solve(self, query: Query[RungSet]) -> Findings:
        """Each network by itself, within the budget."""
        return solve(query, self._ask, self._unstable)

    def _ask(self, tally: Tally, encoding: Encoding) -> bool:
        """Every threat to a part in turn."""
        excluded: list[Bools] = []
        for refutation in encoding.refutations:
            with tally.clock():
                questions = _Questions(encoding, refutation, excluded, self._patience)
            if not _settle(tally, questions, encoding):
                return False
            if tally.hint is not None:
                return True
        return True


def _settle(tally: Tally, questions: _Questions, encoding: Encoding) -> bool:
    """Ask until there is no model left, or one is a witness; False when z3 gives up or its models
    stay wrong."""
    for _ in range(MODELS):
        with tally.clock():
            answer = questions.ask(tally.limit - tally.spent)
        if answer is not Said.MODEL:
            return answer is Said.NONE
        masks = around(questions.point(), encoding.ladder)
        run(tally, masks)
        if tally.hint is not None:
            return True
        with tally.clock():
            questions.exclude(masks)
    return False


@final
class _Questions:
    """z3 on one threat. `excluded`: points known to be right, shared between threats."""

    def __init__(
        self, encoding: Encoding, refutation: Refutation, excluded: list[Bools], patience: int
    ) -> None:
        self._encoding, self._excluded = encoding, excluded
        self._z3 = Z3("QF_LRA", smtlib(encoding, [refutation], check=False), patience)
        self._names = [f"z{g}" for g in encoding.part.free]
        for mask in excluded:
            self._block(mask)

    def ask(self, seconds: float) -> Said:
        """Is there a point?"""
        return self._z3.ask(seconds)

    def point(self) -> Bools:
        """The mask (F,) of the model's point."""
        return self._encoding.mask(self._z3.truths(self._names))

    def exclude(self, masks: Bools) -> None:
        """Leave points out from now on."""
        for mask in masks:
            self._excluded.append(mask)
            self._block(mask)

    def _block(self, mask: Bools) -> None:
        self._z3.exclude(self._names, [bool(mask[g]) for g in self._encoding.part.free])
