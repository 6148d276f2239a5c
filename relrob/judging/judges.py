"""What solvers share: judging points on a network, tallying what is seen, counting transfer, and the cheap search for a witness."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, final

import numpy as np

from relrob.bounding.certain import Settled
from relrob.bounding.ladder import LadderBounds
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Arithmetic
from relrob.domain.verdict import Reason
from relrob.judging.folded import FoldedDense, gives_logits
from relrob.judging.nearest import Near, NearestDense
from relrob.networks.batches import pixel_order
from relrob.networks.enclose import dynamic_layers, row_quantiser
from relrob.networks.enclosure import Enclosure
from relrob.networks.evaluator import labels, margins
from relrob.queries.problem import Finding, Opened, Share, Transfer
from relrob.queries.spots import NetworkSpots
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, whole

log = logging.getLogger(__name__)

BLOCK: Final = 2048
WITNESS: Final = "witness"
BOUNDS: Final = "bounds"
_FEW: Final = 64  # points that the runtime judges itself
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Seen:
    """Labels (n,) and margins (n,) of a block of points, final."""

    labels: Ints
    margins: Doubles
    thin: int = 0


class Judge(Protocol):
    """Labels points of one ladder."""

    def see(self, masks: Bools) -> Seen:
        """Labels and margins of the points with these masks."""
        ...


@final
class RuntimeJudge:
    """Runs each perturbed image on the network's runtime."""

    def __init__(self, opened: Opened, rungs: RungSet, label: int) -> None:
        self._opened, self._rungs, self._label = opened, rungs, label
        self._images: Floats = np.empty((0, len(rungs.base)), np.float32)

    def see(self, masks: Bools) -> Seen:
        if len(masks) > len(self._images):
            self._images = np.empty((len(masks), len(self._rungs.base)), np.float32)
        self._rungs.fill(self._images, masks)
        outputs = self._opened.evaluator.outputs(self._images[: len(masks)])
        return Seen(labels(outputs), margins(outputs, self._label))


@final
class FoldedJudge:
    """Judges in folded arithmetic, and leaves thin margins to the runtime. Margins are of logits, also where the runtime gives
    probabilities: a thin one is then the folded one, its sign the runtime's."""

    def __init__(self, opened: Opened, rungs: RungSet, label: int, folded: FoldedDense) -> None:
        self._folded, self._label = folded, label
        self._runtime = RuntimeJudge(opened, rungs, label)
        self._logits = gives_logits(opened.network)

    def see(self, masks: Bools) -> Seen:
        judged = self._folded.judge(masks)
        found, least = judged.labels.copy(), judged.margins.astype(np.float64)
        thin = np.flatnonzero(judged.thin)
        if len(thin):
            again = self._runtime.see(masks[thin])
            found[thin], least[thin] = again.labels, self._margins(least[thin], again)
        return Seen(found, least, len(thin))

    def _margins(self, folded: Doubles, again: Seen) -> Doubles:
        """Margins of thin points; an overflow in folded arithmetic leaves only the sign."""
        if self._logits:
            return again.margins
        right = again.labels == self._label
        return np.where(right, np.fmax(folded, 0.0), np.fmin(folded, 0.0))


@final
class NearestJudge:
    """Judges by `NearestDense`; the runtime itself gives every label that is not sure, and the smallest margin of each block (of
    many probabilities as good as equal, the smallest of those that should be smallest).

    What the runtime gives is compared with what was promised of it: at first, to judge by the runtime alone where they differ.
    """

    def __init__(self, opened: Opened, rungs: RungSet, label: int, enclosure: Enclosure) -> None:
        self._opened, self._rungs, self._label, self._enclosure = opened, rungs, label, enclosure
        self._runtime = RuntimeJudge(opened, rungs, label)
        self._dense: NearestDense | None = None
        self._tried = False

    def see(self, masks: Bools) -> Seen:
        if len(masks) < _FEW:
            return self._runtime.see(masks)
        first = not self._tried
        if first:
            self._dense, self._tried = self._made(), True
        if self._dense is None:
            return self._runtime.see(masks)
        near = self._dense.judge(masks)
        asked = ~near.sure
        close = np.flatnonzero(near.margins - near.error <= (near.margins + near.error).min())
        asked[
            close[np.argsort(near.margins[close], kind="stable")[:_FEW]] if self._enclosure.probabilities else close
        ] = True
        asked[: _FEW * first] = True
        where = np.flatnonzero(asked)
        again = self._runtime.see(masks[where])
        if not _kept(near, where, again):
            if not first:
                raise ArithmeticError(f"{self._opened.network.path} does not round to the nearest level")
            log.warning("%s: the runtime does not round to the nearest level", self._opened.network.path)
            self._dense = None
            return self._runtime.see(masks)
        near.labels[where], near.margins[where] = again.labels, again.margins
        return Seen(near.labels, near.margins)

    def _made(self) -> NearestDense | None:
        """The network on the ladder, with bounds of its neurons over the whole of it; None where it cannot be judged by."""
        network = self._opened.network
        layers = dynamic_layers(network)
        if layers is None:
            return None
        every = LadderBounds(self._enclosure, self._rungs, self._label).neurons(whole(self._rungs))
        highest = [layer.high for layer in every[:-1]] + [np.maximum(np.abs(every[-1].low), np.abs(every[-1].high))]
        top = 255 if layers[0].asymmetric else 127
        order, quantiser = pixel_order(network), row_quantiser(network)
        gap = self._enclosure.gap if self._enclosure.probabilities else None
        made = NearestDense(layers, top, self._rungs, self._label, highest, order, quantiser, gap)
        return made if made.exact else None


