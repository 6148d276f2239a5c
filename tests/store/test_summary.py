"""The summary: the contract's keys, its identities, its rates, and intervals as SciPy gives
them."""

from __future__ import annotations

import doctest
import json
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from relrob.domain.record import Record, Set
from relrob.errors import StoreError
from relrob.store import configuration, proportions, tables
from relrob.store.proportions import wilson
from relrob.store.summarise import summarise
from tests.make_records import changed, make_header, make_record

CONTRACT = [
    "relrob",
    "run",
    "dataset",
    "reference",
    "quantised",
    "region",
    "arithmetic",
    "sets",
    "relative_robustness",
    "adversarial_transfer",
    "transfer_points",
    "closest_transfer",
    "points",
    "seconds",
]
SETS = ["L_cc", "L_ic", "R", "R_NOT", "R_Q^FP", "R^FP", "R_Q", "R^0", "R^mixed", "unknown"]
UNKNOWNS = [
    ("UNKNOWN", "ROBUST"),
    ("UNKNOWN", "UNKNOWN"),
    ("ROBUST", "UNKNOWN"),
    ("NOT_ROBUST", "UNKNOWN"),
]
VERDICTS: dict[Set, list[tuple[str, str]]] = {
    Set.RQFP: [("ROBUST", "ROBUST")],
    Set.RFP: [("ROBUST", "NOT_ROBUST")],
    Set.RQ: [("NOT_ROBUST", "ROBUST"), ("NOT_ROBUST", "NOT_ROBUST")],
    Set.R0: [("NOT_ROBUST", "NOT_ROBUST")],
    Set.MIXED: [("NOT_ROBUST", "NOT_ROBUST")],
    Set.UNKNOWN: UNKNOWNS,
    Set.L_IC: [("", "")],
}


@st.composite
def consistent_records(draw: st.DrawFn) -> list[Record]:
    """Records whose sets, verdicts and counts agree, written here from docs/regions.md alone."""
    records = []
    for index in range(draw(st.integers(0, 30))):
        which = draw(st.sampled_from(list(Set)))
        reference, quantised = draw(st.sampled_from(VERDICTS[which]))
        record = Record(index, 1, 1 if which is not Set.L_IC else 2, 1, which, reference, quantised)
        if reference == "NOT_ROBUST" and draw(st.booleans()):
            transferred, more_r, more_q = (draw(st.integers(0, 2**80)) for _ in range(3))
            record = changed(
                record,
                reference_effective=transferred + more_r,
                quantised_effective=transferred + more_q,
                transferred=transferred,
                same_class=draw(st.integers(0, transferred)),
                points=transferred + more_r + more_q,
            )
        records.append(
            changed(record, evaluated=draw(st.integers(0, 10**6)), thin=draw(st.integers(0, 3)))
        )
    return records


