"""The gate: monotone in losses, undecided images only widen, verdicts and exit codes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.audit.facts import facts_of
from relrob.audit.gate import EXIT, REFUSED, SHIP, RuleResult, judge, verdict_of
from relrob.audit.policy import Policy, changed, default_policy
from relrob.audit.rows import Row, rows_of
from relrob.audit.rules import DIAGNOSES, OFF, RULES, rule_of, threshold_of
from relrob.domain.record import Record, Set
from relrob.domain.verdict import Reason
from relrob.errors import UsageError

VERDICTS = ("ROBUST", "NOT_ROBUST", "UNKNOWN")
PAIRS = [(one, other) for one in VERDICTS for other in VERDICTS]
ONLY = {"max-lost", "max-proved-lost", "max-run-lost", "max-undecided", "min-relative"}


def row(index: int, verdicts: tuple[str, str], quantised: int = 1) -> Row:
    """A sampled image of label 1 that the reference gets right."""
    where = "unknown" if "UNKNOWN" in verdicts else "R_Q^FP"
    return Row(
        index,
        1,
        1,
        quantised,
        set=where,
        reference_verdict=verdicts[0],
        quantised_verdict=verdicts[1],
        decided_by="bounds,bounds",
    )


def asking(name: str, threshold: object) -> Policy:
    """A policy of one rule."""
    off = {rule.id: OFF for rule in RULES}
    return replace(changed(default_policy(), {**off, name: threshold}), allowed=None)


def judged(name: str, threshold: object, rows: list[Row], population: bool = False) -> RuleResult:
    policy = replace(asking(name, threshold), population=population)
    (found,) = judge(policy, facts_of(rows))
    return found


def crashed(index: int, reference: str = "ROBUST") -> Row:
    """An image on which the solver of the quantised network stopped."""
    reason = f"quantised: {Reason.CRASH.value}"
    return replace(row(index, (reference, "UNKNOWN")), reason=reason)


def test_a_crash_is_no_pass_and_no_baseline_excuses_it() -> None:
    """Nothing is proved lost where nothing was decided."""
    rows = [row(0, ("ROBUST", "ROBUST")), crashed(1), row(2, ("ROBUST", "UNKNOWN"))]
    facts = facts_of(rows)
    assert facts.crashed == {1}
    rules = judge(default_policy(), facts, facts)
    assert verdict_of(rules) == REFUSED
    assert [rule.id for rule in rules if rule.passed is False] == ["max-crashed"]
    assert verdict_of(judge(default_policy(), facts_of([rows[0], rows[2]]))) == SHIP
    assert verdict_of(judge(changed(default_policy(), {"max-crashed": 1}), facts)) == SHIP


def test_an_image_that_killed_its_workers_keeps_the_labels_of_the_checks() -> None:
    """Its record has none, and two that are absent would agree."""
    record = Record(0, 1, -1, -1, Set.UNKNOWN, "UNKNOWN", "UNKNOWN", reason=Reason.CRASH.value)
    rows = rows_of([1, 1], [1, 1], [2, 1], [record], {})
    assert (rows[0].reference_label, rows[0].quantised_label) == (1, 2)
    facts = facts_of(rows)
    assert facts.differ == facts.regressions == facts.crashed == {0}


pairs = st.lists(st.sampled_from(PAIRS), min_size=1, max_size=12)
shares = st.integers(0, 100).map(lambda percent: f"{percent}%")
ORDER = {True: 2, None: 1, False: 0}


@given(pairs, st.data(), shares, st.booleans())
def test_another_lost_image_never_helps(
    verdicts: list[tuple[str, str]], data: st.DataObject, share: str, population: bool
) -> None:
    """One image more on which only the reference is robust, in place of one that was kept."""
    at = data.draw(st.integers(0, len(verdicts) - 1))
    kept, lost = list(verdicts), list(verdicts)
    kept[at], lost[at] = ("ROBUST", "ROBUST"), ("ROBUST", "NOT_ROBUST")
    for name in ("max-lost", "max-proved-lost", "min-relative"):
        before, after = (
            judged(name, share, [row(n, each) for n, each in enumerate(rows)], population)
            for rows in (kept, lost)
        )
        assert ORDER[after.passed] <= ORDER[before.passed], name


def completions(verdicts: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Every way in which undecided verdicts may turn out."""
    found: list[list[tuple[str, str]]] = [[]]
    for pair in verdicts:
        ways = [
            (one, other)
            for one in (VERDICTS[:2] if pair[0] == "UNKNOWN" else pair[:1])
            for other in (VERDICTS[:2] if pair[1] == "UNKNOWN" else pair[1:])
        ]
        found = [[*rows, way] for rows in found for way in ways]
    return found