def _kept(near: Near, where: Ints, again: Seen) -> bool:
    """Did the runtime do at the points `where` what was promised?"""
    error, sure = near.error[where], near.sure[where]
    off = np.abs(near.margins[where] - again.margins)
    return bool(((off <= error) | np.isinf(error)).all() and (again.labels == near.labels[where])[sure].all())


def nearest_judge(opened: Opened, rungs: RungSet, label: int, enclosure: Enclosure | None) -> Judge:
    """`judge_of`, or for an enclosed dynamic-range network one that spares the runtime most points and gives the same."""
    if enclosure is None or dynamic_layers(opened.network) is None:
        return judge_of(opened, rungs, label)
    return NearestJudge(opened, rungs, label, enclosure)


def judge_of(opened: Opened, rungs: RungSet, label: int) -> Judge:
    """Folded where the network is a float MLP (what is certain for every float32 evaluation is so over the reals), the runtime
    otherwise."""
    network, dense = opened.network, opened.network.dense
    if dense is None or network.black_box or network.arithmetic is Arithmetic.INTEGER:
        return RuntimeJudge(opened, rungs, label)
    return FoldedJudge(opened, rungs, label, FoldedDense(dense, rungs, label))


@dataclass
class Tally:
    """What has been seen of one network so far; `hint`: a witness of a search that does not count; `searched`, `tried`: points
    run by the greedy search and by later ones; `visited`: points run one by one and counted; `proved`: points decided without
    running them; `step`: as in `Finding`; `spots`: where points of what is proved are run."""

    judge: Judge
    label: int
    limit: float
    hint: Bools | None = None
    searched: int = 0
    tried: int = 0
    visited: int = 0
    effective: int = 0
    proved: int = 0
    thin: int = 0
    margin: float = float("inf")
    thinnest: Bools | None = None
    thinnest_margin: float = float("inf")
    closest: Bools | None = None
    closest_cost: Any = None
    spent: float = 0.0
    finished: bool = False
    step: str = ""
    spots: NetworkSpots | None = None

    @property
    def fooled(self) -> bool:
        """Is there an effective perturbation?"""
        return self.effective > 0 or self.hint is not None

    @property
    def late(self) -> bool:
        """True when the time limit has passed."""
        return self.spent > self.limit

    def see(self, masks: Bools) -> Seen:
        """Judge a block; keeps the time, the smallest margin and the point where it was met."""
        with self.clock():
            seen = self.judge.see(masks)
            least = int(seen.margins.argmin())
            if self.thinnest is None or seen.margins[least] < self.thinnest_margin:
                self.thinnest_margin, self.thinnest = float(seen.margins[least]), masks[least].copy()
            self.margin = min(self.margin, self.thinnest_margin)
        return seen

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Charge the time of the block to this network."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.spent += time.perf_counter() - begin

    def visit(self, masks: Bools, rungs: RungSet) -> Ints:
        """Judge a block of the enumeration and count it; returns its labels."""
        seen = self.see(masks)
        self.visited += len(masks)
        self.thin += seen.thin
        where = np.flatnonzero(seen.labels != self.label)
        if len(where):
            self.effective += len(where)
            costs = rungs.cost_units(masks[where])
            best = int(costs.argmin())
            if self.closest is None or costs[best] < self.closest_cost:
                self.closest, self.closest_cost = masks[where[best]].copy(), costs[best]
        return seen.labels

    def accept(self, part: Part, said: int, margin: float) -> None:
        """Every point of the part has the label `said`, proved; `margin` bounds its margins, from above where it is wrong."""
        self.proved += part.count
        self.margin = min(self.margin, margin)
        if said != self.label:
            self.effective += part.count
            if self.closest is None or part.spent < self.closest_cost:
                cheapest = np.zeros(part.rungs.features, dtype=np.bool_)
                cheapest[list(part.moved)] = True
                self.closest, self.closest_cost = cheapest, part.spent

    def settled(self, part: Part, settled: Settled) -> None:
        """Bounds proved one label of a part: have points of it run. Raises AlarmError."""
        if self.spots is not None and settled.label is not None:
            with self.clock():
                self.spots.part(part, settled.label, settled.least, settled.gains)

    def finding(self, counted: bool) -> Finding:
        """The result; `counted`: the enumeration was to visit every point."""
        suspects = (self.closest if self.closest is not None else self.hint, self.thinnest)
        return Finding(
            proved=self.finished and not self.fooled,
            effective=self.effective if counted and self.finished else None,
            proposals=tuple(mask for mask in suspects if mask is not None),
            margin=self.margin if np.isfinite(self.margin) else None,
            evaluated=max(self.visited + self.tried, self.searched),
            stopped=None if self.finished or self.fooled else Reason.TIME,
            thin=self.thin,
            step=self.step,
        )