@settings(max_examples=150)
@given(consistent_records())
def test_identities_and_rates(records: list[Record]) -> None:
    found = summarise(records, make_header(len(records)), 1.5).json()
    assert list(found)[: len(CONTRACT)] == CONTRACT
    assert list(found["sets"]) == SETS
    n = found["sets"]
    assert n["L_cc"] + n["L_ic"] == found["dataset"]["images"] == len(records)
    assert n["R"] + n["R_NOT"] + found["unknown_reference"] == n["L_cc"]
    left_open = [record.reference_verdict for record in records if record.set == "unknown"]
    assert n["R_Q^FP"] + n["R^FP"] + left_open.count("ROBUST") == n["R"]
    assert n["R_Q"] + n["R^0"] + n["R^mixed"] + left_open.count("NOT_ROBUST") == n["R_NOT"]
    assert n["unknown"] == len(left_open)
    assert found["points"]["covered"] == found["points"]["evaluated"] + found["points"]["proved"]
    assert found["points"]["evaluated"] + found["evaluated_undecided"] == sum(
        record.evaluated for record in records
    )
    kept = [r for r in records if r.set == "R_Q^FP"]
    open_ = any(r.set == "unknown" and r.reference_verdict != "NOT_ROBUST" for r in records)
    assert found["relative_robustness"] == (
        round(len(kept) / n["R"], 6) if n["R"] and not open_ else None
    )
    everything = [record for record in records if record.set == "R^0"]
    open_ = any(r.set == "unknown" and r.reference_verdict != "ROBUST" for r in records)
    assert found["adversarial_transfer"] == (
        round(len(everything) / n["R_NOT"], 6) if n["R_NOT"] and not open_ else None
    )
    open_ = open_ or any(r.reference_verdict == "NOT_ROBUST" and r.points is None for r in records)
    pairs = [(r.transferred, r.reference_effective) for r in records if r.transferred is not None]
    total = sum(whole or 0 for _, whole in pairs)
    share = found["transfer_points"]
    if total and not open_:
        assert abs(Fraction(sum(part for part, _ in pairs), total) - Fraction(share)) <= Fraction(
            1, 10**6
        )
        assert found["effective"]["reference"] == total
    else:
        assert share is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_run_counted_by_hand() -> None:
    """28 images: four of each set."""
    records = [make_record(index) for index in range(28)]
    found = summarise(records, make_header(28), 12.3456789).json()
    assert found["sets"] == dict(zip(SETS, (24, 4, 8, 16, 4, 4, 4, 4, 4, 4), strict=True))
    assert (found["relative_robustness"], found["adversarial_transfer"]) == (0.5, None)
    assert found["relative_robustness_bounds"] == [0.5, 0.5]
    assert found["adversarial_transfer_bounds"] == [0.25, 0.5]
    # Of the four undecided images 1,005 to 1,026 points each can be effective, all or none of both.
    more = 1005 + 1012 + 1019 + 1026
    assert (found["transfer_points"], found["closest_transfer"]) == (None, None)
    assert found["transfer_points_bounds"] == pytest.approx(
        [280 / (480 + more), (280 + more) / (480 + more)], abs=1e-6
    )
    assert found["closest_transfer_bounds"] == pytest.approx(
        [28 / (48 + more), (28 + more) / (48 + more)], abs=1e-6
    )
    assert found["undecided"] == {
        "robust_unknown": 0,
        "not_robust_unknown": 4,
        "unknown_robust": 0,
        "unknown_not_robust": 0,
        "unknown_unknown": 0,
    }
    assert found["lost_images"] == [1, 8, 15, 22]
    assert found["effective"] == {
        "reference": 480,
        "quantised": 504,
        "transferred": 280,
        "same_class": 240,
    }
    assert found["seconds"] == 12.345679
    assert (found["unknown_reference"], found["unknown_quantised"], found["clean_regressions"]) == (
        0,
        4,
        2,
    )
    assert found["region_points"] == [1000, 2**78 + 25]
    assert found["decided_by"] == {"enumerate, enumerate": 20}
    assert found["reasons"] == {"the time limit, as a test has it": 4}
    assert found["intervals"]["relative_robustness"] == pytest.approx([0.2152, 0.7848], abs=1e-4)


def test_what_was_not_counted_is_null_not_zero() -> None:
    found = summarise([], make_header(0), 0.0).json()
    rates = (
        "relative_robustness",
        "adversarial_transfer",
        "transfer_points",
        "closest_transfer",
        "region_points",
    )
    assert [found[name] for name in rates] == [None] * 5
    assert set(found["effective"].values()) == set(found["intervals"].values()) == {None}
    bounds = [found[f"{name}_bounds"] for name in rates[:4]]
    assert bounds == [None] * 4
    assert found["points"] == {
        "covered": 0,
        "evaluated": 0,
        "proved": 0,
        "reference_proved": None,
        "quantised_proved": None,
    }


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [
        (
            0,
            {"reference_verdict": "NOT_ROBUST"},
            "image 0 is in R_Q^FP with verdicts 'NOT_ROBUST' and 'ROBUST'",
        ),
        (1, {"quantised_verdict": "ROBUST"}, "R^FP"),
        (3, {"quantised_verdict": "UNKNOWN"}, "R^0"),
        (5, {"quantised_verdict": "ROBUST"}, "unknown"),
        (6, {"reference_verdict": "ROBUST"}, "L_ic"),
        (3, {"transferred": 41}, "transferred 41 above reference_effective 40"),
        (3, {"same_class": 41}, "same_class 41 above transferred 40"),
        (3, {"points": 10}, "reference_effective 40 above points 10"),
        (3, {"closest_transferred": 5}, "closest_transferred 5 above closest_effective 4"),
    ],
)
def test_contradictions_are_refused(index: int, change: dict[str, Any], words: str) -> None:
    record = make_record(index)
    summarise([record], make_header(1), 0.0)
    with pytest.raises(StoreError) as caught:
        summarise([changed(record, **change)], make_header(1), 0.0)
    assert words in str(caught.value)


@given(st.integers(1, 20000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    k, n = pair
    expected = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("pair", [(0, 0), (-1, 5), (6, 5)])
def test_wilson_needs_a_proportion(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(*pair)


@pytest.mark.parametrize("module", [proportions, configuration, tables])
def test_the_examples_in_docstrings_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
