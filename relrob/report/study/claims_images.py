"""Claims of Duncan et al. 2020 about single images and classes (Sec. IV-A and IV-B), judged by the
cells of one grid and kernel family."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.table_rows import LEAST, TableRow
from relrob.store.proportions import Bounds, Proportion, wilson

# The paper's largest gap between two labels, in points, and where it was met.
_GAP: Final = 63.87
_LABELS: Final = (1, 6)
_WHERE: Final = (Fraction(10), Fraction(1, 2))
# Labels that the paper calls often and seldom fooled, and the steps that it names.
_OFTEN: Final = (1, 4, 9)
_SELDOM: Final = (0, 2, 6)
_STEPS: Final = (Fraction(1, 2), Fraction(1, 4))
# The paper's least and greatest number of perturbed images around an image of R.
_SIZES: Final = (7119, 19801)


def lost_one(cells: Sequence[TableRow]) -> PaperClaim | None:
    """Sec. IV-B: of each image of R^FP one perturbed image alone is misclassified. One image with
    more of them refutes it; undecided images, or images that were not counted, leave it open."""
    says = "on each image of R^FP the quantised network gets exactly one perturbed image wrong"
    lost = [count for row in cells for count in row.lost]
    open_ = sum(row.robustness.images.undecided for row in cells)
    if not lost:
        why = f"no image in R^FP, {open_} that may be" if open_ else "no image in R^FP"
        return PaperClaim(says, Judgement.OPEN, why)
    found = Counter(count for count in lost if count is not None)
    more = sum(images for count, images in found.items() if count > 1)
    why = f"one on {found[1]} of {len(lost)} (image, cell)"
    if more:
        why += f", more on {more}, {max(found):,} at most"
        return PaperClaim(says, Judgement.NOT, why)
    whole = found[1] == len(lost) >= LEAST and not open_
    return PaperClaim(says, Judgement.REPRODUCED if whole else Judgement.OPEN, why)


def gap(cells: Sequence[TableRow]) -> PaperClaim | None:
    """Sec. IV-A and V: labels 1 and 6 of MNIST at radius 10, step 1/2; of all images of a label, as
    in the paper."""
    row = next((row for row in cells if (row.radius, row.step) == _WHERE), None)
    if row is None or row.dataset != "mnist":
        return None
    many, few = (_pooled(row, (label,)) for label in _LABELS)
    says = f"label 1 is fooled {_GAP} points more often than label 6 at radius 10, step 1/2"
    why = f"{_told(many)} less {_told(few)}"
    if min(many.whole, few.whole) < LEAST:
        return PaperClaim(says, Judgement.OPEN, f"{why}: too few images")
    low, high = difference(many, few)
    middle = "" if many.undecided or few.undecided else f" {_points(many, few):.1f} points,"
    why += f":{middle} {100 * low:.1f} to {100 * high:.1f} (95 %)"
    inside = 100 * low <= _GAP <= 100 * high
    return PaperClaim(says, Judgement.REPRODUCED if inside else Judgement.NOT, why)


def fragile(cells: Sequence[TableRow]) -> PaperClaim | None:
    """Sec. IV-A, of all images of a label."""
    rows = [row for row in cells if row.step in _STEPS and row.dataset == "mnist"]
    pairs = [(_pooled(row, _OFTEN), _pooled(row, _SELDOM)) for row in rows]
    pairs = [pair for pair in pairs if min(each.whole for each in pair) >= LEAST]
    if not pairs:
        return None
    says = "labels 1, 4 and 9 are fooled more often than 0, 2 and 6 at steps 1/2 and 1/4"
    ends = [difference(*pair) for pair in pairs]
    surely, never = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    least = f"at least {100 * min(low for low, _ in ends):.1f} points"
    why = f"surely in {surely} of {len(ends)} cells, by {least}" if surely else "in no cell surely"
    if never:
        return PaperClaim(says, Judgement.NOT, f"the other way round in {never} of {len(ends)}")
    whole = surely == len(ends)
    return PaperClaim(says, Judgement.REPRODUCED if whole else Judgement.OPEN, why)


def sizes(cells: Sequence[TableRow]) -> PaperClaim | None:
    """Sec. IV-B, in the cells of Table II. Searches alone are compared: a ladder's size is a matter
    of its radius and step."""
    met = [
        row.sizes
        for row in cells
        if row.region == "search" and row.robustness.published is not None and row.sizes is not None
    ]
    if not met:
        return None
    low, high = min(least for least, _ in met), max(most for _, most in met)
    says = f"a search looks at {_SIZES[0]:,} to {_SIZES[1]:,} images around an image of R"
    inside = _SIZES[0] <= low and high <= _SIZES[1]
    why = f"{low:,} to {high:,} here, where a search ends by a count and not by a clock"
    return PaperClaim(says, Judgement.REPRODUCED if inside else Judgement.NOT, why)


def difference(one: Proportion, other: Proportion) -> Bounds:
    """The 95 % interval of the difference of two independent shares (Newcombe 1998, method 10).

    Undecided images widen it: its lower end is that of the least share less the greatest.

    >>> low, high = difference(Proportion(56, 14), Proportion(48, 32))
    >>> print(f"{low:.4f} {high:.4f}")
    0.0524 0.3339
    """
    return _reach(one.worst, other.best)[0], _reach(one.best, other.worst)[1]


def _reach(one: tuple[int, int] | None, other: tuple[int, int] | None) -> Bounds:
    if one is None or other is None:
        return -1.0, 1.0
    (k, n), (other_k, m) = one, other
    low, high = wilson(k, n)
    below, above = wilson(other_k, m)
    p, q = k / n, other_k / m
    return (
        p - q - math.hypot(p - low, above - q),
        p - q + math.hypot(high - p, q - below),
    )


def _pooled(row: TableRow, labels: Iterable[int]) -> Proportion:
    """Images of these labels together."""
    each = [row.by_label[label].images for label in labels if label in row.by_label]
    return Proportion(
        sum(one.part for one in each), sum(one.rest for one in each), sum(one.open for one in each)
    )


def _points(one: Proportion, other: Proportion) -> float:
    return 100 * (one.part / one.whole - other.part / other.whole)


def _told(share: Proportion) -> str:
    if share.undecided:
        return f"{share.part} to {share.part + share.open} of {share.whole}"
    return f"{share.part} of {share.whole}"
