"""A summary in words, for table.md and the terminal: the same cells and sentences in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from relrob.domain.record import COUNTS_CUT
from relrob.domain.region import KINDS
from relrob.errors import how_many
from relrob.report.run.attack_words import attack_notes
from relrob.report.run.data_words import data_facts
from relrob.report.run.rates import share, span, ties
from relrob.store.header import Header, NetworkHeader
from relrob.store.summary import PointCounts, Summary

# set, depth in the tree of sets, the set that it is a share of, meaning
_MEANING: Final[tuple[tuple[str, int, str, str], ...]] = (
    ("L_cc", 0, "images", "reference right, unperturbed"),
    ("R", 1, "L_cc", "reference robust"),
    ("R_Q^FP", 2, "R", "robust before and after"),
    ("R^FP", 2, "R", "robust before, fooled after"),
    ("R_NOT", 1, "L_cc", "reference fooled"),
    ("R_Q", 2, "R_NOT", "no effective point transfers"),
    ("R^0", 2, "R_NOT", "all effective points transfer"),
    ("R^mixed", 2, "R_NOT", "some transfer, some do not"),
    ("unknown", 1, "L_cc", "undecided, one network or both"),
    ("L_ic", 0, "images", "reference wrong, unperturbed"),
)


@dataclass(frozen=True)
class SetRow:
    """A set in the table: `count` images that are surely in it, and as text their `share` of the
    set `whole` with its interval; both texts are empty where `whole` is. Undecided images widen
    them.

    `depth`: 0 for L_cc and L_ic, 1 for the sets that divide L_cc, 2 for those that divide R and
    R_NOT.
    """

    name: str
    depth: int
    count: int
    whole: str
    share: str
    interval: str
    meaning: str


def printable(text: Any) -> str:
    """The text with a question mark for every character that a terminal could obey.

    >>> printable("a\\x1b[2Jb")
    'a?[2Jb'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def set_rows(summary: Summary) -> list[SetRow]:
    """The sets, each below the set that it divides, with its share of that."""
    sizes, shares = summary.sets.json(), summary.shares
    return [
        SetRow(
            name,
            depth,
            sizes[name],
            whole,
            share(shares[name]),
            span(shares[name].interval),
            meaning,
        )
        for name, depth, whole, meaning in _MEANING
    ]


def facts(summary: Summary) -> list[tuple[str, str]]:
    """(name, text) of networks, images, region, arithmetic and solvers."""
    header = summary.header
    images, reference, quantised = header.dataset, header.reference, header.quantised
    decided = [f"{_solvers(name)} ({count})" for name, count in summary.decided_by]
    return [
        *_headline(summary),
        ("reference", f"{printable(reference.path)}, accuracy {_accuracy(reference)}"),
        *_ways("reference", reference),
        (
            "quantised",
            f"{printable(quantised.path)}, scheme {printable(quantised.scheme)}, "
            f"run by {printable(quantised.runtime)}, accuracy {_accuracy(quantised)}",
        ),
        *_ways("quantised", quantised),
        ("images", f"{images.images} of {printable(images.name)} {printable(images.split)}"),
        *data_facts(images),
        ("region", _region(summary)),
        ("arithmetic", _arithmetic(summary)),
        ("decided by", "; ".join(decided) or "nothing"),
    ]


def _headline(summary: Summary) -> list[tuple[str, str]]:
    """What to know before anything else: a search proves nothing."""
    if summary.header.region.kind != "search":
        return []
    told = "nothing is proved: ROBUST means that a search met no image that fools the network"
    return [("search", told)]


def _ways(name: str, network: NetworkHeader) -> list[tuple[str, str]]:
    """A line each for a network that is a black box, for its input contract, for a single output,
    and for a file that runs in another form."""
    told = []
    if network.black_box:
        told.append((name, f"run as a black box: {printable(network.black_box)}"))
    if network.input:
        told.append((name, _reads(network)))
    if network.head:
        least = "1/2" if network.head == "probability" else "0"
        told.append((name, f"one output, a {printable(network.head)}: class 1 above {least}"))
    if network.conversion:
        told.append((name, f"runs {printable(network.conversion)}"))
    return told


