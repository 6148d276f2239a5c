"""`auto`: a chain of solvers, the cheapest first, on each network until it has a verdict; the
verdict names the step that gave it.

Ladders:

witness   a greedy search for an effective perturbation, and later a beam of them
bounds    one bound on the whole ladder
branch    bounds on parts of it: exact counts where asked, then, for a network that counting leaves
          open, the verdict alone
milp, smt where few ReLUs are open on the whole ladder, so that their question is one that they can
          answer
enumerate every point, where no network has bounds

These are steps over one work that is stopped and taken up again: counts that one step made are kept
by the next.

Balls and lattices: the first solver of the registry that takes the network, which looks for a
witness and bounds the whole region; where its bounds are not tight enough, branching, then MILP and
SMT where few ReLUs are open.

Shares are of the time limit of a network.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast, final

from relrob import registry
from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.deciding.guard import guarded, one_by_one, tell
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.errors import RelrobError, UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver, Stepwise, Work
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole

Step = tuple[str, float]  # a solver, and up to which share of the limit
COUNT: Final = 1 / 8  # of the limit, before a network without a verdict is searched for one
BRANCH: Final = 1 / 2  # of the limit, before a network with few open ReLUs is given to the others
ASKED: Final[tuple[Step, ...]] = (("milp", 3 / 4), ("smt", 7 / 8))
ALONE: Final[tuple[Step, ...]] = (("branch", 1.0),)
FOLLOWED: Final[tuple[Step, ...]] = (("branch", 3 / 4), ("milp", 7 / 8), ("smt", 1.0))
FEW: Final = 96  # open ReLUs of the whole region: programs of more do not end (measured)


@final
class Auto:
    """The chain for ladders. Complete, as `enumerate` and `branch` are."""

    name = "auto"
    complete = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Any ladder."""
        return named("enumerate").accepts(region, networks)

    def solve(self, query: Query[RungSet]) -> Findings:
        """Each network until it has a verdict, then the counts that time allows."""
        branch = cast(Stepwise, named("branch"))
        networks = [opened.network for opened in query.networks]
        if branch.accepts(query.points.region, networks) is not None:
            return _told(guarded(named("enumerate"), query), "enumerate")
        try:
            return _told(_Steps(query, branch.begin(query)).solve(), "branch")
        except (RelrobError, MemoryError):
            raise
        except Exception as error:
            first, *others = query.networks
            if others:
                return one_by_one(self, query, error)
            tell(error, "bounds", first, "; every point is run")
            return _told(guarded(named("enumerate"), query), "enumerate")


def named(name: str) -> Solver[RungSet]:
    """The solver of ladders of that name in the registry. Raises UsageError."""
    entries = registry.solvers("ladder", name) if name != "auto" else ()
    if not entries:
        raise UsageError(f"solver {name!r}", registry.names(registry.SOLVERS))
    solver: Solver[RungSet] = registry.load(entries[0].target)()
    return solver


def _told(findings: Findings, name: str) -> Findings:
    """With the name where a finding has no step."""
    return replace(
        findings, each=tuple(replace(each, step=each.step or name) for each in findings.each)
    )


@final
class _Steps:
    """The steps on one ladder, in order."""

    def __init__(self, query: Query[RungSet], work: Work) -> None:
        self._query, self._work = query, work
        self._asked: dict[int, Finding] = {}

    def solve(self) -> Findings:
        """Counting first, then verdicts, then what is left of the counting."""
        query, work = self._query, self._work
        if query.counts:
            work.count(COUNT)
        for number in work.open():
            if not (query.counts and self._hopeful(number)):
                self._decide(number)
        if query.counts:
            work.count(1)
        return self._merged(work.findings())

    def _hopeful(self, number: int) -> bool:
        """Will counting end within the limit, if it goes on as it did?"""
        return self._work.progress(number) >= self._work.spent(number)

    def _decide(self, number: int) -> None:
        """A verdict of one network, by branching, and by asking where that can help."""
        opened = self._query.networks[number]
        askable = self._work.spent(number) < 1 and self._few(opened)
        self._work.search(number, BRANCH if askable else 1)
        for name, share in ASKED if askable else ():
            if number in self._work.open() and number not in self._asked:
                self._ask(number, name, share)
        if number in self._work.open() and number not in self._asked:
            self._work.search(number, 1)

    def _few(self, opened: Opened) -> bool:
        """Do bounds leave few ReLUs open on the whole ladder?"""
        enclosure, rungs = enclosure_of(opened.network), self._query.points
        if enclosure is None:
            return False
        bounds = LadderBounds(enclosure, rungs, self._query.label)
        return survey(bounds, whole(rungs)).unstable <= FEW

    def _ask(self, number: int, name: str, share: float) -> None:
        """One network by another solver, up to a share of the limit."""
        limit, spent = self._query.budget.seconds, self._work.spent(number)
        if spent >= share:
            return
        alone = replace(
            self._query,
            networks=(self._query.networks[number],),
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
            each[number] = (
                replace(each[number], step=found.step)
                if counted
                else replace(found, cut=each[number].cut)
            )
        run = max(findings.evaluated, *(found.evaluated for found in each))
        return Findings(tuple(each), findings.transfer, min(run, self._query.points.count))


@final
class AutoBall:
    """The chain for balls and lattices: `first`, then others."""

    name = "auto"
    complete = False

    def __init__(self, first: Solver[BallSet]) -> None:
        self.first = first

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """What the first solver takes."""
        return self.first.accepts(region, networks)

    def solve(self, query: Query[BallSet]) -> Findings:
        """Each network by itself."""
        each = [replace(query, networks=(opened,)) for opened in query.networks]
        return alone(tuple(map(self._chained, each)))

    def _chained(self, query: Query[BallSet]) -> Finding:
        """What `first` finds of one network, and, where that is nothing because bounds are not
        tight enough, what others do."""
        begin, limit = time.perf_counter(), query.budget.seconds
        found = guarded(self.first, query).each[0]
        if found.stopped is not Reason.BOUNDS:
            return found
        for name, share in FOLLOWED if _few(query) else ALONE:
            left = limit * share - (time.perf_counter() - begin)
            for other in _followers(name, query) if left > 0 else ():
                next_one = guarded(other, replace(query, budget=Budget(left))).each[0]
                found = replace(
                    next_one,
                    margin=_least(found, next_one),
                    evaluated=found.evaluated + next_one.evaluated,
                )
            if found.proved or found.proposals:
                break
        return found


def _followers(name: str, query: Query[BallSet]) -> list[Solver[BallSet]]:
    """The solvers of that name that take the network in such a region."""
    region, networks = query.points.region, [opened.network for opened in query.networks]
    made: list[Solver[BallSet]] = [
        registry.load(entry.target)() for entry in registry.solvers(region.kind, name)
    ]
    return [solver for solver in made if solver.accepts(region, networks) is None]


def _few(query: Query[BallSet]) -> bool:
    """Do bounds leave few ReLUs of the network open?"""
    (opened,) = query.networks
    enclosure, part = enclosure_of(opened.network), moves_of(query.points)
    if enclosure is None or part is None:
        return False
    try:
        bounds = MovedBounds(BallBounds(enclosure, query.points, query.label))
        return survey(bounds, part).unstable <= FEW
    except Exception as error:
        tell(error, "the count of open ReLUs", opened, "; neither MILP nor SMT is asked")
        return False


def _least(*found: Finding) -> float | None:
    """The smallest margin met."""
    return min((each.margin for each in found if each.margin is not None), default=None)
