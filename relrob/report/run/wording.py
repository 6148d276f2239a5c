"""What a summary says, in words and cells that table.md and the terminal share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relrob.store.summary import wilson

# (set, depth in the tree of sets, what it is a share of, meaning)
_MEANING: tuple[tuple[str, int, str, str], ...] = (
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
    """A set in the table: `count` images, a `share` of the set `whole` with its interval, as text,
    empty when that is empty.

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


def percent(value: float | None) -> str:
    """A share as text.

    >>> percent(0.98333), percent(None)
    ('98.3%', 'not counted')
    """
    return "not counted" if value is None else f"{100 * value:.1f}%"


def span(ends: list[float] | tuple[float, float] | None) -> str:
    """An interval as text: (0.911, 0.997) is "91.1 to 99.7%"."""
    return "" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}%"


def printable(text: Any) -> str:
    """The text with what a terminal or a table could take for commands replaced.

    >>> printable("a\\x1b[2Jb")
    'a?[2Jb'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def set_rows(summary: Mapping[str, Any]) -> list[SetRow]:
    """The sets, each below the set that it divides, with its share of that."""
    sizes = {"images": summary["sets"]["L_cc"] + summary["sets"]["L_ic"]} | summary["sets"]
    rows = []
    for name, depth, whole, meaning in _MEANING:
        count, total = sizes[name], sizes[whole]
        share, ends = (percent(count / total), span(wilson(count, total))) if total else ("", "")
        rows.append(SetRow(name, depth, count, whole, share, ends, meaning))
    return rows


def facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the verdicts are about: (name, text) of networks, images, region, arithmetic and
    solvers."""
    images, reference, quantised = summary["dataset"], summary["reference"], summary["quantised"]
    return [
        ("reference", f"{printable(reference['path'])}, accuracy {_accuracy(reference)}"),
        *_ways("reference", reference),
        (
            "quantised",
            f"{printable(quantised['path'])}, scheme {printable(quantised['scheme'])}, "
            f"run by {printable(quantised['runtime'])}, accuracy {_accuracy(quantised)}",
        ),
        *_ways("quantised", quantised),
        (
            "images",
            f"{images['images']} of {printable(images['name'])} {printable(images['split'])}",
        ),
        ("region", _region(summary)),
        ("arithmetic", _arithmetic(summary)),
        (
            "decided by",
            "; ".join(
                f"{_solvers(name)} ({count})" for name, count in summary["decided_by"].items()
            )
            or "nothing",
        ),
    ]