@given(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=4), shares)
def test_a_verdict_holds_however_undecided_images_turn_out(
    verdicts: list[tuple[str, str]], share: str
) -> None:
    """Brute force: the share that is lost, of every completion."""
    limit = Fraction(int(share[:-1]), 100)
    truths = set()
    for completed in completions(verdicts):
        robust = [pair for pair in completed if pair[0] == "ROBUST"]
        lost = sum(pair[1] == "NOT_ROBUST" for pair in robust)
        truths.add(Fraction(lost, max(len(robust), 1)) <= limit)
    rows = [row(number, pair) for number, pair in enumerate(verdicts)]
    passed = judged("max-lost", share, rows).passed
    if passed is not None:
        assert truths == {passed}
    relative = judged("min-relative", f"{100 - int(share[:-1])}%", rows)
    if relative.measured is not None:
        assert relative.passed is passed


@given(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=4), st.integers(0, 4))
def test_counts_of_images_hold_too(verdicts: list[tuple[str, str]], most: int) -> None:
    counts = {sum(pair == ("ROBUST", "NOT_ROBUST") for pair in r) for r in completions(verdicts)}
    rows = [row(number, pair) for number, pair in enumerate(verdicts)]
    passed = judged("max-lost", most, rows).passed
    assert passed is (True if max(counts) <= most else False if min(counts) > most else None)


@given(pairs, st.data(), shares, st.booleans())
def test_undecided_images_only_widen(
    verdicts: list[tuple[str, str]], data: st.DataObject, share: str, population: bool
) -> None:
    """Where one verdict is taken away, a rule keeps its answer or cannot say."""
    at, network = data.draw(st.integers(0, len(verdicts) - 1)), data.draw(st.integers(0, 1))
    known = [tuple("ROBUST" if word == "UNKNOWN" else word for word in pair) for pair in verdicts]
    less = [list(pair) for pair in known]
    less[at][network] = "UNKNOWN"
    for name in ("max-lost", "min-relative"):
        full, open_ = (
            judged(name, share, [row(n, (p[0], p[1])) for n, p in enumerate(rows)], population)
            for rows in (known, less)
        )
        if full.measured is not None and open_.passed is not None and not population:
            assert open_.passed is full.passed


@given(st.integers(0, 40), st.integers(0, 40), st.integers(80, 200), st.integers(0, 100))
def test_intervals_for_a_population_hold_the_measured_value(
    lost: int, gained: int, images: int, percent: int
) -> None:
    """A rule about all images like these never passes or fails against the images at hand."""
    rows = [Row(n, 1, 1 if n < images - gained else 0, 0 if n < lost else 1) for n in range(images)]
    here = judged("max-accuracy-drop", f"{percent}%", rows)
    wide = judged("max-accuracy-drop", f"{percent}%", rows, population=True)
    assert here.passed is not None
    assert wide.passed in (None, here.passed)
    assert here.measured is not None and here.measured.low == lost - gained


@given(st.integers(0, 60), st.integers(0, 60), st.integers(120, 2000))
def test_a_drop_that_is_shown_is_no_more_than_the_measured_one(
    lost: int, gained: int, images: int
) -> None:
    """And grows with each image that is lost."""
    found = []
    for more in (lost, lost + 1):
        rows = [
            Row(n, 1, 1 if n < images - gained else 0, 0 if n < more else 1) for n in range(images)
        ]
        measured = judged("max-shown-accuracy-drop", "1%", rows).measured
        assert measured is not None and measured.least <= max(more - gained, 0) / images + 1e-12
        found.append(measured.least)
    assert found[0] <= found[1]


