"""What the rules are about: sets of images, counted from the rows of an audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relrob.audit.rows import NOTHING, Row

Images = frozenset[int]


@dataclass(frozen=True)
class Facts:
    """Sets of image indices.

    All `images` of the data set: `differ` have two labels; `regressions` only the reference gets
    right, `gains` only the quantised network; `right` the quantised network gets right. `labelled`:
    are the labels those of the data set? `blocking`: names of blocking diagnoses.

    Sampled, where `looked`: `asked`, the reference gets it right; `kept`, `lost` and `left`, the
    reference is robust, and the quantised network is, is not or is undecided; `unsure`, the
    reference is undecided and the quantised network is not known to be robust; `held`, the
    reference is undecided and the quantised network robust; `withstood`, nothing fooled the
    undecided reference; `fooled`, of these, the quantised network was; `undecided`, one network or
    both; `crashed`, of these, a solver stopped with an error.

    `runtimes`: (most labels that differ between two runtimes, images compared), None where one
    runtime alone was there.

    `attacked`: sampled images on which attacks were tried on the quantised network; `beaten`, one
    of them fooled it inside the region; `resisted`, the reference was tried too and withstood all
    of them; `newly_beaten`, of these, those that are beaten.
    """

    images: int
    labelled: bool
    blocking: tuple[str, ...]
    differ: Images
    regressions: Images
    gains: Images
    right: Images
    looked: bool
    asked: Images
    kept: Images
    lost: Images
    left: Images
    unsure: Images
    held: Images
    withstood: Images
    fooled: Images
    undecided: Images
    crashed: Images
    runtimes: tuple[int, int] | None = None
    attacked: Images = frozenset()
    beaten: Images = frozenset()
    resisted: Images = frozenset()
    newly_beaten: Images = frozenset()

    @property
    def robust(self) -> Images:
        """Images around which the reference is robust."""
        return self.kept | self.lost | self.left


def _of(rows: Iterable[Row]) -> Images:
    return frozenset(row.index for row in rows)


def facts_of(
    rows: Sequence[Row],
    labelled: bool = True,
    blocking: Sequence[str] = (),
    runtimes: tuple[int, int] | None = None,
) -> Facts:
    """The facts of some rows."""
    asked = [row for row in rows if row.reference_verdict]
    robust = [row for row in asked if row.reference_verdict == "ROBUST"]
    unknown = [row for row in asked if row.reference_verdict == "UNKNOWN"]
    withstood = [row for row in unknown if row.withstood]
    resisted = [row for row in rows if row.quantised_attacked and row.reference_attacked == NOTHING]
    good = {row.index: row.quantised_label == row.label for row in rows}
    better = {row.index: row.reference_label == row.label for row in rows}
    return Facts(
        images=len(rows),
        labelled=labelled,
        blocking=tuple(sorted(set(blocking))),
        differ=_of(row for row in rows if row.reference_label != row.quantised_label),
        regressions=frozenset(at for at in good if better[at] and not good[at]),
        gains=frozenset(at for at in good if good[at] and not better[at]),
        right=frozenset(at for at in good if good[at]),
        looked=any(row.sampled for row in rows),
        asked=_of(asked),
        kept=_of(row for row in robust if row.quantised_verdict == "ROBUST"),
        lost=_of(row for row in robust if row.lost),
        left=_of(row for row in robust if row.quantised_verdict == "UNKNOWN"),
        unsure=_of(row for row in withstood if row.quantised_verdict != "ROBUST"),
        held=_of(row for row in unknown if row.quantised_verdict == "ROBUST"),
        withstood=_of(withstood),
        fooled=_of(row for row in withstood if row.quantised_verdict == "NOT_ROBUST"),
        undecided=_of(row for row in asked if row.undecided),
        crashed=_of(row for row in asked if row.crashed),
        runtimes=runtimes,
        attacked=_of(row for row in rows if row.quantised_attacked),
        beaten=_of(row for row in rows if row.beaten),
        resisted=_of(resisted),
        newly_beaten=_of(row for row in resisted if row.beaten),
    )
