"""The claims of Duncan et al. 2020 judged by a study: reproduced, not reproduced or inconclusive.

A judgement rests on the Wilson interval (95 %) of each cell, so a cell of few images decides
little, in either direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from relrob.report.study.claims_images import fragile, gap, lost_one, sizes
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.table_rows import Rate, TableRow
from relrob.store.proportions import Bounds

# The least relative robustness that the paper claims, in percent.
_ROBUST: Final = 98.0
# The largest loss of accuracy that the paper claims, in points.
_COST: Final = 0.03
# The paper's largest losses of robustness and of transfer, in points.
_LOSSES: Final = (1.4, 48.0)
_MAIN: Final = "duncan2020.csv"
# Of its tables and claims.
_RADII: Final = (10, 20)


def claims(published: str, rows: Sequence[TableRow]) -> list[PaperClaim]:
    """The claims of the paper, for each grid and runtime of a study.

    `published`: the table of published numbers beside the study's; another table has no claims. A
    grid of other radii has none either.
    """
    if published != _MAIN:
        return []
    groups: dict[tuple[str, str], list[TableRow]] = {}
    for row in rows:
        groups.setdefault((row.grid, row.runtime), []).append(row)
    found = []
    for (grid, runtime), cells in groups.items():
        if not any(row.radius in _RADII for row in cells):
            continue
        for claim in (
            _robust(cells),
            _falls(cells),
            _accurate(cells),
            _unequal(cells),
            _radius(cells),
            _wider(cells),
            lost_one(cells),
            gap(cells),
            fragile(cells),
            sizes(cells),
        ):
            if claim is not None:
                found.append(
                    PaperClaim(f"{grid}, {runtime}: {claim.says}", claim.judgement, claim.why)
                )
    return found


def _robust(cells: list[TableRow]) -> PaperClaim:
    """Claim 34."""
    says = "relative robustness is 98 % or more at every radius and step"
    rates = [(row.robustness.interval, row) for row in cells]
    below = [row for ends, row in rates if ends is not None and ends[1] < _ROBUST]
    above = [row for ends, row in rates if ends is not None and ends[0] >= _ROBUST]
    shown = sorted(
        (*row.robustness.bounds, row.name) for row in cells if row.robustness.bounds is not None
    )
    least = f"least {_between(*shown[0][:2])} % ({shown[0][2]})" if shown else "no robust image"
    if below:
        return PaperClaim(
            says, Judgement.NOT, f"{least}; surely below in {len(below)} of {len(cells)} cells"
        )
    judgement = Judgement.REPRODUCED if above and len(above) == len(cells) else Judgement.OPEN
    return PaperClaim(says, judgement, f"{least}; surely so in {len(above)} of {len(cells)} cells")


def _falls(cells: list[TableRow]) -> PaperClaim | None:
    """Claim 35: of neighbouring steps, the smaller one's transfer is not surely the larger."""
    says = "adversarial transfer falls with the step"
    pairs = []
    for radius in dict.fromkeys(row.radius for row in cells):
        ordered = sorted(
            (r for r in cells if r.radius == radius and r.step), key=lambda row: row.step or 0
        )
        pairs += list(pairwise(ordered))
    known = [
        (a.transfer, b.transfer) for a, b in pairs if a.transfer.interval and b.transfer.interval
    ]
    if not known:
        return None
    rises = sum(_above(small, large) for small, large in known)
    falls = sum(_above(large, small) for small, large in known)
    why = (
        f"of {len(known)} pairs of neighbouring steps it surely falls in {falls} "
        f"and surely rises in {rises}"
    )
    if rises:
        return PaperClaim(says, Judgement.NOT, why)
    return PaperClaim(says, Judgement.REPRODUCED if falls == len(known) else Judgement.OPEN, why)


def _above(one: Rate, other: Rate) -> bool:
    """Is one rate surely the larger?"""
    return (
        one.interval is not None
        and other.interval is not None
        and one.interval[0] > other.interval[1]
    )


