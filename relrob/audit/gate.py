"""The gate: each rule of a policy on the facts of an audit, and the verdict.

A fact is a pair of bounds where images are undecided. A rule passes where both bounds do, it fails
where neither does, and between them it cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from relrob.audit.facts import Facts, Images
from relrob.audit.policy import Policy
from relrob.audit.rules import DIAGNOSES, RULES, Rule, Threshold
from relrob.errors import how_many
from relrob.store.proportions import wilson

SHIP: Final = "ship"
REFUSED: Final = "do not ship"
UNDECIDED: Final = "cannot say"
EXIT: Final = {SHIP: 0, REFUSED: 1, UNDECIDED: 3}


@dataclass(frozen=True)
class Measured:
    """Between `low` and `high` of `of` images.

    `low_of`, `high_of`: the images that each bound is a share of, where undecided images may be
    among them or not. `images`: those that speak against the network, ascending. `against`: of a
    difference, the images that count the other way; `shown`: only what is shown of it counts, the
    lower end of its interval.
    """

    low: int
    high: int
    of: int
    low_of: int | None = None
    high_of: int | None = None
    images: tuple[int, ...] = ()
    against: int | None = None
    shown: bool = False

    @property
    def least(self) -> float:
        """The lower end of a difference, 95 %: of b images one way and c the other, b of b + c has
        a Wilson interval from p on, so that the difference is at least (2 p - 1) (b + c) of all; 0
        where none is shown."""
        against = self.against or 0
        apart = self.low + 2 * against
        share = wilson(self.low + against, apart)[0] if apart else 0.5
        return max(0.0, (2 * share - 1) * apart / max(self.of, 1))

    @property
    def exact(self) -> tuple[Fraction, Fraction]:
        """Both bounds as shares of these images."""
        below, above = (
            max(self.of if each is None else each, 1) for each in (self.low_of, self.high_of)
        )
        return Fraction(self.low, below), Fraction(self.high, above)

    def shares(self, population: bool) -> tuple[Fraction | float, Fraction | float]:
        """Both bounds as shares; of all images like these, by 95 % intervals, for `population`."""
        if self.shown:
            return self.least, self.least
        if not population or not self.of:
            return self.exact
        if self.against is not None:
            lost, gained = wilson(self.low + self.against, self.of), wilson(self.against, self.of)
            return lost[0] - gained[1], lost[1] - gained[0]
        below, above = (self.of if each is None else each for each in (self.low_of, self.high_of))
        low = wilson(self.low, below)[0] if below else 0.0
        return low, wilson(self.high, above)[1] if above else 1.0


@dataclass(frozen=True)
class RuleResult:
    """One rule: `measured` (None where it could not be), `threshold` as in a policy, and `passed`,
    None where it cannot say. `found`: names of diagnoses, of that rule."""

    id: str
    measured: Measured | None
    threshold: str
    passed: bool | None
    sentence: str
    found: tuple[str, ...] = ()
    counts: bool = True

    @property
    def verdict(self) -> str:
        """ "passed", "failed", "cannot say", or "not measured" of a rule that passes for that."""
        if self.passed and self.measured is None and self.id != DIAGNOSES:
            return "not measured"
        return {True: "passed", False: "failed", None: "cannot say"}[self.passed]

    def json(self) -> dict[str, Any]:
        """For audit.json: `measured` is a number, or [low, high] where images leave it open."""
        shown: Any = list(self.found) if self.id == DIAGNOSES else None
        measured = self.measured
        if measured is not None:
            ends: list[Any] = [measured.low, measured.high]
            if not self.counts:
                ends = [round(float(end), 6) for end in measured.exact]
            shown = ends[0] if ends[0] == ends[1] else ends
        return {
            "id": self.id,
            "measured": shown,
            "of": None if measured is None else measured.of,
            "images": [] if measured is None else list(measured.images),
            "threshold": self.threshold,
            "passed": self.passed,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


def judge(policy: Policy, facts: Facts, old: Facts | None = None) -> tuple[RuleResult, ...]:
    """Every rule that the policy asks. `old`: the facts of the last release, whose faults are no
    failures of this one."""
    found = [_diagnoses(policy, facts, old)] if policy.allowed is not None else []
    for rule in RULES:
        threshold = policy.threshold(rule.id)
        if threshold is not None:
            found.append(_judged(rule, threshold, _MEASURES[rule.id](facts, old), policy))
    return tuple(found)


def verdict_of(rules: Sequence[RuleResult]) -> str:
    """ "ship", "do not ship" where a rule fails, else "cannot say" where one cannot."""
    if any(rule.passed is False for rule in rules):
        return REFUSED
    return UNDECIDED if any(rule.passed is None for rule in rules) else SHIP


def _judged(rule: Rule, limit: Threshold, measured: Measured | None, policy: Policy) -> RuleResult:
    """One rule."""
    if measured is None:
        why = "not measured" + ("" if rule.neutral else ", and the policy asks for it")
        passed = True if rule.neutral else None
        return RuleResult(rule.id, None, limit.text(), passed, why, counts=rule.counts)
    low, high = measured.shares(policy.population)
    ends: tuple[float | Fraction, ...] = (low, high)
    if not limit.share:
        # A number of images is about these images.
        ends = (Fraction(measured.low), Fraction(measured.high))
    good = [end <= limit.value if rule.most else end >= limit.value for end in ends]
    passed = True if all(good) else None if any(good) else False
    least = "at most" if rule.most else "at least"
    shown = f" ({100 * measured.least:.2f}% shown)" if measured.shown else ""
    sentence = f"{_shown(rule, measured)}{shown}, {least} {limit.text()}"
    return RuleResult(rule.id, measured, limit.text(), passed, sentence, counts=rule.counts)


def _shown(rule: Rule, measured: Measured) -> str:
    """The measured value in words.

    >>> _shown(RULES[5], Measured(1, 3, 86))
    '1 to 3 of 86'
    """
    ends = (measured.low, measured.high)
    if rule.counts:
        told = str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
        return f"{told} of {measured.of:,}"
    shares = [f"{float(100 * end):.2f}%" for end in measured.exact]
    told = shares[0] if shares[0] == shares[1] else f"{shares[0]} to {shares[1]}"
    return f"{told} of {how_many(measured.of, 'image')}"


def _diagnoses(policy: Policy, facts: Facts, old: Facts | None) -> RuleResult:
    """The blocking diagnoses that are neither allowed nor known of the last release."""
    known = {*(policy.allowed or ()), *(old.blocking if old else ())}
    new = tuple(name for name in facts.blocking if name not in known)
    told = f"blocking diagnoses: {', '.join(new)}" if new else "no blocking diagnosis"
    allowed = ", ".join(policy.allowed or ()) or "none"
    return RuleResult(DIAGNOSES, None, allowed, not new, told, new)


def _count(images: Images, of: int) -> Measured:
    """Exactly these images."""
    return Measured(len(images), len(images), of, images=tuple(sorted(images)))


def _less(images: Images, old: Images | None) -> Images:
    return images if old is None else images - old


def _drop(facts: Facts, old: Facts | None) -> Measured | None:
    """Against the reference; with a baseline, no more than against the last quantised network."""
    if not facts.labelled:
        return None
    found = [(facts.regressions, facts.gains)]
    if old is not None:
        found.append((old.right - facts.right, facts.right - old.right))
    lost, won = min(found, key=lambda pair: len(pair[0]) - len(pair[1]))
    net = len(lost) - len(won)
    return Measured(net, net, facts.images, images=tuple(sorted(lost)), against=len(won))


def _shown_drop(facts: Facts, old: Facts | None) -> Measured | None:
    found = _drop(facts, old)
    return None if found is None else replace(found, shown=True)


def _agreement(facts: Facts, old: Facts | None) -> Measured:
    differ = _less(facts.differ, old.differ if old else None)
    same = facts.images - len(differ)
    return Measured(same, same, facts.images, images=tuple(sorted(differ)))


def _regressions(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.labelled:
        return None
    return _count(_less(facts.regressions, old.regressions if old else None), facts.images)


def _proved_lost(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.looked:
        return None
    return _count(_less(facts.lost, old.lost if old else None), len(facts.robust))


def _run_lost(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.looked:
        return None
    known = old.lost | old.fooled if old else None
    return _count(_less(facts.fooled, known), len(facts.withstood))


def _lost(facts: Facts, old: Facts | None) -> Measured | None:
    """Undecided images may all be lost, but for those that were lost before; or none of them is,
    and those of the reference that may be robust are."""
    if not facts.looked:
        return None
    known = old.lost if old else frozenset()
    lost = facts.lost - known
    most = lost | (facts.left | facts.unsure) - known
    whole = facts.robust | facts.unsure
    fewest = (whole - facts.fooled) | facts.held
    return Measured(
        len(lost), len(most), len(whole), low_of=len(fewest), images=tuple(sorted(lost))
    )


def _undecided(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.looked:
        return None
    return _count(_less(facts.undecided, old.undecided if old else None), len(facts.asked))


def _crashed(facts: Facts, old: Facts | None) -> Measured | None:
    """An error is no property of a release: a baseline excuses none."""
    if not facts.looked:
        return None
    return _count(facts.crashed, len(facts.asked))


def _relative(facts: Facts, old: Facts | None) -> Measured | None:
    """Bounds of |R_Q^FP| / |R|: one less the bounds of the share that is lost."""
    lost = _lost(facts, old)
    if lost is None or not lost.of:
        return None
    fewest = lost.of if lost.low_of is None else lost.low_of
    # Where no image is left in R, nothing of it is lost.
    high, above = (fewest - lost.low, fewest) if fewest else (1, 1)
    return Measured(lost.of - lost.high, high, lost.of, high_of=above, images=lost.images)


def _runtimes(facts: Facts, old: Facts | None) -> Measured | None:
    if facts.runtimes is None:
        return None
    most, of = facts.runtimes
    before = old.runtimes[0] if old and old.runtimes else 0
    return Measured(max(most - before, 0), max(most - before, 0), of)


def _attacked(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.attacked:
        return None
    return _count(_less(facts.beaten, old.beaten if old else None), len(facts.attacked))


def _newly_attacked(facts: Facts, old: Facts | None) -> Measured | None:
    if not facts.attacked:
        return None
    return _count(_less(facts.newly_beaten, old.beaten if old else None), len(facts.resisted))


_MEASURES: Final[dict[str, Callable[[Facts, Facts | None], Measured | None]]] = {
    "max-shown-accuracy-drop": _shown_drop,
    "max-accuracy-drop": _drop,
    "min-agreement": _agreement,
    "max-clean-regressions": _regressions,
    "max-proved-lost": _proved_lost,
    "max-run-lost": _run_lost,
    "max-lost": _lost,
    "max-undecided": _undecided,
    "min-relative": _relative,
    "max-runtime-disagreement": _runtimes,
    "max-crashed": _crashed,
    "max-attacked": _attacked,
    "max-newly-attacked": _newly_attacked,
}
