"""The critical radius of one network around one image, narrowed down between a proof and a
witness.

A radius is called proved only where the verdict about that very region was ROBUST, and broken only
at the exact distance of a witness that was replayed (`relrob.deciding`). A proof holds for all
smaller regions, a witness for all larger ones (`relrob.regions.nested`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, final

import numpy as np

from relrob.deciding.decide import decide
from relrob.deciding.replay import replay
from relrob.domain.arrays import Floats, Proposal
from relrob.domain.radius import Interval
from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.errors import AlarmError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.queries.spots import Spots
from relrob.regions.nested import Nest, placed, proposal

CLEAN: Final = "clean image"
TRANSFER: Final = "transfer"
_LEAST: Final = 0.05  # seconds left for which no solver is begun
_SEGMENT: Final = 16  # parts of the way to a witness, at whose ends images are run
_ROUNDS: Final = 2


@final
class Radii:
    """What is known of one network around one image, by the numbers of the regions (`Nest`).

    `proved`: the largest region that was proved, -1 where the image itself is wrong; `broken`: the
    smallest that holds the witness, one above the largest where there is none.
    """

    def __init__(self, nest: Nest, opened: Opened, label: int, spots: Spots) -> None:
        self.nest, self.opened, self.label, self._spots = nest, opened, label, spots
        self._whole = nest.points(nest.top)
        self.proved, self._proved_by = 0, CLEAN
        self.broken, self._broken_by = nest.top + 1, ""
        self.witness: Witness | None = None
        self._distance: Fraction | None = None
        self._asked, self._reason = 0, Reason.TIME.value
        self._replay(nest.top, proposal(self._whole, self._whole.base, ()), CLEAN)

    @property
    def interval(self) -> Interval:
        """What is known."""
        decided = self.broken <= self.proved + 1
        return Interval(
            proved=None if self.proved < 0 else self.nest.radius(self.proved),
            broken=self._distance,
            decided=decided,
            proved_by=self._proved_by,
            broken_by=self._broken_by,
            label=-1 if self.witness is None else self.witness.label,
            asked=self._asked,
            reason="" if decided else self._reason,
        )

    def search(self, solver: str | Solver[Any], deadline: Deadline, share: float) -> None:
        """Halve what is open, again and again, until nothing is or the time is up. `share`: of the
        time left, for one region. Raises AlarmError.

        Below the smallest region that the solver leaves open, proofs are sought, and above the
        largest such, witnesses; first where more is open.
        """
        low, high = self.broken, self.proved
        while True:
            low, high = min(low, self.broken), max(high, self.proved)
            proofs, witnesses = low - self.proved, self.broken - high
            if max(proofs, witnesses) <= 1:
                return
            if deadline.left <= _LEAST:
                self._reason = Reason.TIME.value
                return
            further = witnesses > proofs
            number = high + witnesses // 2 if further else self.proved + proofs // 2
            if self._ask(number, solver, deadline.left * share) is Status.UNKNOWN:
                low, high = min(low, number), max(high, number)

    def lend(self, witness: Witness | None) -> None:
        """Try a witness of the other network, and in a ball images as far again beyond it. Raises
        AlarmError."""
        if witness is None or self.proved < 0:
            return
        point = proposal(self._whole, witness.image, witness.moved)
        if not self._replay(self.nest.top, point, TRANSFER):
            self._along(witness.image, 1.0, 2.0, TRANSFER)

    def meet(self, number: int, image: Floats, by: str) -> bool:
        """Is an image (d,) that somebody proposes wrong, as the point of the region of that number
        that it is rounded to? Then it is a witness. Raises AlarmError."""
        point = placed(self.nest.points(number), image)
        return point is not None and self._replay(number, point, by)

    def _ask(self, number: int, solver: str | Solver[Any], seconds: float) -> Status:
        """The verdict about one region, by which more is known."""
        points = self.nest.points(number)
        budget = Budget(seconds)
        query = Query(points, Label(self.label), (self.opened,), budget, spots=self._spots)
        self._asked += 1
        verdict: Verdict = decide(query, solver).verdicts[0]
        if verdict.status is Status.ROBUST:
            self._prove(number, verdict.solver)
        if verdict.witness is not None and self._take(verdict.witness, verdict.solver, number):
            self._along(verdict.witness.image, 0.0, 1.0, verdict.solver)
        if verdict.reason is not None:
            self._reason = verdict.reason.value
        return verdict.status

    def _prove(self, number: int, by: str) -> None:
        """The network is right on the whole region. Raises AlarmError."""
        if self.broken <= number:
            raise self._alarm(number, by, self._broken_by)
        if number > self.proved:
            self.proved, self._proved_by = number, by

    def _replay(self, number: int, point: Proposal, by: str) -> bool:
        """Run a point of a region as deployed; is it wrong?"""
        points = self._whole if number == self.nest.top else self.nest.points(number)
        found = replay(self.opened, points, Label(self.label), point)[1]
        if found is not None:
            self._take(found, by, number)
        return found is not None

    def _take(self, witness: Witness, by: str, within: int) -> bool:
        """Keep a replayed witness in the region `within` if it is nearer than the one there is.
        Raises AlarmError where it lies in a region that was proved."""
        # A root that was rounded up may be above a radius that the root itself is not.
        distance = min(self.nest.distance(self._whole.base, witness), self.nest.radius(within))
        number = self.nest.number(distance)
        if number == 0 and self.proved == 0:
            self.proved, self._proved_by = -1, ""
        elif number <= self.proved:
            raise self._alarm(self.proved, self._proved_by, by)
        if self._distance is not None and distance >= self._distance:
            return False
        self.witness, self._distance, self._broken_by = witness, distance, by
        self.broken = number
        return True

    def _along(self, image: Floats, low: float, high: float, by: str) -> None:
        """Run images of a ball from `low` to `high` of the way from the clean image to `image` and
        beyond, and keep the nearest that is wrong, if any is."""
        points = self._whole
        if points.joint is True:
            return
        moves = image.astype(np.float64) - points.base
        for _ in range(_ROUNDS):
            shares = np.linspace(low, high, _SEGMENT + 1)
            made = [(at, points.point(moves * shares[at])) for at in range(1, _SEGMENT + 1)]
            images = [(at, image) for at, image in made if image is not None]
            if not images:
                return
            outputs = self.opened.replayer.outputs(np.stack([image for _, image in images]))
            wrong = np.flatnonzero(labels(outputs) != self.label)
            if not len(wrong):
                return
            at, nearest = images[int(wrong[0])]
            self._replay(self.nest.top, nearest, by)
            low, high = float(shares[at - 1]), float(shares[at])

    def _alarm(self, number: int, proved_by: str, broken_by: str) -> AlarmError:
        """A proof and a witness that contradict each other."""
        which = self.opened.role or self.opened.network.path
        radius = float(self.nest.radius(number))
        return AlarmError(
            f"image {self._spots.image}: {broken_by} found an image that the {which} network gets "
            f"wrong inside the region of radius {radius:g}, where {proved_by} proved {self.label}; "
            "nothing is pronounced; please report this with the two files"
        )