def _reads(network: NetworkHeader) -> str:
    """The input contract in words.

    >>> _reads(NetworkHeader(input={"input_scale": "255"}, input_from="its input tensor"))
    'reads 255 x pixel, as its input tensor says'
    """
    told = []
    scale, mean, std = (network.input.get(name) for name in ("input_scale", "mean", "std"))
    value = "pixel" if scale is None else f"{scale} x pixel"
    value = value if mean is None else f"({value} - [{mean}])"
    value = value if std is None else f"{value} / [{std}]"
    if (scale, mean, std) != (None, None, None):
        told.append(value)
    told += ["blue, green, red"] if network.input.get("channels") == "bgr" else []
    words = f"reads {', '.join(told)}" if told else ""
    words += f", as {network.input_from} says" if told and network.input_from else ""
    output = network.input.get("output")
    words += f"{', ' if words else ''}scores are its output {output}" if output else ""
    return printable(words)


def _solvers(pair: str) -> str:
    """The solvers that decided the reference and the quantised network.

    >>> _solvers("enumerate,enumerate"), _solvers("bounds,enumerate")
    ('enumerate', 'bounds (reference) and enumerate (quantised)')
    """
    one, other = (part.strip() for part in printable(pair + ",").split(",")[:2])
    return one if other in ("", one) else f"{one} (reference) and {other} (quantised)"


def _accuracy(network: NetworkHeader) -> str:
    return "not measured" if network.accuracy is None else f"{100 * network.accuracy:.2f}%"


def _arithmetic(summary: Summary) -> str:
    """That of the reference, and that of the quantised network where it is another."""
    one = printable(summary.header.arithmetic)
    other = printable(summary.header.quantised.arithmetic) or one
    return one if one == other else f"{one} (reference), {other} (quantised)"


def _uncounted(summary: Summary) -> bool:
    """Is the region one whose points are not counted?"""
    facts = KINDS.get(summary.header.region.kind)
    return facts is not None and not facts.counted


def _region(summary: Summary) -> str:
    """The region in words, with the number of points an image."""
    words, ends = region_words(summary.header), summary.region_points
    if ends is None:
        return words
    count = f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"
    return f"{words}, {count} points an image"


def region_words(header: Header) -> str:
    """The region in words."""
    region, facts = header.region, KINDS.get(header.region.kind)
    words = [
        (facts.images if facts else "") or printable(region.kind),
        f"radius {printable(region.radius)}",
    ]
    if region.step is not None:
        words.append(f"step {printable(region.step)}")
    if region.features is not None:
        words.append(f"{printable(region.features)} features of {printable(region.axes)} axes")
    if region.seed is not None:
        words.append(f"seed {printable(region.seed)}")
    return ", ".join(words)


def meaning(summary: Summary) -> str:
    """The claim of the verdicts, in one paragraph."""
    runtime = printable(summary.header.quantised.runtime)
    if summary.header.region.kind == "search":
        claim = (
            "The region was sampled by a search: ROBUST means that the search met no perturbation "
            "that fools the network."
        )
    else:
        claim = (
            "ROBUST speaks of every point of the region, not of a sample: the network gives the "
            "true label on all of them. A search that could not be finished gives UNKNOWN, never "
            "ROBUST."
        )
    return (
        f"{claim} NOT_ROBUST comes with a witness, a perturbed image replayed on the network "
        f"itself. Verdicts hold for the arithmetic {_arithmetic(summary)} and, for the quantised "
        f"network, for {runtime} as its runtime; another runtime may answer otherwise."
        f"{_reals(summary)}"
    )


def _reals(summary: Summary) -> str:
    """The limits of verdicts over the reals; "" for other verdicts."""
    if "real" not in (summary.header.arithmetic, summary.header.quantised.arithmetic):
        return ""
    return (
        " Over the reals nothing is rounded, as in other verifiers; a float32 runtime may give "
        "another label where it rounds."
    )


_RULES: Final = {
    "closest": "the effective perturbations of least cost (--effective closest)",
    "all": "all effective perturbations (--effective all)",
    "farthest": "the effective perturbations of largest cost (--effective farthest)",
}


