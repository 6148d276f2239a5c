"""A search for a witness in a ball or lattice, by outputs alone: any network, and no proof ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from relrob.attacks.score_search import score_search
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet

_NAME: Final = "witness"


@final
class Searched:
    """Seconds an image; UNKNOWN where no witness is met. For networks that have no bounds."""

    name = _NAME
    complete = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Any network."""
        return None

    def solve(self, query: Query[BallSet]) -> Findings:
        """A witness or nothing, of each network by itself."""
        return alone(tuple(_find(query, opened) for opened in query.networks))


def _find(query: Query[BallSet], opened: Opened) -> Finding:
    """One network."""
    found = score_search(
        query.points,
        query.label,
        opened.network.image_shape,
        opened.evaluator.outputs,
        opened.replayer.outputs,
        Deadline(query.budget.seconds),
    )
    if found.witness is None:
        return Finding(False, (), found.least, found.tried, _NAME, Reason.UNBOUNDED)
    return Finding(False, (found.witness,), found.least, found.tried, _NAME)
