"""The rules of a policy: what each measures, in which unit, and what the default policy asks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from relrob.errors import UsageError

OFF: Final = "off"
DIAGNOSES: Final = "allowed-diagnoses"


@dataclass(frozen=True)
class Rule:
    """One rule: its `id` is its key in `policy.toml` and, after `--`, its option.

    `most`: the threshold is the most that passes, not the least. `counts`: a threshold may be a
    number of images; else it is a share. `of`: what a share is of. `default`: the threshold of the
    default policy, or "off". `neutral`: a rule that could not be measured passes. `measures`: what
    it measures; `mend`: what to do when it fails.
    """

    id: str
    most: bool
    counts: bool
    of: str
    default: str
    neutral: bool
    measures: str
    mend: str


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "max-shown-accuracy-drop",
        True,
        False,
        "all images",
        "1%",
        True,
        "the loss of accuracy that is shown: the lower end of its 95 % interval, so that a few "
        "images more or less of a small data set do not fail",
        "calibrate on more images, or quantise with one scale a channel, or 16-bit activations",
    ),
    Rule(
        "max-accuracy-drop",
        True,
        False,
        "all images",
        OFF,
        True,
        "accuracy of the reference less that of the quantised network, on all labelled images",
        "calibrate on more images, or quantise with one scale a channel, or 16-bit activations",
    ),
    Rule(
        "min-agreement",
        False,
        False,
        "all images",
        OFF,
        False,
        "images to which both networks give one label",
        "look at the images that images.csv lists with two labels",
    ),
    Rule(
        "max-clean-regressions",
        True,
        True,
        "all images",
        OFF,
        True,
        "images that the reference gets right and the quantised network wrong, unperturbed",
        "look at these images; a baseline lets those of the last release pass",
    ),
    Rule(
        "max-proved-lost",
        True,
        True,
        "the images around which the reference is robust",
        "5%",
        True,
        "images around which the reference is robust and the quantised network is fooled, "
        "the witness replayed",
        "look at run/witnesses; a finer scheme (int16x8, one scale a channel) loses fewer",
    ),
    Rule(
        "max-run-lost",
        True,
        True,
        "the images where nothing is proved of the reference, which withstood a search",
        "10%",
        True,
        "such images where a search fooled the quantised network, and not the reference",
        "look at run/witnesses; raise --time, so that the search of the reference is longer",
    ),
    Rule(
        "max-lost",
        True,
        True,
        "the images around which the reference is robust, or may be",
        OFF,
        False,
        "the same as max-proved-lost, where every undecided image may be lost as well",
        "raise --time until the bounds are apart from the threshold",
    ),
    Rule(
        "max-undecided",
        True,
        True,
        "the sampled images that the reference gets right",
        OFF,
        False,
        "images where one network or both are undecided",
        "raise --time, or take a smaller radius",
    ),
    Rule(
        "min-relative",
        False,
        False,
        "the images around which the reference is robust",
        OFF,
        False,
        "relative robustness |R_Q^FP| / |R|, with its bounds where images are undecided",
        "raise --time; a finer scheme loses fewer images",
    ),
    Rule(
        "max-runtime-disagreement",
        True,
        True,
        "the images that the runtimes were compared on",
        OFF,
        False,
        "images that two runtimes of the quantised file label differently, of the worst two",
        "deploy on the runtime that was audited, and name it with --runtime",
    ),
    Rule(
        "max-crashed",
        True,
        True,
        "the sampled images that the reference gets right",
        "0",
        True,
        "images that are undecided because a solver stopped with an error, not for want of time",
        "give the workers more memory, or take another --solver; a crash is a bug to report",
    ),
    Rule(
        "max-attacked",
        True,
        True,
        "the sampled images on which the quantised network was attacked",
        OFF,
        False,
        "images where an attack (--attacks) fooled the quantised network inside the region, "
        "replayed",
        "look at the column quantised_attacked of images.csv; train with a larger margin",
    ),
    Rule(
        "max-newly-attacked",
        True,
        True,
        "the attacked images where the reference withstood every attack inside the region",
        "10%",
        True,
        "such images where an attack fooled the quantised network inside the region, replayed",
        "look at the columns reference_attacked and quantised_attacked of images.csv; a finer "
        "scheme loses fewer",
    ),
)


def rule_of(name: str) -> Rule:
    """The rule of that id. Raises UsageError."""
    for rule in RULES:
        if rule.id == name:
            return rule
    raise UsageError(f"rule {name!r}", ", ".join([DIAGNOSES, *(rule.id for rule in RULES)]))


@dataclass(frozen=True)
class Threshold:
    """A threshold as typed: a number of images, or a share in [0, 1]."""

    value: Fraction
    share: bool

    def text(self) -> str:
        """As a policy has it: "3" or "2.5%"."""
        return f"{float(100 * self.value):.12g}%" if self.share else str(int(self.value))

    def limit(self, of: int) -> Fraction:
        """The threshold as a number of images of `of`."""
        return self.value * of if self.share else self.value


def threshold_of(rule: Rule, given: object) -> Threshold | None:
    """A threshold from a policy or an option, None for "off".

    Numbers: "5%" and 0.05 are shares, 3 is a number of images.

    >>> threshold_of(rule_of("max-lost"), "2.5%")
    Threshold(value=Fraction(1, 40), share=True)

    Raises UsageError.
    """
    text = str(given).strip()
    if text == OFF:
        return None
    percent = text.endswith("%")
    try:
        value = Fraction(text.removesuffix("%").strip())
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if percent:
        value /= 100
    share = percent or value.denominator > 1 or not rule.counts
    bare = not percent and not rule.counts and value == 1
    if isinstance(given, bool) or value < 0 or (share and value > 1) or bare or len(text) > 40:
        what = "a number of images such as 3, or a share" if rule.counts else "a share"
        raise UsageError(f"{rule.id} = {given!r}", f'{what} such as "2.5%", or "{OFF}"')
    return Threshold(value, share)
