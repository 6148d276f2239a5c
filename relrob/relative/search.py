"""One image, two networks, the images that a search looked at: the sets as the founding paper's
scripts sort them.

The region is what the search looked at, so a verdict speaks of that and of nothing else: ROBUST is
no proof about any radius. Source: docs/regions.md, "The search".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from relrob.attacks.tree_search import TreeSearch
from relrob.domain.arrays import Bools, Ints
from relrob.domain.record import NETWORKS, ImageResult, Record, Set
from relrob.domain.region import Search
from relrob.domain.verdict import Status, Witness
from relrob.judging.judges import BLOCK, nearest_judge
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened
from relrob.queries.findings import Share
from relrob.queries.properties import Label
from relrob.regions.search_features import Groups, groups_of
from relrob.relative.classify import ties_of
from relrob.relative.sets import Effective
from relrob.relative.views import witness_view

_NAME = "search"


@dataclass(frozen=True, eq=False)
class SearchSetting:
    """What every image of a run shares; `networks`: reference and quantised."""

    networks: tuple[Opened, Opened]
    region: Search
    effective: Effective


@final
class _Watcher:
    """Labels images of one network by their masks, and keeps the smallest margin met; a search
    looks beyond the radius."""

    def __init__(self, opened: Opened, groups: Groups, label: int) -> None:
        self._opened, self._groups, self._label = opened, groups, label
        wanted, enclosure = Label(label), enclosure_of(opened.network)
        self._judge = nearest_judge(opened, groups.everything, wanted, enclosure)
        self.margin = np.inf

    def see(self, masks: Bools) -> Ints:
        """Labels (n,) of masks (n, F)."""
        parts = [
            self._groups.parts(masks[start : start + BLOCK])
            for start in range(0, len(masks), BLOCK)
        ]
        blocks = [self._judge.see(part) for part in parts]
        self.margin = min([self.margin, *(float(seen.margins.min()) for seen in blocks)])
        return np.concatenate([seen.labels for seen in blocks])

    def replay(self, mask: Bools) -> Witness | None:
        """The witness of one mask, as the runtime sees the image alone; None if it is right
        there."""
        image = self._groups.everything.images(self._groups.parts(mask[None, :]))
        outputs = self._opened.replayer.outputs(image)
        said, margin = int(labels(outputs)[0]), float(margins(outputs, self._label)[0])
        moved = tuple(int(g) for g in np.flatnonzero(mask))
        return (
            None
            if said == self._label
            else Witness(image[0], moved, self._groups.cost(mask), said, margin)
        )


def classify_search(
    setting: SearchSetting, index: int, image: NDArray[Any], label: int
) -> ImageResult:
    """Decide one image (H, W, C). Cost: `evaluations` images and what the last round adds, on each
    network."""
    begin, region = time.perf_counter(), setting.region
    groups = groups_of(region, image)
    base = groups.within.base
    outputs = [opened.replayer.outputs(base[None, :]) for opened in setting.networks]
    said = [int(labels(each)[0]) for each in outputs]
    clean = Record(index, label, said[0], said[1], Set.L_IC, ties=ties_of((), outputs))
    if said[0] != label and not region.misclassified:
        return ImageResult(clean, (), time.perf_counter() - begin)
    watchers = tuple(_Watcher(opened, groups, said[0]) for opened in setting.networks)
    visits = TreeSearch(
        groups,
        watchers[0].see,
        said[0],
        region.rollouts,
        region.evaluations,
        region.strict,
        (region.seed, index),
    ).run()
    kept = groups.distinct(visits.masks)
    masks = visits.masks[kept]
    both = visits.labels[kept], watchers[1].see(masks)
    found = _Found(groups, watchers, masks, both, said[0], setting.effective)
    record = replace(found.record(clean), ties=ties_of(found.ties(), outputs))
    views = tuple(
        witness_view(setting.networks, base, image, replace(record, label=said[0]), role, witness)
        for role, witness in zip(NETWORKS, found.witnesses, strict=True)
        if witness is not None
    )
    return ImageResult(record, views, time.perf_counter() - begin)


@final
class _Found:
    """What both networks say of the images looked at; `right`: the label that the search tried to
    change; `rule`: which effective perturbations decide; `witnesses`: one a network where it has
    any, of those that decide if possible, replayed."""

    def __init__(
        self,
        groups: Groups,
        watchers: tuple[_Watcher, ...],
        masks: Bools,
        said: tuple[Ints, Ints],
        right: int,
        rule: Effective,
    ) -> None:
        self._watchers, self._masks, self._said, self._right, self._rule = (
            watchers,
            masks,
            said,
            right,
            rule,
        )
        self._costs = np.asarray(groups.cost_units(masks))
        self._refuted = 0
        self.witnesses = tuple(self._witness(number) for number in range(len(watchers)))

    def _witness(self, number: int) -> Witness | None:
        """A label that the replay refutes is corrected, and counted."""
        while True:
            wrong = np.flatnonzero(self._said[number] != self._right)
            if not len(wrong):
                return None
            preferred = [
                at for at in self._chosen(self._rule) if self._said[number][at] != self._right
            ]
            at = int(preferred[0]) if preferred else int(wrong[0])
            witness = self._watchers[number].replay(self._masks[at])
            if witness is not None:
                return witness
            self._said[number][at] = self._right
            self._refuted += 1

    def _chosen(self, rule: Effective) -> Ints:
        """The reference's effective perturbations that decide: all, those of least cost, or the
        first one of the largest."""
        wrong = np.flatnonzero(self._said[0] != self._right)
        if not len(wrong) or rule is Effective.ALL:
            return wrong
        costs = self._costs[wrong]
        return (
            wrong[costs == costs.min()]
            if rule is Effective.CLOSEST
            else wrong[[int(costs.argmax())]]
        )

    def _share(self, chosen: Ints) -> Share:
        """How many of some effective perturbations of the reference transfer."""
        one, two = self._said[0][chosen], self._said[1][chosen]
        transferred = two != self._right
        return Share(len(chosen), int(transferred.sum()), int((transferred & (one == two)).sum()))

    def record(self, clean: Record) -> Record:
        """The row of an image that was searched."""
        status = [
            Status.ROBUST if witness is None else Status.NOT_ROBUST for witness in self.witnesses
        ]
        every, closest = (
            self._share(self._chosen(Effective.ALL)),
            self._share(self._chosen(Effective.CLOSEST)),
        )
        return replace(
            clean,
            set=self._set(self.witnesses[1] is not None),
            reference_verdict=status[0].value,
            quantised_verdict=status[1].value,
            points=len(self._masks),
            reference_effective=every.effective,
            quantised_effective=int((self._said[1] != self._right).sum()),
            transferred=every.transferred,
            same_class=every.same_class,
            closest_effective=closest.effective,
            closest_transferred=closest.transferred,
            reference_margin=self._watchers[0].margin,
            quantised_margin=self._watchers[1].margin,
            decided_by=f"{_NAME},{_NAME}",
            evaluated=len(self._masks),
            disagreements=self._refuted,
            clean_regression=clean.quantised_label != self._right,
        )

    def ties(self) -> list[bool]:
        """Is each network fooled by ties alone?"""
        return [
            witness is not None and witness.margin == 0 and watcher.margin >= 0
            for witness, watcher in zip(self.witnesses, self._watchers, strict=True)
        ]

    def _set(self, fooled: bool) -> Set:
        """R has no effective perturbation; else those that decide say which set."""
        share = self._share(self._chosen(self._rule))
        if not share.effective:
            return Set.RFP if fooled else Set.RQFP
        if not share.transferred:
            return Set.RQ
        return Set.R0 if share.transferred == share.effective else Set.MIXED
