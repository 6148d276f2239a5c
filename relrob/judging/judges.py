"""Judges of a ladder's points: their labels and margins on one network, by its runtime, or in
faster arithmetic that leaves close calls to the runtime."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Protocol, final

import numpy as np

from relrob.bounding.ladder import LadderBounds
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Arithmetic
from relrob.judging.folded import FoldedDense
from relrob.judging.nearest import Near, NearestDense
from relrob.networks.batches import pixel_order
from relrob.networks.content import gives_logits
from relrob.networks.deployed import ALIKE, SeenBatches, filled, with_near_ties_alone
from relrob.networks.enclose import dynamic_layers, row_quantiser
from relrob.networks.enclosure import Enclosure
from relrob.networks.evaluator import labels
from relrob.networks.model import modelled_dense
from relrob.networks.open import Opened
from relrob.queries.properties import Label, Property, label_of
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole

log = logging.getLogger(__name__)

BLOCK: Final = 2048
# The number of points up to which the runtime judges all of them.
_FEW: Final = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """The final answers about a block of points: their labels (n,), where the property fails (n,),
    its margins (n,), and the number of close calls."""

    labels: Ints
    fails: Bools
    margins: Doubles
    close_calls: int = 0


class Judge(Protocol):
    """Judges points of one ladder by one property."""

    def see(self, masks: Bools) -> Seen:
        """The answers about the points with these masks."""
        ...


@final
class RuntimeJudge:
    """Runs each perturbed image on the network's runtime: in batches, and those near a tie once
    more by themselves, since many kernels round by the place in a batch.

    `compared`: the first images of this network, from all over a batch, are compared with the same
    by themselves (`SeenBatches`). Where they have the same bits, a near tie is a sixteenth as near.
    `close`: for close calls, whose label the last bit may decide. They are compared, and run by
    themselves unless the bits are the same.
    """

    def __init__(
        self,
        opened: Opened,
        rungs: RungSet,
        wanted: Property,
        close: bool = False,
        compared: bool = False,
    ) -> None:
        self._opened, self._rungs, self._wanted, self._close = opened, rungs, wanted, close
        self._seen: SeenBatches | None = None
        if close or compared:
            self._seen = opened.network.derived.once(SeenBatches, SeenBatches)
        self._images: Floats = np.empty((0, len(rungs.base)), np.float32)

    def see(self, masks: Bools) -> Seen:
        if len(masks) > len(self._images):
            self._images = np.empty((len(masks), len(self._rungs.base)), np.float32)
        self._rungs.fill(self._images, masks)
        images = self._images[: len(masks)]
        outputs = self._run(images)
        said, wanted = labels(outputs), self._wanted
        return Seen(said, wanted.fails(outputs, said), wanted.margins(outputs))

    def _run(self, images: Floats) -> Floats:
        """Outputs of the images, in a batch or alone."""
        opened = self._opened
        if opened.evaluator.best_batch == 1:
            return opened.evaluator.outputs(images)
        ties = self._wanted.near_ties
        if self._seen is not None and not self._seen.change(opened, images):
            outputs = opened.evaluator.outputs(filled(images))[: len(images)]
            return with_near_ties_alone(opened, outputs, images, ties, ALIKE)
        if self._close:
            return opened.replayer.outputs(images)
        return with_near_ties_alone(opened, opened.evaluator.outputs(images), images, ties)


@final
class FoldedJudge:
    """Judges labels in folded arithmetic, and leaves close calls to the runtime, one image at a
    time.

    Margins are of logits, also where the runtime gives probabilities. There a close call keeps the
    magnitude of the folded margin, and takes its sign from the runtime.
    """

    def __init__(
        self, opened: Opened, rungs: RungSet, wanted: Property, folded: FoldedDense
    ) -> None:
        self._folded, self._label = folded, label_of(wanted, "folded arithmetic")
        self._runtime = RuntimeJudge(opened, rungs, wanted, close=True)
        self._logits = gives_logits(opened.network)

    def see(self, masks: Bools) -> Seen:
        judged = self._folded.judge(masks)
        found, least = judged.labels.copy(), judged.margins.astype(np.float64)
        close = np.flatnonzero(judged.close)
        if len(close):
            again = self._runtime.see(masks[close])
            found[close], least[close] = again.labels, self._margins(least[close], again)
        return Seen(found, found != self._label, least, len(close))

    def _margins(self, folded: Doubles, again: Seen) -> Doubles:
        """Margins of close calls; an overflow in folded arithmetic leaves only the sign."""
        if self._logits:
            return again.margins
        return np.where(again.fails, np.fmin(folded, 0.0), np.fmax(folded, 0.0))


@final
class NearestJudge:
    """Judges labels by `NearestDense`, and asks the runtime where that is not enough.

    The runtime gives every label that is not sure, and the smallest margin of each block. Of many
    probabilities that are nearly equal, it gives the smallest of those that should be smallest.
    Every answer of the runtime is compared with the promise of `NearestDense`. If the first ones
    differ, the runtime alone judges.
    """

    def __init__(
        self, opened: Opened, rungs: RungSet, wanted: Property, enclosure: Enclosure
    ) -> None:
        self._opened, self._rungs, self._wanted = opened, rungs, wanted
        self._enclosure, self._label = enclosure, label_of(wanted, "rounding to the nearest level")
        self._runtime = RuntimeJudge(opened, rungs, wanted, compared=True)
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
            close[np.argsort(near.margins[close], kind="stable")[:_FEW]]
            if self._enclosure.probabilities
            else close
        ] = True
        asked[: _FEW * first] = True
        where = np.flatnonzero(asked)
        again = self._runtime.see(masks[where])
        if not _kept(near, where, again):
            if not first:
                raise ArithmeticError(
                    f"{self._opened.network.path} does not round to the nearest level"
                )
            log.warning(
                "%s: the runtime does not round to the nearest level", self._opened.network.path
            )
            self._dense = None
            return self._runtime.see(masks)
        near.labels[where], near.margins[where] = again.labels, again.margins
        return Seen(near.labels, near.labels != self._label, near.margins)

    def _made(self) -> NearestDense | None:
        """The network on the ladder, with bounds of its neurons over the whole ladder; None where
        nothing can be judged by it."""
        network = self._opened.network
        layers = dynamic_layers(network)
        if layers is None:
            return None
        every = LadderBounds(self._enclosure, self._rungs, self._label).neurons(whole(self._rungs))
        highest = [layer.high for layer in every[:-1]] + [
            np.maximum(np.abs(every[-1].low), np.abs(every[-1].high))
        ]
        if not all(np.isfinite(high).all() for high in highest):
            return None
        top = 255 if layers[0].asymmetric else 127
        order, quantiser = pixel_order(network), row_quantiser(network)
        gap = self._enclosure.gap if self._enclosure.probabilities else None
        made = NearestDense(layers, top, self._rungs, self._wanted, highest, order, quantiser, gap)
        return made if made.exact else None


def _kept(near: Near, where: Ints, again: Seen) -> bool:
    """Did the runtime keep the promises for the points `where`?"""
    error, sure = near.error[where], near.sure[where]
    off = np.abs(near.margins[where] - again.margins)
    return bool(
        ((off <= error) | np.isinf(error)).all()
        and (again.labels == near.labels[where])[sure].all()
    )


def nearest_judge(
    opened: Opened, rungs: RungSet, wanted: Property, enclosure: Enclosure | None
) -> Judge:
    """The judge of `judge_of`; of labels of an enclosed dynamic-range network one that gives the
    same and spares the runtime most points."""
    if enclosure is None or not isinstance(wanted, Label) or dynamic_layers(opened.network) is None:
        return judge_of(opened, rungs, wanted)
    return NearestJudge(opened, rungs, wanted, enclosure)


def judge_of(opened: Opened, rungs: RungSet, wanted: Property) -> Judge:
    """The folded judge of labels where the network is a float MLP, otherwise the runtime's. (A
    label that is certain for every float32 evaluation is certain over the reals.)"""
    network = opened.network
    if network.black_box or network.arithmetic is Arithmetic.INTEGER:
        return RuntimeJudge(opened, rungs, wanted)
    dense = modelled_dense(network)
    if dense is None or not isinstance(wanted, Label):
        return RuntimeJudge(opened, rungs, wanted)
    return FoldedJudge(opened, rungs, wanted, FoldedDense(dense, rungs, wanted))
