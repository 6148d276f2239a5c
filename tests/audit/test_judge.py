"""One right name a fault, where runs and weights both speak."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from relrob.audit.diagnosis import IDS, Diagnosis
from relrob.audit.judge import EFFECTS, ORDER, RANGES, READING, diagnose
from relrob.audit.ranges import activation_faults
from relrob.audit.weight_report import Activation, WeightReport
from tests.audit.pairs import Runs


def named(*ids: str) -> tuple[Diagnosis, ...]:
    return tuple(Diagnosis(each, f"it is {each}") for each in ids)


def judged(runs: tuple[str, ...], weights: tuple[str, ...], read: bool = True) -> list[str]:
    report = WeightReport(read, "" if read else "of another format", diagnoses=named(*weights))
    return [each.id for each in diagnose(Runs(named(*runs)), report)]


CASES = [
    # Weights that were read say whose they are.
    (("stale-weights",), (), True, []),
    (("another-network",), ("stale-weights",), True, ["stale-weights"]),
    (("another-network",), ("changed-scale",), True, ["changed-scale"]),
    (("permuted-classes",), ("permuted-classes",), True, ["permuted-classes"]),
    (("permuted-classes",), ("changed-weights",), True, ["changed-weights"]),
    # Outputs may be permuted behind the last layer.
    (("permuted-classes",), (), True, ["permuted-classes"]),
    # Where they were not read, runs say it, unless the layers do.
    (("stale-weights",), (), False, ["stale-weights"]),
    (("stale-weights",), ("another-network",), False, ["another-network"]),
    # A wrong reading explains ranges and a low accuracy.
    (("input-scale",), ("calibration",), True, ["input-scale"]),
    (("input-scale", "undertrained-reference"), (), True, ["input-scale"]),
    ((), ("input-scale", "saturated-activations"), True, ["input-scale"]),
    (("channel-order",), ("channel-order",), True, ["channel-order"]),
    # An output that is constant is an effect.
    (("constant-output",), ("changed-bias",), True, ["changed-bias"]),
    (("constant-output",), ("saturated-activations",), True, ["saturated-activations"]),
    (("constant-output",), (), True, ["constant-output"]),
    (
        ("undertrained-reference",),
        ("changed-bias",),
        True,
        ["changed-bias", "undertrained-reference"],
    ),
    # Two faults keep two names, the reading first.
    (("layout",), ("changed-weights",), True, ["layout", "changed-weights"]),
    ((), ("permuted-classes", "changed-bias"), True, ["permuted-classes", "changed-bias"]),
]


@pytest.mark.parametrize(("runs", "weights", "read", "expected"), CASES)
def test_a_fault_has_one_name(
    runs: tuple[str, ...], weights: tuple[str, ...], read: bool, expected: list[str]
) -> None:
    assert judged(runs, weights, read) == expected


def test_every_name_has_its_place() -> None:
    assert sorted(ORDER) == sorted(IDS)


def test_no_fault_is_lost_without_one_that_explains_it() -> None:
    for one, other in itertools.product(IDS, repeat=2):
        left = judged((one,), (other,), read=False)
        assert left
        assert set(left) <= {one, other}
        if other not in (*RANGES, *EFFECTS, *READING) and one != "another-network":
            assert other in left


def test_the_hint_that_was_tried_on_images_is_kept() -> None:
    tried = Diagnosis("input-scale", "it fits", hint="--input-scale 255")
    report = WeightReport(True, diagnoses=(Diagnosis("input-scale", "it seems so"),))
    assert diagnose(Runs((tried,)), report) == (tried,)


def test_what_runs_suggest_stands_where_no_weights_were_read() -> None:
    runs = Runs(candidates=named("stale-weights"))
    assert diagnose(runs, WeightReport(True)) == ()
    assert diagnose(runs, WeightReport(False, "no reader")) == runs.candidates
    other = WeightReport(False, "other layers", diagnoses=named("another-network"))
    assert [each.id for each in diagnose(runs, other)] == ["another-network"]


@pytest.mark.parametrize(
    ("runs", "networks", "expected"),
    [
        ("", (), "calibration"),
        ("normalisation", ("quantised",), "calibration"),
        ("normalisation", ("reference", "quantised"), "normalisation"),
        ("input-scale", ("quantised",), "input-scale"),
    ],
)
def test_codes_for_levels_that_nothing_reads_are_a_calibration(
    runs: str, networks: tuple[str, ...], expected: str
) -> None:
    tried = Diagnosis(runs, "it fits", {"networks": list(networks)}) if runs else None
    codes = Diagnosis("input-scale", "these are levels", {"used": 0.004}, "--input-scale 255")
    found = diagnose(Runs((tried,) if tried else ()), WeightReport(True, diagnoses=(codes,)))
    assert [each.id for each in found] == [expected]


def test_logits_behind_ranges_of_other_images_are_a_calibration() -> None:
    evidence = {"noise": 0.4, "slope": 0.8}
    runs = Runs(candidates=(Diagnosis("another-network", "so it seems", evidence),))
    fits = Activation(
        "layer 1", "output", "t", 0.1, -128, 0.0, 25.5, 1.0, 0.0, 0.0, True, reference=(0.0, 20.0)
    )
    far = replace(fits, reference=(0.0, 40.0))
    for used, expected in (
        ((replace(fits, beyond=0.01), replace(fits, reference=(0.0, 9.0))), "calibration"),
        ((fits, replace(fits, beyond=0.01)), "changed-operations"),
        # The ranges before the layer that computes something else fit.
        ((fits, far, far), "changed-operations"),
        ((far, fits, far), "calibration"),
        ((), "changed-operations"),
    ):
        report = WeightReport(True, activations=used)
        assert [each.id for each in diagnose(runs, report)] == [expected]


ALIKE = {"noise": 0.03, "slope": 1.01}
OTHER = {"noise": 0.6, "slope": 0.9}
LENT = Activation(
    "layer 1", "output", "t", 0.1, -128, 0.0, 25.5, 0.1, 0.0, 0.0, True, relu=True, lent=0.8
)


@pytest.mark.parametrize(
    ("in_reals", "agreement", "lent", "rectified", "expected"),
    [
        (ALIKE, 0.8, False, (), [("calibration", True)]),
        (ALIKE, 0.97, False, (), [("calibration", True)]),
        (ALIKE, 0.97, True, (), [("calibration", False)]),
        (ALIKE, 0.8, True, (), [("calibration", True)]),
        (OTHER, 0.8, False, (), [("changed-operations", True)]),
        (OTHER, 0.97, False, (), [("changed-operations", True)]),
        (ALIKE, 0.8, False, ("layer 1",), [("changed-operations", True)]),
        # Coarse codes explain it where the labels hardly change.
        (OTHER, 0.97, True, (), [("calibration", False)]),
        (OTHER, 0.8, True, (), [("changed-operations", True), ("calibration", False)]),
        (None, 0.8, False, (), [("changed-operations", True)]),
    ],
)
def test_logits_that_are_right_without_rounding_are_a_matter_of_ranges(
    in_reals: dict[str, float] | None,
    agreement: float,
    lent: bool,
    rectified: tuple[str, ...],
    expected: list[tuple[str, bool]],
) -> None:
    evidence: dict[str, Any] = {"noise": 0.4, "slope": 0.8, "agreement": agreement}
    if in_reals is not None:
        evidence["in_reals"] = in_reals
    runs = Runs(candidates=(Diagnosis("another-network", "so it seems", evidence),))
    used = (LENT,) if lent else ()
    report = WeightReport(*(True, "", (), used, activation_faults(used, ())), rectified=rectified)
    found = diagnose(runs, report)
    assert [(each.id, each.blocking) for each in found] == expected
    if in_reals is ALIKE and not rectified:
        assert "by 3 % where this file rounds no activations" in found[0].sentence
        assert ("the step behind" in found[0].sentence) == lent


@pytest.mark.parametrize(
    ("contract", "faults", "expected"),
    [
        ({"mean": ["0.5"], "std": ["0.3"]}, ("changed-scale",), ["changed-scale"]),
        ({"mean": ["0.5"]}, ("changed-scale", "changed-bias"), ["normalisation"]),
        ({"mean": ["0.5"]}, ("changed-weights",), ["normalisation"]),
        ({"mean": ["0.5"]}, (), ["normalisation"]),
        # No mean is taken off, so the biases may be right.
        ({"std": ["0.8"]}, ("changed-scale",), ["normalisation"]),
    ],
)
def test_a_first_layer_with_other_scales_alone_reads_no_other_values(
    contract: dict[str, Any], faults: tuple[str, ...], expected: list[str]
) -> None:
    tried = Diagnosis("normalisation", "it fits", {"networks": ["quantised"], "contract": contract})
    told = tuple(Diagnosis(each, "it is so", {"layer": "first"}) for each in faults)
    report = WeightReport(True, layers=({"layer": "first"},), diagnoses=told)
    assert [each.id for each in diagnose(Runs((tried,)), report)] == expected


def test_what_does_not_block_explains_nothing() -> None:
    note = Diagnosis("calibration", "in other units", blocking=False)
    found = diagnose(Runs(named("constant-output")), WeightReport(True, diagnoses=(note,)))
    assert [each.id for each in found] == ["calibration", "constant-output"]


@pytest.mark.parametrize("told", [{"rectified": ("layer 1",)}, {"coarse": True}, {}])
def test_a_report_that_was_kept_is_judged_as_it_was(told: dict[str, Any]) -> None:
    suggested = Diagnosis("another-network", "so it seems", {"noise": 0.4, "slope": 0.8})
    runs, report = Runs(candidates=(suggested,)), WeightReport(True, **told)
    back = WeightReport.of(json.loads(json.dumps(report.json())))
    assert back == report
    assert diagnose(runs, back) == diagnose(runs, report)