def greedy(tally: Tally, rungs: RungSet) -> None:
    """A cheap search: add the feature that lowers the margin most, while the radius allows; stops at the first witness."""
    mask = np.zeros(rungs.features, dtype=np.bool_)
    spent = 0
    while tally.hint is None and not tally.late:
        options = [int(g) for g in np.flatnonzero(~mask) if spent + rungs.costs[g] <= rungs.budget]
        if not options:
            return
        block = np.repeat(mask[None, :], len(options), axis=0)
        block[np.arange(len(options)), options] = True
        seen = tally.see(block)
        tally.searched += len(block)
        best = int(seen.margins.argmin())
        mask, spent = block[best], spent + rungs.costs[options[best]]
        if seen.labels[best] != tally.label:
            tally.hint, tally.step = mask.copy(), WITNESS


def charged(blocks: Iterator[T], tallies: Sequence[Tally]) -> Iterator[T]:
    """The blocks; the time that it takes to list them is charged to every network."""
    while True:
        begin = time.perf_counter()
        block = next(blocks, None)
        for tally in tallies:
            tally.spent += time.perf_counter() - begin
        if block is None:
            return
        yield block


class _Extreme:
    """Shares at the least (sign 1) or the largest (sign -1) cost of an effective perturbation of the first network."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._cost: Any = None
        self.share = Share()

    def add(self, cost: Any, share: Share) -> None:
        """Effective perturbations of one cost."""
        signed = cost * self._sign
        if self._cost is None or signed < self._cost:
            self._cost, self.share = signed, share
        elif signed == self._cost:
            self.share = add_shares(self.share, share)


def add_shares(one: Share, two: Share) -> Share:
    """The sum, number by number."""
    return Share(one.effective + two.effective, one.transferred + two.transferred, one.same_class + two.same_class)


class TransferCount:
    """Transfer from the first network to the second, fed with blocks of points and with whole parts."""

    def __init__(self, rungs: RungSet, label: int) -> None:
        self._rungs, self._label = rungs, label
        self._everything = Share()
        self._closest, self._farthest = _Extreme(1), _Extreme(-1)

    def add_points(self, masks: Bools, first: Ints, second: Ints) -> None:
        """Points (n, F) and the labels (n,) that the two networks give them."""
        where = np.flatnonzero(first != self._label)
        if not len(where):
            return
        transfers = second[where] != self._label
        same = transfers & (first[where] == second[where])
        self._everything = add_shares(self._everything, _share(transfers, same))
        costs = self._rungs.cost_units(masks[where])
        for extreme, best in ((self._closest, costs.min()), (self._farthest, costs.max())):
            at = np.asarray(costs == best, dtype=np.bool_)
            extreme.add(best, _share(transfers[at], same[at]))

    def add_part(self, part: Part, first: int, second: int, dearest: tuple[int, int]) -> None:
        """All points of a part have these labels; `dearest` is the part's largest cost and its number of points."""
        if first == self._label:
            return
        transfers, same = int(second != self._label), int(first == second)
        self._everything = add_shares(self._everything, Share(part.count, part.count * transfers, part.count * same))
        self._closest.add(part.spent, Share(1, transfers, same))
        cost, ways = dearest
        self._farthest.add(cost, Share(ways, ways * transfers, ways * same))

    @property
    def result(self) -> Transfer:
        """The counts so far."""
        return Transfer(self._everything, self._closest.share, self._farthest.share)


def _share(transfers: Bools, same: Bools) -> Share:
    return Share(len(transfers), int(transfers.sum()), int(same.sum()))
