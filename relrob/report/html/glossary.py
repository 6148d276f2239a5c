"""The words of a page."""

from __future__ import annotations

from typing import Final

from relrob.report.html.parts import Section, Terms

_TERMS: Final[tuple[tuple[str, str], ...]] = (
    (
        "reference, quantised",
        "The full-precision network, and the smaller form of it that is to be deployed.",
    ),
    (
        "region",
        "The perturbed images around an image that a verdict speaks of, such as all images in "
        "which each pixel changes by at most 2/255.",
    ),
    (
        "ROBUST",
        "On every image of the region the network gives the true class. Proved, by bounds or "
        "solvers, or shown by running every point of a finite region.",
    ),
    (
        "NOT_ROBUST",
        "The network is fooled by an image of the region, its witness, which was replayed on the "
        "network's runtime.",
    ),
    (
        "UNKNOWN",
        "Neither: time, memory or the bounds did not suffice. It is never counted as robust, and "
        "never as lost.",
    ),
    ("R, R_NOT", "Images on which the reference is robust, and on which it is fooled."),
    ("R_Q^FP, R^FP", "Of R: robust after quantisation too (kept), and fooled after it (lost)."),
    (
        "R_Q, R^0, R^mixed",
        "Of R_NOT: what fools the reference fools the quantised network never, always, or "
        "sometimes.",
    ),
    ("L_cc, L_ic", "Images that the reference gets right, and wrong, without any change."),
    ("relative robustness", "|R_Q^FP| / |R|: the share of robustness that quantisation kept."),
    (
        "adversarial transfer",
        "|R^0| / |R_NOT|: how much of what fools the reference fools the quantised network too.",
    ),
    ("effective point", "A perturbed image that fools a network."),
    ("margin", "The score of the true class less the largest other score; below 0: fooled."),
    (
        "95 % interval",
        "Wilson's interval: the share of all such images lies in it, but for 1 draw of images "
        "in 20. Undecided images widen it from the least to the greatest that they allow.",
    ),
    (
        "arithmetic",
        "What a verdict is about: float32 in any order of the sums, exact integers of a kernel, "
        "or real numbers.",
    ),
    ("runtime", "The program that executes a file; another one may give another label."),
    ("spot check", "A point of a proved region, run on the network all the same."),
    ("alarm", "A run or an attack that contradicts a proof. Nothing is pronounced then."),
    ("certificate", "A file from which anybody can derive a proof again without our solvers."),
    ("saturated, dead", "Weights whose code is an end of its range; weights that became 0."),
)


def section() -> Section:
    """A definition each."""
    return Section("glossary", "Words", "", (Terms(_TERMS),))
