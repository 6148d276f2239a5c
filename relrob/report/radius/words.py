"""Critical radii in words: a proof is rounded down, and a witness up."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from relrob.domain.radius import Compared, Interval, RadiusRecord, above, below
from relrob.domain.record import NETWORKS
from relrob.domain.region import KINDS
from relrob.errors import capped, how_many, printable
from relrob.report.run.rates import named
from relrob.store.radius_summary import RadiusSummary, Span

_DIGITS: Final = 3
HEAD: Final = ("image", "label", "reference", "quantised", "cost", "compared")
MEANINGS: Final = {
    Compared.LESS: "less robust: a witness inside the reference's proved region",
    Compared.SAME: "as robust: both between the same two radii, or above the largest",
    Compared.MORE: "more robust: proved where the reference has a witness",
    Compared.OPEN: "open: the intervals overlap",
}


def down(value: float) -> str:
    """Three significant digits, at or below.

    >>> down(0.123456), down(-0.123451), down(1.0)
    ('0.123', '-0.124', '1')
    """
    return _rounded(value, ROUND_FLOOR)


def up(value: float) -> str:
    """Three significant digits, at or above.

    >>> up(0.123416), up(0.0)
    ('0.124', '0')
    """
    return _rounded(value, ROUND_CEILING)


def _rounded(value: float, how: str) -> str:
    exact = Decimal(value)
    if not exact:
        return "0"
    unit = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    cut = exact.quantize(unit, rounding=how).normalize()
    return f"{cut:f}" if -6 < cut.adjusted() < 6 else f"{cut:g}"


def interval(each: Interval | None) -> str:
    """The critical radius is above the first number and at most the second.

    >>> from fractions import Fraction
    >>> interval(Interval(Fraction(1, 3), Fraction(2, 3), True, label=1)), interval(None)
    ('0.333 to 0.667', 'wrong itself')
    """
    if each is None or each.broken == 0:
        return "wrong itself"
    if each.proved is None:
        return "unknown"
    low, high = below(each.proved), above(each.broken)
    return f"above {down(low or 0.0)}" if high is None else f"{down(low or 0.0)} to {up(high)}"


def span(ends: Span | None) -> str:
    """An interval of numbers; "" for none."""
    if ends is None:
        return ""
    low, high = ends
    if low is None:
        return "open" if high is None else f"at most {up(high)}"
    return f"at least {down(low)}" if high is None else f"{down(low)} to {up(high)}"


def norm(summary: RadiusSummary) -> str:
    """What a radius is measured in."""
    kind = str(summary.header["region"]["kind"])
    return KINDS[kind].unit if kind in KINDS else kind


def facts(summary: RadiusSummary) -> list[tuple[str, str]]:
    """The data, the networks and the regions that the radii are about."""
    head = summary.header
    data, region = head["dataset"], head["region"]
    told = [
        ("data set", f"{data['name']} {data['split']}, {how_many(len(summary.records), 'image')}")
    ]
    for name in NETWORKS:
        each = head[name]
        scheme = f", {each['scheme']}" if "scheme" in each else ""
        box = f"; nothing can be proved of it: {each['black_box']}" if "black_box" in each else ""
        told.append((name, f"{each['path']} on {each['runtime']}{scheme}{box}"))
    if region["precision"] is None:
        steps = f"step {region['exact']['step']}, every cost told apart"
    else:
        steps = f"radii that are multiples of {region['precision']}"
    told.append(("region", f"{region['kind']} up to {region['exact']['radius']}, {steps}"))
    told.append(("time limit", f"{head['time_limit']:g} s for an image and a network"))
    return [(name, capped(printable(text))) for name, text in told]


def headline(summary: RadiusSummary) -> str:
    """The cost of quantisation in one sentence."""
    asked, found = len(summary.asked), summary.compared
    if not asked:
        return "The reference gets none of the images right: there is nothing to compare."
    return (
        f"Of {how_many(asked, 'image')} that the reference gets right, the quantised network "
        f"is certainly less robust on {found['less']}, certainly more on {found['more']}, "
        f"and equally on {found['same']}; {found['open']} are open."
    )


def medians(summary: RadiusSummary) -> list[tuple[str, str]]:
    """Medians as intervals."""
    told = []
    for name in NETWORKS:
        decided = f"{summary.decided(name)} of {how_many(len(summary.asked), 'image')} decided"
        told.append((f"{name}, median", f"{span(summary.median(name))} ({decided})"))
    return [*told, ("cost, median", span(summary.cost))] if summary.asked else []


def notes(summary: RadiusSummary) -> list[str]:
    """How to read the numbers."""
    told = [
        "a radius: from which on the region holds an image that the network gets wrong; it is "
        "above the first number, which was proved, and at most the second, at which a witness was "
        "replayed; between the two nothing is known",
        "cost: the reference's radius minus the quantised network's, from the least to the most "
        "that the intervals allow",
    ]
    wrong = [record.index for record in summary.records if record.reference is None]
    if wrong:
        told.append(
            f"left out, the reference gets them wrong: {len(wrong)}{named(wrong, len(wrong))}"
        )
    reasons = [each.reason for name in NETWORKS for each in summary.intervals(name) if each.reason]
    for reason in sorted(set(reasons)):
        told.append(f"not decided {reasons.count(reason)} times: {reason}")
    told += [str(each) for each in summary.header.get("warnings", ())]
    return [printable(note) for note in told]


def row(record: RadiusRecord) -> tuple[str, ...]:
    """The cells of an image."""
    if record.reference is None:
        return (str(record.index), str(record.label), "wrong itself", "", "", "")
    least, most = record.cost
    return (
        str(record.index),
        str(record.label),
        interval(record.reference),
        interval(record.quantised),
        span((below(least), above(most))),
        "" if record.compared is None else record.compared.value,
    )