def notes(summary: Summary, timed: bool = True) -> list[str]:
    """Sentences below the tables: the rule of the sets, regressions without perturbation, and the
    events that some runs have. Without `timed`, the same whatever the clock says."""
    return [
        _rule(summary),
        f"Clean regressions: {summary.clean_regressions} (the reference is right and the "
        "quantised network wrong with no perturbation at all).",
        *_warnings(summary),
        *ties(summary),
        *_extents(summary),
        *_events(summary),
        *attack_notes(summary),
        _work(summary, timed),
    ]


def _warnings(summary: Summary) -> list[str]:
    """Faults of the pair of networks, and a loss of accuracy."""
    told = summary.header.json().get("warnings")
    return [f"Warning: {printable(text)}." for text in told] if isinstance(told, list) else []


def _extents(summary: Summary) -> list[str]:
    """Images whose region is that image alone, and images whose region is every image."""
    document, told = summary.header.json(), []
    if document.get("vacuous"):
        told.append(
            f"Regions of one point: {how_many(document['vacuous'], 'image')}, around which the "
            "radius is below the cost of any move; a verdict there speaks of the image alone."
        )
    if document.get("whole"):
        told.append(
            f"Regions that are all of [0,1]^n: those of {how_many(document['whole'], 'image')}; a "
            "network is robust there only if it gives every image one label."
        )
    return told


def _rule(summary: Summary) -> str:
    """How R_Q, R^0 and R^mixed are told apart."""
    if _uncounted(summary):
        return (
            "R_Q and R^0 go by the one effective perturbation that was found: of a ball, none are "
            "counted."
        )
    return (
        f"R_Q, R^0 and R^mixed go by {_RULES[summary.header.effective_rule]}; transfer over "
        "points counts every one."
    )


def _events(summary: Summary) -> list[str]:
    """Undecided images with their reasons, refuted witnesses, close calls, spot checks: a sentence
    for each that there was."""
    told = []
    if summary.sets.unknown:
        reasons = "; ".join(
            f"{printable(reason)} ({count})"
            for reason, count in summary.reasons
            if reason != COUNTS_CUT
        )
        told.append(
            f"Undecided images: {summary.sets.unknown} (reference {summary.unknown_reference}, "
            f"quantised {summary.unknown_quantised}). A share that they could change stands as "
            "the least and the greatest that they allow, and its interval reaches from the one "
            f"to the other. Reasons: {reasons or 'none recorded'}."
        )
    cut = dict(summary.reasons).get(COUNTS_CUT, 0)
    if cut:
        told.append(
            f"Counts ended by the time limit: {how_many(cut, 'image')}. The one witness that was "
            "found for the reference puts each of them in R_Q or R^0."
        )
    if summary.disagreements:
        told.append(
            f"Refuted witnesses: {summary.disagreements} proposed by a solver, rejected when "
            "replayed."
        )
    if summary.thin:
        told.append(
            f"Close calls: {summary.thin} points were too close for folded arithmetic and ran on "
            "the runtime itself."
        )
    if summary.spot_checks:
        told.append(
            f"{summary.spot_checks:,} spot checks, none against: points of what was proved, run "
            "on the runtime itself."
        )
    return told


def _work(summary: Summary, timed: bool) -> str:
    """How many perturbed images were run and proved, and the time that it took."""
    points, time = summary.points, f" {summary.seconds:.1f} s of work." if timed else ""
    if _uncounted(summary):
        return f"Images run: {points.evaluated + summary.evaluated_undecided:,}.{time}"
    return (
        f"Perturbed images: {points.covered:,} covered by the verdicts, {points.evaluated:,} by "
        f"running a network, {points.proved:,} proved for both networks without running either"
        f"{_each_proved(points)}.{time}"
    )


def _each_proved(points: PointCounts) -> str:
    """How many were proved for each network by itself, where that was counted."""
    one, other = points.reference_proved, points.quantised_proved
    if one is None or other is None:
        return ""
    return f" ({one:,} without running the reference, {other:,} without running the quantised one)"
