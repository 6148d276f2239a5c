"""The solvers that the suite asks, by class: those of ladders and those of balls, `auto`, and
settings that small cases need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from relrob import registry
from relrob.deciding.choose import solver_named
from relrob.errors import UsageError
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet

AUTO: Final = "auto"
TWOS: Final = "Branch, leaves of 2"


@dataclass(frozen=True, eq=False)
class Asked:
    """Solvers by the name of their class. `auto` is one for ladders, and None, the chain, for
    balls."""

    ladders: dict[str, Solver[RungSet]]
    balls: dict[str, Solver[BallSet] | None]

    @property
    def classes(self) -> list[str]:
        """Each class once, `auto` among them; other settings of a class are none of their own."""
        return [name for name in dict.fromkeys([*self.ladders, *self.balls]) if name != TWOS]


def asked(names: Sequence[str] = ()) -> Asked:
    """The solvers of these names, as users type them or of their classes; none: all of them. Raises
    UsageError."""
    ladders, balls = _ladders(names), _balls(names)
    known = {
        AUTO,
        *(name for entry in registry.SOLVERS for name in (entry.method, entry.name)),
        *map(_class, registry.SOLVERS),
    }
    for name in names:
        if name not in known:
            raise UsageError(f"solver {name!r}", ", ".join(sorted(known)))
    return Asked(ladders, balls)


def _class(entry: registry.Entry) -> str:
    return entry.target.partition(":")[2]


def _wanted(entry: registry.Entry, names: Sequence[str]) -> bool:
    return not names or bool({entry.method, entry.name, _class(entry)} & set(names))


def _ladders(names: Sequence[str]) -> dict[str, Solver[RungSet]]:
    made: dict[str, Solver[RungSet]] = (
        {AUTO: solver_named(AUTO)} if not names or AUTO in names else {}
    )
    made |= {
        _class(entry): solver_named(entry.method)
        for entry in registry.solvers("ladder")
        if _wanted(entry, names)
    }
    if not names:
        made[TWOS] = registry.load("relrob_solvers.branch_ladder:Branch")(leaf=2)
    return made


def _balls(names: Sequence[str]) -> dict[str, Solver[BallSet] | None]:
    made: dict[str, Solver[BallSet] | None] = {AUTO: None} if not names or AUTO in names else {}
    return made | {
        _class(entry): registry.load(entry.target)()
        for entry in registry.solvers("linf")
        if _wanted(entry, names)
    }
