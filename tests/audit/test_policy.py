"""Policies: printed and read back, lines of rules, and refusals in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.audit.policy import (
    changed,
    default_policy,
    lines_of,
    policy_of,
    policy_text,
    read_policy,
)
from relrob.audit.rules import OFF, RULES
from relrob.errors import StoreError, UsageError

PERCENT = st.integers(0, 1000).map(lambda tenths: f"{tenths / 10:g}%")


@st.composite
def thresholds(draw: st.DrawFn) -> dict[str, object]:
    """Some rules with thresholds."""
    found: dict[str, object] = {}
    for rule in RULES:
        kinds = [st.none(), st.just(OFF), PERCENT]
        if rule.counts:
            kinds.append(st.integers(0, 10_000))  # type: ignore[arg-type]
        value = draw(st.one_of(*kinds))
        if value is not None:
            found[rule.id] = value
    return found


@given(thresholds(), st.booleans(), st.sampled_from([[], ["layout"], "off"]))
def test_a_policy_that_is_printed_is_the_same_policy(
    rules: dict[str, object], population: bool, allowed: object
) -> None:
    policy = policy_of(
        {"rules": {**rules, "allowed-diagnoses": allowed}, "judge": {"population": population}}
    )
    text = policy_text(policy)
    again = policy_of(tomllib.loads(text))
    assert again == policy
    assert policy_text(again) == text


def test_the_default_policy_names_every_rule_with_a_comment() -> None:
    text = policy_text(default_policy())
    assert policy_of(tomllib.loads(text)) == default_policy()
    assert {*lines_of(text)} == {"allowed-diagnoses", *(rule.id for rule in RULES)}
    assert max(map(len, text.splitlines())) <= 80
    told = " ".join(line.lstrip("# ") for line in text.splitlines())
    for rule in RULES:
        assert rule.measures in told


def test_rules_that_a_file_does_not_name_keep_their_default(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('# mine\n[rules]\n\nmax-lost = 3\n"min-agreement" = 0.97\n')
    policy = read_policy(path)
    assert policy.lines == {"max-lost": 4, "min-agreement": 5}
    shown = {name: limit.text() for name, limit in policy.thresholds}
    assert shown == {
        "max-shown-accuracy-drop": "1%",
        "min-agreement": "97%",
        "max-proved-lost": "5%",
        "max-run-lost": "10%",
        "max-lost": "3",
        "max-crashed": "0",
        "max-newly-attacked": "10%",
    }
    less = changed(policy, {"max-lost": OFF, "max-undecided": "4"}, ["calibration"])
    assert less.threshold("max-lost") is None
    assert str(less.threshold("max-undecided")).startswith("Threshold(value=Fraction(4, 1)")
    assert (less.allowed, less.path) == (("calibration",), str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[rules]\nmax-lots = 3\n", r"\[rules\] has 'max-lots'; accepted: allowed-diagnoses, max"),
        ("[rules]\nmax-lots = 3\n", "; try: max-lost$"),
        ("[rules]\nnothing-like-it = 3\n", r"accepted: allowed-diagnoses, [^;]*$"),
        ("[rule]\nmax-lost = 3\n", "has 'rule'; accepted: rules, judge; try: rules$"),
        ("max-lost = 3\n", "has 'max-lost'; accepted: rules, judge"),
        ("rules = 3\n", r"rules in .* is no table; accepted: \[rules\]"),
        ("[judge]\nconfidence = 1\n", r"\[judge\] has 'confidence'; accepted: population"),
        ("[judge]\npopulation = 1\n", "population = 1; accepted: true or false"),
        ("[rules]\nallowed-diagnoses = ['x']\n", "diagnosis 'x'; accepted: another-network"),
        ("[rules]\nallowed-diagnoses = 3\n", "accepted: a list of diagnoses"),
        ("[rules]\nmax-lost = [3]\n", r"max-lost = \[3\]; accepted: a number of images"),
        ("[rules\n", "is no TOML: .*; try: relrob audit --print-policy"),
    ],
)
def test_a_policy_that_is_none_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as told:
        read_policy(path)
    assert "\n" not in str(told.value)


def test_a_policy_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*; try: check the path"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no TOML"):
        read_policy(tmp_path / "bytes.toml")
    with pytest.raises(UsageError, match="rule 'max-x'"):
        changed(default_policy(), {"max-x": 3})
