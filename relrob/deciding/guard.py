"""A solver's crash is a finding about the network that it comes of, never the end of a run."""

from __future__ import annotations

import logging
from dataclasses import replace

from relrob.domain.verdict import Reason
from relrob.errors import RelrobError
from relrob.networks.batches import one_line
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import P, Query
from relrob.queries.solver import Solver

log = logging.getLogger(__name__)


def guarded(solver: Solver[P], query: Query[P]) -> Findings:
    """What the solver finds. After a crash each network is asked alone."""
    try:
        return solver.solve(query)
    except RelrobError:
        raise
    except Exception as error:
        first, *others = query.networks
        if others:
            return one_by_one(solver, query, error)
        tell(error, f"solver {solver.name}", first)
        nothing = Finding(
            proved=False,
            proposals=(),
            margin=None,
            evaluated=0,
            step=solver.name,
            stopped=crash_reason(error),
        )
        return alone((nothing,))


def one_by_one(solver: Solver[P], query: Query[P], error: Exception) -> Findings:
    """Each network by itself, after an error on one of them."""
    log.debug(
        "solver %s stopped with an error; each network is asked alone", solver.name, exc_info=error
    )
    found = [guarded(solver, replace(query, networks=(opened,))) for opened in query.networks]
    return Findings(
        tuple(each.each[0] for each in found), None, max(each.evaluated for each in found)
    )


def tell(error: Exception, who: str, opened: Opened, then: str = "") -> None:
    """One line; the traceback is for those who debug."""
    log.debug("%s on %s", who, opened.network.path, exc_info=error)
    log.warning(
        "%s stopped with an error on %s (%s)%s", who, opened.network.path, one_line(error), then
    )


def crash_reason(error: Exception) -> Reason:
    """Why a solver that raised this gives no answer."""
    return Reason.MEMORY if isinstance(error, MemoryError) else Reason.CRASH
