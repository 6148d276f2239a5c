"""The configuration of a run holds everything that decides its records, and nothing that does
not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from relrob.domain.region import Ladder
from relrob.errors import RelrobError, UsageError
from relrob.relative.sets import Effective
from relrob.store.images import asked
from relrob.study.plan import make_plan, run_directory
from relrob.study.request import Request
from relrob.study.work import Plan
from tests.cli_case import Case


def request_of(case: Case) -> Request:
    return Request(
        radius="3",
        step="1/2",
        reference=str(case.reference),
        quantised=str(case.quantised),
        dataset=str(case.data),
        features="8",
        axes=3,
        images="0:4",
    )


@pytest.fixture
def plan(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELROB_CACHE", str(tmp_path / "cache"))
    return make_plan(request_of(case))


CHANGES: list[dict[str, Any]] = [
    {"radius": "2"},
    {"step": "1/4"},
    {"features": "7"},
    {"features": "all"},
    {"axes": 4},
    {"grid": "8bit"},
    {"seed": 1},
    {"labels": "reference"},
    {"range": "0:256"},
    {"layout": "chw"},
    {"input_scale": "2"},
    {"mean": "0.5"},
    {"std": "1/3"},
    {"effective": "all"},
    {"effective": "farthest"},
    {"solver": "enumerate"},
    {"time_limit": 61.0},
    {"counts": False},
    {"certificates": True},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_changes_the_records_changes_the_run(
    case: Case, plan: Plan, change: dict[str, Any]
) -> None:
    other = make_plan(replace(request_of(case), **change))
    assert other.digest != plan.digest
    assert other.config != plan.config


def test_the_same_request_is_the_same_run_wherever_its_files_lie(
    case: Case, plan: Plan, tmp_path: Path
) -> None:
    assert make_plan(request_of(case)).digest == plan.digest == plan.header["run"]
    moved: dict[str, Any] = {}
    for name, source in (("reference", case.reference), ("quantised", case.quantised)):
        (tmp_path / f"moved-{name}.onnx").write_bytes(source.read_bytes())
        moved[name] = str(tmp_path / f"moved-{name}.onnx")
    other = make_plan(replace(request_of(case), **moved))
    assert other.digest == plan.digest
    assert other.header["reference"]["path"] == moved["reference"]


@pytest.mark.parametrize("images", ["0:5", "3,2,1,0", "all"])
def test_the_images_asked_for_do_not_change_the_run(case: Case, plan: Plan, images: str) -> None:
    other = make_plan(replace(request_of(case), images=images))
    assert (other.digest, other.config) == (plan.digest, plan.config)
    told = "0:40" if images == "all" else images
    assert (other.header["dataset"]["indices"], plan.header["dataset"]["indices"]) == (told, "0:4")
    assert list(asked(other.header) or ()) == list(other.indices)


def test_the_plan_is_what_was_asked(case: Case, plan: Plan) -> None:
    assert plan.indices == (0, 1, 2, 3)
    assert make_plan(replace(request_of(case), images="3,1")).indices == (3, 1)
    assert plan.region == Ladder(Fraction(3), Fraction(1, 2), 8, 3)
    rounded = make_plan(replace(request_of(case), grid="8bit", seed=5, features="all")).region
    assert rounded == Ladder(Fraction(3), Fraction(128, 255), None, 3, 5)
    asked = make_plan(
        replace(
            request_of(case),
            effective="farthest",
            solver="bounds",
            time_limit=2.5,
            counts=False,
            certificates=True,
        )
    )
    assert (asked.effective, asked.solver, asked.budget.seconds) == (
        Effective.FARTHEST,
        "bounds",
        2.5,
    )
    assert (asked.counts, asked.certificates) == (False, True)
    assert (plan.counts, plan.certificates, plan.solver) == (True, False, "auto")


def test_the_header_says_what_ran(case: Case, plan: Plan) -> None:
    header = plan.header
    assert list(header)[:7] == [
        "relrob",
        "run",
        "dataset",
        "reference",
        "quantised",
        "region",
        "arithmetic",
    ]
    assert header["dataset"]["images"] == 4
    assert (header["quantised"]["scheme"], header["quantised"]["runtime"]) == ("qdq", "onnxruntime")
    assert "scheme" not in header["reference"]
    assert (
        0.85 <= header["reference"]["accuracy"] <= 0.95
    )  # every tenth label of the case is wrong on purpose
    assert header["region"]["exact"] == {"radius": "3", "step": "1/2"}
    assert header["arithmetic"] == "float32"
    assert (
        make_plan(replace(request_of(case), features="all")).header["region"]["features"] == "all"
    )


def test_run_directories_are_named_by_the_run(plan: Plan) -> None:
    assert run_directory(None, plan.digest) == Path("relrob-runs") / plan.digest[:16]
    assert run_directory(Path("here"), plan.digest) == Path("here")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": "whc"}, "whc"),
        ({"runtime": "keras"}, "keras"),
        ({"reference_runtime": "xnnpack"}, "xnnpack"),
        ({"effective": "some"}, "closest, all, farthest"),
        ({"solver": "oracle"}, "oracle"),
        ({"grid": "9bit"}, "9bit"),
        ({"features": "many"}, "many"),
        ({"images": "7:7"}, "7:7"),
        ({"time_limit": -1.0}, "time limit"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    case: Case, plan: Plan, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(RelrobError, match=words):
        make_plan(replace(request_of(case), **change))


def test_networks_in_the_other_order_are_refused(case: Case) -> None:
    asked = request_of(case)
    with pytest.raises(
        UsageError, match=r"is quantised and .* is not; accepted: REFERENCE QUANTISED"
    ):
        make_plan(replace(asked, reference=asked.quantised, quantised=asked.reference))


def test_a_file_in_which_nothing_is_quantised_is_refused_as_the_quantised_one(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"nothing is quantised in .*ref\.onnx") as error:
        make_plan(replace(request_of(case), quantised=str(case.reference)))
    assert "\n" not in str(error.value)
    assert "may be the REFERENCE" in str(error.value)
