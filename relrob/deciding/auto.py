"""`auto`: a chain of solvers, the cheapest first, on each network until it has a verdict; the
verdict names the step that gave it.

witness   a greedy search for an effective perturbation, and later a beam of them
bounds    one bound on the whole ladder
branch    bounds on parts of it: exact counts where asked, then, for a network that counting leaves open, the verdict alone
milp, smt where few ReLUs are open on the whole ladder, so that their question is one that they can answer
enumerate every point, where no network has bounds

Shares are of the time limit of a network. What counting or searching had proved when another step
took over is kept.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final, cast, final

from relrob import registry
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.domain.query import Budget
from relrob.domain.verdict import Reason
from relrob.errors import RelrobError, UsageError
from relrob.networks.batches import one_line
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings
from relrob.queries.problem import Problem
from relrob.queries.solver import Solver, Stepwise, Work
from relrob.regions.part import whole

log = logging.getLogger(__name__)

COUNT: Final = 1 / 8  # of the limit, before a network without a verdict is searched for one
BRANCH: Final = 1 / 2  # of the limit, before a network with few open ReLUs is given to the others
ASKED: Final = (("milp", 3 / 4), ("smt", 7 / 8))
FEW: Final = 96  # open ReLUs of the whole ladder


@final
class Auto:
    """The chain. Complete, as `enumerate` and `branch` are."""

    name = "auto"
    complete = True

    def accepts(self, problem: Problem) -> str | None:
        """Any ladder."""
        return named("enumerate").accepts(problem)

    def solve(self, problem: Problem) -> Findings:
        """Each network until it has a verdict, then the counts that time allows."""
        branch = cast(Stepwise, named("branch"))
        if branch.accepts(problem) is not None:
            return _told(guarded(named("enumerate"), problem), "enumerate")
        try:
            return _told(_Chain(problem, branch.begin(problem)).solve(), "branch")
        except (RelrobError, MemoryError):
            raise
        except Exception as error:
            first, *others = problem.networks
            if others:
                return _each(self, problem, error)
            _tell(error, "bounds", first, "every point is run")
            return _told(guarded(named("enumerate"), problem), "enumerate")


def named(name: str) -> Solver:
    """The solver of that name in the registry. Raises UsageError."""
    entries = registry.solvers(True, name) if name != "auto" else ()
    if not entries:
        raise UsageError(f"solver {name!r}", registry.names(registry.SOLVERS))
    solver: Solver = registry.load(entries[0].target)()
    return solver


def guarded(solver: Solver, problem: Problem) -> Findings:
    """What the solver finds. Its crash is a finding about the network that it comes of: the others
    are asked alone."""
    try:
        return solver.solve(problem)
    except RelrobError:
        raise
    except Exception as error:
        first, *others = problem.networks
        if others:
            return _each(solver, problem, error)
        _tell(error, f"solver {solver.name}", first, "the network is not decided")
        nothing = Finding(
            proved=False,
            effective=None,
            proposals=(),
            margin=None,
            evaluated=0,
            stopped=crash_reason(error),
        )
        return Findings((nothing,), None, 0)


def _each(solver: Solver, problem: Problem, error: Exception) -> Findings:
    """Each network by itself, after an error on one of them."""
    log.debug(
        "solver %s stopped with an error; each network is asked alone", solver.name, exc_info=error
    )
    found = [guarded(solver, replace(problem, networks=(opened,))) for opened in problem.networks]
    return Findings(
        tuple(each.each[0] for each in found), None, max(each.evaluated for each in found)
    )


def _tell(error: Exception, who: str, opened: Opened, then: str) -> None:
    """One line; the traceback is for those who debug."""
    log.debug("%s on %s", who, opened.network.path, exc_info=error)
    log.warning(
        "%s stopped with an error on %s (%s); %s", who, opened.network.path, one_line(error), then
    )


def crash_reason(error: Exception) -> Reason:
    """Why a solver that raised this gives no answer."""
    return Reason.MEMORY if isinstance(error, MemoryError) else Reason.CRASH


def _told(findings: Findings, name: str) -> Findings:
    """With the name where a finding has no step."""
    return replace(
        findings, each=tuple(replace(each, step=each.step or name) for each in findings.each)
    )


@final
class _Chain:
    """The steps on one problem, in order."""

    def __init__(self, problem: Problem, work: Work) -> None:
        self._problem, self._work = problem, work
        self._asked: dict[int, Finding] = {}

    def solve(self) -> Findings:
        """Counting first, then verdicts, then what is left of the counting."""
        problem, work = self._problem, self._work
        if problem.counts:
            work.count(COUNT)
        for number in work.open():
            if not (problem.counts and self._hopeful(number)):
                self._decide(number)
        if problem.counts:
            work.count(1)
        return self._merged(work.findings())

    def _hopeful(self, number: int) -> bool:
        """Will counting end within the limit, if it goes on as it did?"""
        return self._work.progress(number) >= self._work.spent(number)

    def _decide(self, number: int) -> None:
        """A verdict of one network, by branching, and by asking where that can help."""
        opened = self._problem.networks[number]
        askable = self._work.spent(number) < 1 and self._few(opened)
        self._work.search(number, BRANCH if askable else 1)
        for name, share in ASKED if askable else ():
            if number in self._work.open() and number not in self._asked:
                self._ask(number, name, share)
        if number in self._work.open() and number not in self._asked:
            self._work.search(number, 1)

    def _few(self, opened: Opened) -> bool:
        """Do bounds leave few ReLUs open on the whole ladder?"""
        enclosure = enclosure_of(opened.network)
        if enclosure is None:
            return False
        rungs = self._problem.rungs
        return (
            survey(LadderBounds(enclosure, rungs, self._problem.label), whole(rungs)).unstable
            <= FEW
        )

    def _ask(self, number: int, name: str, share: float) -> None:
        """One network by another solver, up to a share of the limit."""
        limit, spent = self._problem.budget.seconds, self._work.spent(number)
        if spent >= share:
            return
        alone = replace(
            self._problem,
            networks=(self._problem.networks[number],),
            budget=Budget(limit * (share - spent)),
        )
        begin = time.perf_counter()
        found = guarded(named(name), alone).each[0]
        self._work.leave(number, time.perf_counter() - begin, found.proved)
        if found.stopped is None:
            self._asked[number] = replace(found, step=found.step or name)

    def _merged(self, findings: Findings) -> Findings:
        """With what others decided, unless it was counted after all."""
        each = list(findings.each)
        for number, found in self._asked.items():
            counted = not found.proved and each[number].effective is not None
            each[number] = replace(each[number], step=found.step) if counted else found
        run = max(findings.evaluated, *(found.evaluated for found in each))
        return Findings(tuple(each), findings.transfer, min(run, self._problem.rungs.count))