def test_two_images_of_a_hundred_show_no_drop_and_two_hundred_of_ten_thousand_do() -> None:
    for lost, gained, images, passed in (
        (2, 0, 100, True),
        (22, 0, 1000, False),
        (250, 50, 10_000, False),
        (120, 50, 10_000, True),
    ):
        rows = [
            Row(n, 1, 1 if n < images - gained else 0, 0 if n < lost else 1) for n in range(images)
        ]
        assert judged("max-shown-accuracy-drop", "1%", rows).passed is passed


def test_default_policy_gates_on_proved_losses_and_leaves_undecided_images_alone() -> None:
    kept, unknown, gone = ("ROBUST", "ROBUST"), ("ROBUST", "UNKNOWN"), ("ROBUST", "NOT_ROBUST")
    many = [row(n, kept) for n in range(80)]
    open_ones = [row(80 + n, unknown) for n in range(20)]
    assert verdict_of(judge(default_policy(), facts_of(many + open_ones))) == "ship"
    lost = [row(200 + n, gone) for n in range(6)]
    rules = judge(default_policy(), facts_of(many + open_ones + lost))
    assert verdict_of(rules) == "do not ship"
    assert [rule.id for rule in rules if rule.passed is False] == ["max-proved-lost"]
    assert verdict_of(judge(asking("max-lost", 5), facts_of(many + open_ones))) == "cannot say"


@pytest.mark.parametrize(("name", "passed"), [("min-relative", None), ("max-proved-lost", True)])
def test_a_rule_that_was_not_measured(name: str, passed: bool | None) -> None:
    """Robustness was not run: a rule that the policy asks for cannot say."""
    found = judged(name, "50%", [Row(0, 1, 1, 1)])
    assert (found.measured, found.passed) == (None, passed)
    assert found.verdict == ("not measured" if passed else "cannot say")


def test_blocking_diagnoses_fail_unless_they_are_allowed_or_known() -> None:
    facts = facts_of([Row(0, 1, 1, 1)], blocking=["permuted-classes", "layout"])
    (first, *_) = judge(default_policy(), facts)
    assert (first.id, first.passed, first.found) == (
        DIAGNOSES,
        False,
        ("layout", "permuted-classes"),
    )
    policy = changed(default_policy(), {}, ["layout"])
    assert judge(policy, facts)[0].found == ("permuted-classes",)
    old = facts_of([Row(0, 1, 1, 1)], blocking=["permuted-classes"])
    assert judge(policy, facts, old)[0].passed


def test_runtimes_and_labels_of_the_reference() -> None:
    policy = asking("max-runtime-disagreement", "1%")
    for most, passed in ((10, True), (11, False)):
        (found,) = judge(policy, facts_of([Row(0, 1, 1, 1)], runtimes=(most, 1000)))
        assert found.passed is passed
    unlabelled = facts_of([Row(0, 1, 1, 0)] * 3, labelled=False)
    (found,) = judge(asking("max-accuracy-drop", "1%"), unlabelled)
    assert found.verdict == "not measured"


def test_the_exit_codes_are_those_of_the_contract() -> None:
    assert EXIT == {"ship": 0, "do not ship": 1, "cannot say": 3}


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("max-lost", 3, "3"),
        ("max-lost", "3", "3"),
        ("max-lost", 0.05, "5%"),
        ("max-lost", "2.5%", "2.5%"),
        ("min-agreement", 0.97, "97%"),
        ("min-agreement", "97 %", "97%"),
        ("min-relative", "0", "0%"),
        ("max-lost", "off", None),
    ],
)
def test_thresholds(name: str, given: object, text: str | None) -> None:
    found = threshold_of(rule_of(name), given)
    assert (found and found.text()) == text


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("max-lost", -1),
        ("max-lost", True),
        ("max-lost", "many"),
        ("max-lost", "101%"),
        ("max-lost", 1.5),
        ("min-agreement", 1),
        ("max-accuracy-drop", 3),
        ("max-lost", "1/0"),
        ("max-lost", None),
    ],
)
def test_thresholds_that_are_none_are_refused(name: str, given: object) -> None:
    with pytest.raises(UsageError, match=name):
        threshold_of(rule_of(name), given)
