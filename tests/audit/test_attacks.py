"""Attacks in an audit: what each rule counts, what a baseline excuses, and the sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relrob.audit.facts import facts_of
from relrob.audit.gate import judge, verdict_of
from relrob.audit.headline import attacked
from relrob.audit.policy import changed, default_policy
from relrob.audit.rows import Row, rows_of
from relrob.domain.record import AttackRecord, Record, Set
from tests.audit.made import KEPT, OPEN, sampled

FGSM, PGD = "fgsm:eps=0.1", "pgd:eps=0.1:steps=40"


def tried(index: int, reference: str, quantised: str) -> Row:
    """A sampled image with the names of attacks that beat each network."""
    row = sampled(index, OPEN)
    return replace(row, reference_attacked=reference, quantised_attacked=quantised)


ROWS = [
    tried(0, "none", "none"),
    tried(1, "none", "pgd"),
    tried(2, "fgsm, pgd", "fgsm"),
    tried(3, "pgd", "none"),
    tried(4, "none", ""),
    sampled(5, KEPT),
    Row(6, 1, 1, 1),
]


def test_images_are_counted_once_in_each_set() -> None:
    facts = facts_of(ROWS)
    assert facts.attacked == {0, 1, 2, 3}
    assert facts.beaten == {1, 2}
    assert facts.resisted == {0, 1}
    assert facts.newly_beaten == {1}


@pytest.mark.parametrize(
    ("rule", "limit", "sentence", "passed"),
    [
        ("max-attacked", "1", "2 of 4, at most 1", False),
        ("max-attacked", "50%", "2 of 4, at most 50%", True),
        ("max-newly-attacked", "0", "1 of 2, at most 0", False),
        ("max-newly-attacked", "50%", "1 of 2, at most 50%", True),
    ],
)
def test_the_rules_measure_them(rule: str, limit: str, sentence: str, passed: bool) -> None:
    policy = changed(default_policy(), {rule: limit})
    (found,) = [each for each in judge(policy, facts_of(ROWS)) if each.id == rule]
    assert (found.sentence, found.passed) == (sentence, passed)
    assert found.measured is not None
    assert found.measured.images == ((1, 2) if rule == "max-attacked" else (1,))


def test_without_attacks_the_default_passes_and_a_rule_that_asks_cannot_say() -> None:
    facts = facts_of([sampled(0, KEPT)])
    found = {each.id: each for each in judge(default_policy(), facts)}
    assert found["max-newly-attacked"].verdict == "not measured"
    assert "max-attacked" not in found
    rules = judge(changed(default_policy(), {"max-attacked": "0"}), facts)
    assert verdict_of(rules) == "cannot say"


def test_only_new_ones_fail_against_a_baseline() -> None:
    policy = changed(default_policy(), {"max-attacked": "0", "max-newly-attacked": "0"})
    same = {each.id: each for each in judge(policy, facts_of(ROWS), facts_of(ROWS))}
    assert same["max-attacked"].passed and same["max-newly-attacked"].passed
    before = [tried(1, "none", "none"), *ROWS[2:]]
    found = {each.id: each for each in judge(policy, facts_of(ROWS), facts_of(before))}
    assert found["max-attacked"].measured is not None
    assert found["max-attacked"].measured.images == (1,)
    assert found["max-newly-attacked"].passed is False


def test_the_sentence_names_the_images() -> None:
    assert attacked([sampled(0, KEPT)]) == ""
    assert attacked(ROWS) == (
        "of 4 images attacked, an attack fooled the quantised network inside the region on 2 "
        "(images 1, 2), and the reference withstood all attacks on 1 of these (image 1)"
    )
    assert attacked(ROWS[:1]) == (
        "of 1 image attacked, an attack fooled the quantised network inside the region on 0"
    )


def test_rows_name_the_attacks_that_fooled_each_network() -> None:
    found = {
        0: (
            AttackRecord(FGSM, "reference"),
            AttackRecord(FGSM, "quantised", True, 0.1, 2, True, False),
            AttackRecord(PGD, "reference", False, 0.5, 2, True, False),
            AttackRecord(PGD, "quantised", True, 0.1, 2, True, False),
            AttackRecord("pgd:eps=0.1:steps=9", "quantised", True, 0.1, 2, True, False),
        ),
        1: (AttackRecord(FGSM, "reference"),),
    }
    records = [Record(i, 1, 1, 1, Set.UNKNOWN, "UNKNOWN", "UNKNOWN") for i in range(2)]
    rows = rows_of([1, 1, 1], [1, 1, 1], [1, 1, 1], records, {}, found)
    told = [(row.reference_attacked, row.quantised_attacked) for row in rows]
    assert told == [("none", "fgsm, pgd"), ("none", ""), ("", "")]
    assert [row.beaten for row in rows] == [True, False, False]


@pytest.mark.parametrize("words", ["no signal", "no start", "stopped with an error (ValueError)"])
def test_an_attack_that_learned_nothing_was_not_withstood(words: str) -> None:
    blind = AttackRecord(FGSM, "reference", remark=words)
    beaten = AttackRecord(FGSM, "quantised", True, 0.1, 2, True, False)
    other = AttackRecord(PGD, "reference", remark="stopped at a tie of logits")
    records = [Record(i, 1, 1, 1, Set.UNKNOWN, "UNKNOWN", "UNKNOWN") for i in range(2)]
    found = {0: (blind, beaten), 1: (blind, other, beaten)}
    rows = rows_of([1, 1], [1, 1], [1, 1], records, {}, found)
    assert [row.reference_attacked for row in rows] == ["", "none"]
    assert facts_of(rows).resisted == facts_of(rows).newly_beaten == {1}
