"""Faults of a pair that labels and logits show, once images are read as they should be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relrob.audit.bits import few_bits
from relrob.audit.classes import SKILL, SPREAD, Permutation, constant, most, permutation, skill
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.kinship import Kinship
from relrob.audit.pair_report import PairReport, Side
from relrob.domain.arrays import Ints
from relrob.domain.network import Network
from relrob.errors import how_many

# Fewer images do not tell an untrained network.
_FEWEST = 20
_TRAIN = "train it, load its weights, or give the data set that it was trained for"


def constant_output(report: PairReport) -> tuple[Diagnosis, ...]:
    """One label for nearly all images, or outputs that are no numbers."""
    sides = (("reference", report.reference), ("quantised", report.quantised))
    found = [each for name, side in sides for each in _no_number(name, side)]
    if found:
        return tuple(found)
    others = (report.quantised.labels, report.reference.labels)
    ones = [
        (name, one)
        for (name, side), other in zip(sides, others, strict=True)
        if (one := constant(side.labels, other if report.labels is None else report.labels))
    ]
    if not ones:
        return ()
    if ones[-1][0] == "quantised" and (blamed := _one_class(report)):
        return blamed
    who = "both networks give" if len(ones) == 2 else f"the {_role(ones[0][0])} gives"
    said = " and ".join(
        f"{100 * share:.1f} % of the images the label {label}" for _, (label, share) in ones
    )
    evidence = {name: {"label": label, "share": round(share, 6)} for name, (label, share) in ones}
    hint = "look at its training or conversion: the output hardly depends on the image"
    return (Diagnosis("constant-output", f"{who} {said}", evidence, hint),)


def _one_class(report: PairReport) -> tuple[Diagnosis, ...]:
    """A reference that hardly gives another label itself, and is no better for it."""
    given, truth = report.reference.labels, report.labels
    (label, share), (other, theirs) = most(given), most(report.quantised.labels)
    if truth is None or label != other or share <= SPREAD or skill(given, truth) >= SKILL:
        return ()
    return (
        Diagnosis(
            "undertrained-reference",
            f"the reference gives {100 * share:.1f} % of the images the label {label}, and the "
            f"quantised network {100 * theirs:.1f} %",
            {
                name: {"label": label, "share": round(each, 6)}
                for name, each in (("reference", share), ("quantised", theirs))
            },
            _TRAIN,
        ),
    )


def _no_number(name: str, side: Side) -> list[Diagnosis]:
    places = np.flatnonzero(side.labels < 0)
    if not len(places):
        return []
    count = f"{len(places):,} of {how_many(len(side.labels), 'image')}"
    said = f"the {_role(name)} gives no numbers (NaN) on {count}"
    evidence = {name: {"no_label": len(places), "images": [int(at) for at in places[:20]]}}
    hint = "look for an overflow, such as float16 weights or a division by 0"
    return [Diagnosis("constant-output", f"{said}, first image {places[0]}", evidence, hint)]


def permuted_classes(report: PairReport) -> tuple[Permutation | None, tuple[Diagnosis, ...]]:
    """The order of the quantised network's classes beside the reference's where it is another one,
    and the diagnosis; or the order of the data's classes beside both networks'."""
    theirs, ours = report.quantised.labels, report.reference.labels
    between = permutation(ours, theirs, report.classes)
    truth = report.labels
    beside = None if truth is None else permutation(truth, ours, report.classes)
    if between is not None:
        guilty = "reference" if beside is not None else "quantised"
        return between, (_permuted(between, guilty, "the other network"),)
    if beside is None:
        return None, ()
    told = _permuted(beside, "data", "both networks")
    return None, (told,)


def _permuted(found: Permutation, guilty: str, other: str) -> Diagnosis:
    who = "the data's labels" if guilty == "data" else f"the {_role(guilty)}"
    evidence = {
        "networks": [guilty],
        "moved": [list(pair) for pair in found.moved],
        "before": round(found.before, 6),
        "after": round(found.after, 6),
    }
    hint = (
        "--classes FILE with the classes in the order of the outputs"
        if guilty == "data"
        else "convert again with one order of classes"
    )
    return Diagnosis(
        "permuted-classes",
        f"{found.text} between {who} and {other}: agreement {100 * found.before:.1f} %, "
        f"{100 * found.after:.1f} % with the classes put back",
        evidence,
        hint,
    )


def undertrained(report: PairReport, others: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """A reference that is hardly better than the most frequent class in every reading that was
    tried."""
    truth = report.labels
    if truth is None or len(truth) < _FEWEST or others:
        return ()
    labels: Ints = report.reference.labels
    reached = skill(labels, truth)
    if reached >= SKILL:
        return ()
    accuracy = float((labels == truth).mean())
    chance = float(np.bincount(truth).max() / len(truth))
    return (
        Diagnosis(
            "undertrained-reference",
            f"the reference is right on {100 * accuracy:.1f} % of the images, the most frequent "
            f"class is {100 * chance:.1f} % of them, and no usual reading of the images helps",
            {
                "accuracy": round(accuracy, 6),
                "chance": round(chance, 6),
                "skill": round(reached, 6),
            },
            _TRAIN,
        ),
    )


def nothing_quantised(report: PairReport, same: bool) -> tuple[Diagnosis, ...]:
    """The same file twice, or a float file with the reference's outputs; `same`: are they equal up
    to rounding?"""
    twice = report.reference.sha256 == report.quantised.sha256
    if not twice and not (same and report.quantised.scheme == "float32"):
        return ()
    said = (
        "reference and quantised network are the same file"
        if twice
        else "the quantised network is a float32 file that computes what the reference computes"
    )
    evidence = {"sha256": report.quantised.sha256, "scheme": report.quantised.scheme}
    return (
        Diagnosis(
            "nothing-quantised", said, evidence, "relrob quantise, or the file that is deployed"
        ),
    )


def strangers(report: PairReport, near: Kinship, quantised: Network) -> tuple[Diagnosis, ...]:
    """What the noise of the logits suggests of a network of at least 8 bits."""
    if not near.verdict or few_bits(quantised):
        return ()
    ranks = np.argsort(np.argsort(report.margins)) / report.images
    far = int((report.differs & (ranks > 0.25)).sum())
    evidence = near.json() | {
        "agreement": round(report.agreement, 6),
        "disagreements_at_large_margins": far,
    }
    if near.verdict == "another-network":
        said = "the quantised network was hardly made from this reference"
        hint = "quantise this reference again, or give the reference of this file"
    else:
        said = "the quantised network comes from another state of the training of this reference"
        hint = "quantise the reference again"
    return (
        Diagnosis(
            near.verdict,
            f"{said}: its logits deviate by {100 * near.noise:.0f} % of the reference's spread, "
            f"with the slope {near.slope:.2f} (8 bits: at most 13 %, 0.98 to 1.02)",
            evidence,
            hint,
        ),
    )


def _role(name: str) -> str:
    return "reference" if name == "reference" else "quantised network"