def _ways(name: str, network: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How a network runs that is not modelled, or whose file is not run as it is."""
    told = []
    if network.get("black_box"):
        told.append((name, f"run as a black box: {printable(network['black_box'])}"))
    if network.get("conversion"):
        told.append((name, f"runs as {printable(network['conversion'])}"))
    return told


def _solvers(pair: str) -> str:
    """Who decided reference and quantised network.

    >>> _solvers("enumerate,enumerate"), _solvers("bounds,enumerate")
    ('enumerate', 'bounds (reference) and enumerate (quantised)')
    """
    one, other = (part.strip() for part in printable(pair + ",").split(",")[:2])
    return one if other in ("", one) else f"{one} (reference) and {other} (quantised)"


def _accuracy(network: Mapping[str, Any]) -> str:
    value = network.get("accuracy")
    return "not measured" if value is None else f"{100 * value:.2f}%"


def _arithmetic(summary: Mapping[str, Any]) -> str:
    """That of the reference, and that of the quantised network where it is another."""
    one = printable(summary["arithmetic"])
    other = printable(summary["quantised"].get("arithmetic", one))
    return one if one == other else f"{one} (reference), {other} (quantised)"


_KINDS = {
    "l1": "every float32 image of the L1 ball",
    "l2": "every float32 image of the L2 ball",
    "linf": "every float32 image of the L-infinity ball",
    "l0": "every float32 image of the L0 ball",
    "lattice": "every point of the L1 ball on a lattice",
}


def _region(summary: Mapping[str, Any]) -> str:
    """The region in words, with the number of points an image."""
    region = summary["region"]
    exact = region.get("exact", region)
    words = [
        _KINDS.get(region["kind"], printable(region["kind"])),
        f"radius {printable(exact['radius'])}",
    ]
    if "step" in exact:
        words.append(f"step {printable(exact['step'])}")
    if "features" in region:
        words.append(
            f"{printable(region['features'])} features of {printable(region['axes'])} axes"
        )
    if "seed" in region:
        words.append(f"seed {printable(region['seed'])}")
    ends = summary["region_points"]
    if ends is not None:
        count = f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"
        words.append(f"{count} points an image")
    return ", ".join(words)


def rates(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of the rates, with the fraction and the interval where there is one."""
    sets, ends = summary["sets"], summary["intervals"]

    def rate(name: str, part: str, whole: str) -> str:
        if summary[name] is None:
            return f"not counted ({whole} is empty)"
        return f"{percent(summary[name])}, {sets[part]} of {sets[whole]} (95%: {span(ends[name])})"

    effective = summary["effective"]
    points = closest = (
        "not counted (no effective points)" if effective["reference"] == 0 else "not counted"
    )
    if summary["transfer_points"] is not None:
        counted = f"{effective['transferred']:,} of {effective['reference']:,}"
        points = f"{percent(summary['transfer_points'])}, {counted} effective points"
    if summary["closest_transfer"] is not None:
        closest = percent(summary["closest_transfer"])
    return [
        ("relative robustness |R_Q^FP| / |R|", rate("relative_robustness", "R_Q^FP", "R")),
        ("adversarial transfer |R^0| / |R_NOT|", rate("adversarial_transfer", "R^0", "R_NOT")),
        ("transfer over points", points),
        ("transfer of the closest", closest),
    ]


def meaning(summary: Mapping[str, Any]) -> str:
    """What the verdicts claim, in one paragraph."""
    kind, runtime = summary["region"]["kind"], printable(summary["quantised"]["runtime"])
    if kind == "search":
        claim = "The region was sampled by a search: ROBUST means that the search met no perturbation that fools the network."
    else:
        claim = (
            "ROBUST speaks of every point of the region, not of a sample: the network gives the true label on all of them. "
            "A search that could not be finished gives UNKNOWN, never ROBUST."
        )
    return (
        f"{claim} NOT_ROBUST comes with a witness, a perturbed image replayed on the network itself. Verdicts hold for "
        f"the arithmetic {_arithmetic(summary)} and, for the quantised network, for {runtime} as its runtime; "
        f"another runtime may answer otherwise.{_reals(summary)}"
    )


def _reals(summary: Mapping[str, Any]) -> str:
    """What verdicts over the reals do not say."""
    if "real" not in (summary["arithmetic"], summary["quantised"].get("arithmetic")):
        return ""
    return " Over the reals nothing is rounded, as in other verifiers; a float32 runtime may give another label where it rounds."


_RULES = {
    "closest": "the effective perturbations of least cost (--effective closest)",
    "all": "all effective perturbations (--effective all)",
    "farthest": "the effective perturbations of largest cost (--effective farthest)",
}


def notes(summary: Mapping[str, Any]) -> list[str]:
    """Sentences that some runs need: regressions without perturbation, unknowns with their reasons,
    refuted witnesses."""
    rule = f"R_Q, R^0 and R^mixed go by {_RULES[summary.get('effective_rule', 'closest')]}; transfer over points counts every one."
    if summary["region"]["kind"] in _KINDS:
        rule = "R_Q and R^0 go by the one effective perturbation that was found: of a ball, none are counted."
    told = [
        rule,
        f"Clean regressions: {summary['clean_regressions']} (the reference is right and the quantised network wrong with no "
        "perturbation at all).",
    ]
    if summary["sets"]["unknown"]:
        reasons = "; ".join(
            f"{printable(reason)} ({count})" for reason, count in summary["reasons"].items()
        )
        told.append(
            f"Undecided images: {summary['sets']['unknown']} (reference {summary['unknown_reference']}, quantised "
            f"{summary['unknown_quantised']}). In R or R_NOT they count in a rate's denominator alone. "
            f"Reasons: {reasons or 'none recorded'}."
        )
    if summary["disagreements"]:
        told.append(
            f"Refuted witnesses: {summary['disagreements']} proposed by a solver, rejected when replayed."
        )
    if summary["thin"]:
        told.append(
            f"Close calls: {summary['thin']} points were too close for folded arithmetic and ran on the runtime itself."
        )
    checks = summary.get("spot_checks", {"run": 0})["run"]
    if checks:
        told.append(
            f"{checks:,} spot checks, none against: points of what was proved, run on the runtime itself."
        )
    points = summary["points"]
    if summary["region"]["kind"] in _KINDS:
        run = points["evaluated"] + summary["evaluated_undecided"]
        told.append(f"Images run: {run:,}. {summary['seconds']:.1f} s of work.")
        return told
    told.append(
        f"Perturbed images: {points['covered']:,} covered by the verdicts, {points['evaluated']:,} by running a network, "
        f"{points['proved']:,} proved without. {summary['seconds']:.1f} s of work."
    )
    return told
