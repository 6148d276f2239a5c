"""Alarms on real files and in whole runs: planted faults sound them, honest networks do not."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from relrob.bounding import certain
from relrob.bounding.certain import CertainLabels
from relrob.cli.main import run
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles
from relrob.domain.network import Arithmetic, Dense, Layer, Network
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.errors import AlarmError
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Deviation, EnclosedLayer
from relrob.networks.litert.enclosure import tflite_enclosure
from relrob.networks.litert.runtime import open_litert
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.networks.real import open_real
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.spots import NetworkSpots, Spots, _Promise
from relrob.regions.ball import ball_set
from relrob.regions.ladder import RungSet
from relrob.regions.part import part_of
from relrob.store.run_directory import Store
from relrob.study.pool import map_unordered
from relrob.testing.files import quantised_files
from relrob_solvers import bounds_ladder as bounds
from relrob_solvers.branch_ladder import Branch
from tests.cli_case import Case
from tests.instances import SHAPE, rungs_of
from tests.make_litert import FILES
from tests.make_networks import write_tflite
from tests.networks.litert.test_dense import a_network
from tests.support import random_dense


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Opened]:
    return quantised_files(tmp_path_factory.mktemp("spots"))


def questions(files: list[Opened]) -> Iterator[Query[RungSet]]:
    for seed in range(12):
        for opened in files:
            rungs = rungs_of(seed, ("1/2", "1/16"))
            label = int(opened.replayer.outputs(rungs.base[None, :]).argmax())
            yield Query(rungs, Label(label), (opened,), Budget(600), True)


def test_an_enclosure_that_drops_the_rounding_sounds_the_alarm(
    files: list[Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug: the runtime is taken for real arithmetic. No label need be wrong: margins fall
    below what was proved."""
    checked = 0
    for problem in questions(files):
        decide(problem, Branch(1))
        checked += problem.spots.run
    assert checked > 100

    def nothing(self: EnclosedLayer, high: Doubles, moved: Doubles | None = None) -> Deviation:
        return Deviation(np.zeros_like(high), np.zeros((*high.shape[:-1], len(self.bias))))

    monkeypatch.setattr(EnclosedLayer, "deviation", nothing)
    monkeypatch.setattr(
        EnclosedLayer, "levels", lambda self, values, largest: (values, np.zeros_like(values))
    )
    with pytest.raises(AlarmError, match="a margin of"):
        for problem in questions(files):
            decide(problem, Branch(1))


def test_probabilities_are_compared_as_probabilities(tmp_path: Path) -> None:
    dense = random_dense(4, (36, 40, 3))
    path = write_tflite(Dense(dense.layers, softmax=True), tmp_path / "soft.tflite", SHAPE)
    network = load_network(path, image_shape=SHAPE, classes=3)
    opened = Opened(network, open_network(network), open_network(network, batch=1))
    enclosure = enclosure_of(network)
    assert enclosure is not None
    assert enclosure.probabilities
    for seed in range(20):
        rungs = rungs_of(seed, ("1/2", "1/16"))
        label = int(opened.replayer.outputs(rungs.base[None, :]).argmax())
        problem = Query(rungs, Label(label), (opened,), Budget(600), True)
        decide(problem, Branch(1))
        part = part_of(rungs, (), (), 0)
        settled = CertainLabels(enclosure, rungs, label).settle(part)
        if settled.label == label and 0.01 < settled.least < 0.9:
            spots = Spots()
            spots.of(opened).part(
                part_of(rungs, (), (), 0), label, settled.least + 0.05, settled.gains
            )
            with pytest.raises(AlarmError, match="a margin of"):
                spots.finish()
            return
    raise AssertionError("no margin between 0 and 1")


def make_alarming(given: None) -> Callable[[int], int]:
    def function(item: int) -> int:
        if item == 3:
            raise AlarmError("image 3: the quantised network gives 1")
        return item

    return function


def test_the_alarm_passes_through_workers_and_pickles() -> None:
    with pytest.raises(AlarmError) as caught:
        list(map_unordered(make_alarming, None, range(6), 2))
    assert (caught.value.exit_code, str(caught.value)) == (
        4,
        "image 3: the quantised network gives 1",
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (AlarmError, str(caught.value))


def test_a_run_stops_with_exit_code_4_and_stores_nothing_of_the_image(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(certain, "proves", lambda *_: True)
    monkeypatch.setattr(bounds, "greedy", lambda tally, rungs: None)
    twice = replace(case, quantised=case.simulated)
    monkeypatch.setattr(
        "sys.argv",
        ["relrob", *twice.arguments("--out", str(tmp_path / "out"), "--solver", "bounds")],
    )
    assert run() == 4
    error = capsys.readouterr().err
    assert "network gives" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "summary.json").exists()
    index = int(error.splitlines()[-1].split("image ")[1].split(":")[0])
    with Store.read(tmp_path / "out") as store:
        assert index not in {record.index for record in store.records()}


def test_logits_that_saturate_behind_a_softmax_raise_no_alarm() -> None:
    """A bound of their margin speaks of what they were before: labels alone are compared."""
    data = FILES["int8-softmax"]
    network = replace(
        a_network(data, 20, 5, "builtin"), scheme="int8", arithmetic=Arithmetic.INTEGER
    )
    evaluator = open_litert(network, 1, data, batch=1)
    enclosure = tflite_enclosure(network, data)
    assert enclosure is not None
    assert np.isfinite(enclosure.layers[-1].floor)
    spots = NetworkSpots(Spots(), Opened(network, evaluator, evaluator))
    spots._enclosure, spots._known = enclosure, True
    image = np.zeros((1, 20), np.float32)
    label = int(evaluator.outputs(image).argmax())
    spots._add(_Promise(image, label, 0.999, "bounds"))
    spots.finish()
    spots._add(_Promise(image, (label + 1) % 5, 0.1, "bounds"))
    with pytest.raises(AlarmError, match=f"gives {label} at a point"):
        spots.finish()


def test_real_numbers_that_float32_does_not_hold_raise_no_alarm() -> None:
    """Outputs of 1e50 are stored as the largest float32, so that margins of 1e50 look like those
    between its neighbours."""
    weights = np.array([[1e30, -1e30], [1e30, -1e30]], np.float32)
    hidden = Layer(np.eye(2, dtype=np.float32) * np.float32(1e20), np.zeros(2, np.float32), True)
    network = Network(
        "case", "0" * 64, "onnx", "real", 2, 2, (1, 2, 1), arithmetic=Arithmetic.REAL,
        dense=Dense((hidden, Layer(weights, np.zeros(2, np.float32), False))),
    )  # fmt: skip
    runs = open_real(network, 1)
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 8)), np.full((1, 2, 1), 0.5, np.float32))
    problem = Query(ball, Label(0), (Opened(network, runs, runs),), Budget(600))
    decision = decide(problem, "bounds")
    assert decision.verdicts[0].status is Status.ROBUST
    assert decision.each[0].least is not None and decision.each[0].least > 1e49
    assert problem.spots.run
    floats = replace(
        problem.networks[0],
        network=replace(network, runtime="numpy", arithmetic=Arithmetic.FLOAT32),
    )
    spots = Spots()
    spots.of(floats).ball(ball, 0, 1e50, ())
    with pytest.raises(AlarmError, match=r"proved 1e\+50"):
        spots.finish()