def _accurate(cells: list[TableRow]) -> PaperClaim | None:
    """Claim 36. Accuracies are of the whole test set, so there is no interval."""
    before, after = cells[0].accuracy
    if before is None or after is None:
        return None
    lost = before - after
    judgement = Judgement.REPRODUCED if lost <= _COST + 1e-9 else Judgement.NOT
    why = (
        f"{before:.2f} % before, {after:.2f} % after: {lost:+.2f} points lost on the whole test set"
    )
    return PaperClaim("quantisation costs at most 0.03 points of accuracy", judgement, why)


def _unequal(cells: list[TableRow]) -> PaperClaim | None:
    """Claim 37: the largest loss of transfer is far above the largest loss of robustness."""
    says = (
        "transfer loses far more than robustness does "
        f"(there {_LOSSES[1]:g} and {_LOSSES[0]:g} points at most)"
    )
    robust = [row.robustness.bounds for row in cells if row.robustness.bounds is not None]
    transfer = [row.transfer for row in cells if row.transfer.bounds is not None]
    if not robust or not transfer:
        return None
    # The largest loss is at least `surely` (each undecided image kept), at most `perhaps` (none).
    surely, perhaps = _largest_loss(robust)
    least, most = _largest_loss([rate.bounds for rate in transfer if rate.bounds is not None])
    why = (
        f"at most {_between(surely, perhaps)} points of robustness, "
        f"{_between(least, most)} of transfer"
    )
    least, most = _largest_loss([rate.interval for rate in transfer if rate.interval is not None])
    if least > 2 * perhaps:
        return PaperClaim(says, Judgement.REPRODUCED, why)
    return PaperClaim(says, Judgement.NOT if most < surely else Judgement.OPEN, why)


def _largest_loss(rates: Sequence[Bounds]) -> Bounds:
    """The least and the greatest that the largest of 100 % less each rate can be."""
    return 100 - min(high for _, high in rates), 100 - min(low for low, _ in rates)


def _radius(cells: list[TableRow]) -> PaperClaim | None:
    """Claim 38: MNIST, smallest step, from radius 10 to 20."""
    if cells[0].dataset != "mnist":
        return None
    smallest = min((row.step for row in cells if row.step is not None), default=None)
    at = {int(row.radius): row for row in cells if row.step == smallest}
    if smallest is None or not {10, 20} <= set(at):
        return None
    narrow, wide = at[10].transfer, at[20].transfer
    says = (
        f"at step {smallest} transfer rises from radius 10 to 20 "
        "(there 60.34 % of 116 to 79.17 % of 96 images)"
    )
    why = f"{_shown(narrow)} to {_shown(wide)}"
    if _above(wide, narrow):
        return PaperClaim(says, Judgement.REPRODUCED, why)
    return PaperClaim(says, Judgement.NOT if _above(narrow, wide) else Judgement.OPEN, why)


def _wider(cells: list[TableRow]) -> PaperClaim | None:
    """Sec. II-C.2."""
    says = "a larger radius finds an effective perturbation for more images"
    pairs = []
    for step in dict.fromkeys(row.step for row in cells):
        pairs += list(pairwise(sorted((r for r in cells if r.step == step), key=_radius_of)))
    if not pairs:
        return None
    more = sum(_above(wide.fooled, narrow.fooled) for narrow, wide in pairs)
    fewer = sum(_above(narrow.fooled, wide.fooled) for narrow, wide in pairs)
    why = f"of {len(pairs)} pairs of radii surely for more in {more} and for fewer in {fewer}"
    if fewer:
        return PaperClaim(says, Judgement.NOT, why)
    return PaperClaim(says, Judgement.REPRODUCED if more == len(pairs) else Judgement.OPEN, why)


def _radius_of(row: TableRow) -> Fraction:
    return row.radius


def _between(low: float, high: float) -> str:
    """One number where all is decided."""
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


def _shown(rate: Rate) -> str:
    if rate.bounds is None or rate.interval is None:
        return "no image"
    ends = f"({rate.interval[0]:.1f} to {rate.interval[1]:.1f})"
    return f"{_between(*rate.bounds)} % of {rate.images.whole} {ends}"
