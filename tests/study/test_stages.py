"""What runs share is done once, in an order that respects what needs what, and let go after its
last use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx
import pytest

from relrob.domain.events import Event, silent
from relrob.errors import NetworkError
from relrob.study import stages as tested
from relrob.study.plan import make_plan
from relrob.study.request import Request
from relrob.study.stages import Stages
from tests.cli_case import Case


@pytest.fixture
def request_of(case: Case) -> Request:
    return case.request("0:2")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kinds of the stages that were worked on, in order."""
    seen: list[str] = []

    def noting(kind: str, make: Any) -> Any:
        def noted(*given: Any) -> Any:
            seen.append(kind)
            return make(*given)

        return noted

    monkeypatch.setattr(
        tested, "_MAKERS", {kind: noting(kind, make) for kind, make in tested._MAKERS.items()}
    )
    return seen


def drawn(stages: Stages) -> Any:
    """The graph of stages as one of networkx."""
    return networkx.DiGraph([(one, then) for one, after in stages.graph.items() for then in after])


ALL = ["images", "reference", "quantised", "data", "reference accuracy", "quantised accuracy"]


def test_one_run_does_each_stage_once(request_of: Request, done: list[str]) -> None:
    make_plan(request_of)
    assert done == ALL


def test_runs_that_differ_in_their_region_share_everything(
    request_of: Request, done: list[str], tmp_path: Path
) -> None:
    requests = [replace(request_of, radius=radius) for radius in ("2", "3", "4")]
    stages = Stages(requests)
    assert networkx.is_directed_acyclic_graph(drawn(stages))
    assert len(stages.graph) == len(ALL) + 3
    plans = [make_plan(each, stages=stages) for each in requests]
    assert done == ALL
    assert len({plan.digest for plan in plans}) == 3
    alone = [make_plan(each) for each in requests]
    assert [plan.digest for plan in plans] == [plan.digest for plan in alone]
    assert [plan.header for plan in plans] == [plan.header for plan in alone]


def test_an_option_that_a_stage_reads_makes_another_stage(
    case: Case, request_of: Request, done: list[str]
) -> None:
    other = replace(request_of, quantised=None, quantise="qdq")
    stages = Stages([request_of, other])
    for each in (request_of, other, request_of):
        make_plan(each, stages=stages)
    assert done == [*ALL, "quantised", "quantised accuracy"]
    assert len(stages.graph) == len(ALL) + 4
    after = {node[0]: networkx.ancestors(drawn(stages), node) for node in stages.graph}
    assert {node[0] for node in after["quantised accuracy"]} == {
        "images",
        "data",
        "reference",
        "quantised",
    }


def test_what_no_run_needs_any_more_is_let_go(request_of: Request) -> None:
    requests = [request_of, replace(request_of, quantised=None, quantise="qdq")]
    stages = Stages(requests)
    for number, each in enumerate(requests):
        make_plan(each, stages=stages)
        stages.finished(number)
        kinds = sorted(node[0] for node in stages.graph)
        assert kinds == ([] if number else sorted([*ALL, "run"]))
        assert {stage[0] for stage in stages._results} == (
            set() if number else {"images", "data", "reference", "reference accuracy"}
        )


def test_a_stage_that_fails_stops_its_run_alone(request_of: Request, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    requests = [replace(request_of, quantised=str(broken)), request_of]
    stages = Stages(requests)
    with pytest.raises(NetworkError, match="broken"):
        make_plan(requests[0], stages=stages)
    assert make_plan(requests[1], stages=stages).header["quantised"]["accuracy"] > 0


def test_the_accuracy_is_announced(request_of: Request) -> None:
    said: list[Event] = []
    stages = Stages([request_of])
    assert 0 < stages.accuracy("reference", request_of, said.append) <= 1
    assert [
        event.text
        for event in said
        if "clean accuracy of the reference network on 40 images" in event.text
    ]
    assert stages.accuracy("reference", request_of, silent) == stages.accuracy(
        "reference", request_of, said.append
    )
    assert len(said) == 1
