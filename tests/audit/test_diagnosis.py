"""Diagnoses as values."""

from __future__ import annotations

import json

import pytest

from relrob.audit.diagnosis import IDS, Diagnosis


def test_a_diagnosis_survives_json() -> None:
    found = Diagnosis("layout", "the reference reads (C, H, W)", {"accuracy": 0.5}, "--layout chw")
    assert Diagnosis(**json.loads(json.dumps(found.json()))) == found


@pytest.mark.parametrize(
    ("name", "sentence", "evidence"),
    [
        ("lay-out", "a sentence", {}),
        ("layout", "", {}),
        ("layout", "a sentence", {"accuracy": object()}),
        ("layout", "a sentence", {"accuracy": float("nan")}),
    ],
)
def test_what_is_no_diagnosis(name: str, sentence: str, evidence: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"diagnosis|evidence|compliant"):
        Diagnosis(name, sentence, evidence)


def test_every_name_has_one_meaning() -> None:
    assert len(set(IDS.values())) == len(IDS) == 19
