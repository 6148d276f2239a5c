"""The options of the input contract through a whole run: requests, studies, stores and their
digests, and files made by `--quantise`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from relrob.api.quantise import quantise
from relrob.api.verify import verify
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import draw
from relrob.domain.network import Dense, Layer
from relrob.errors import QuantiseError, StoreError, UsageError
from relrob.networks.accuracy import as_floats
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.study.plan import make_plan
from relrob.study.request import request_of
from relrob.study.spec import read_spec
from relrob.study.stages import Stages
from relrob_datasets import load
from tests.cli_case import Case, make_case
from tests.support import random_dense, rounded

OPTIONS: dict[str, Any] = {"radius": "3", "step": "1/2", "features": 8, "axes": 3, "images": "0:8"}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def divided(case: Case) -> Path:
    """The rounded reference with a division by 255 inside: it reads levels, and does not say so."""
    model = onnx.load(case.simulated)
    first = model.graph.node[0]
    model.graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "white"))
    model.graph.node.insert(0, helper.make_node("Div", [first.input[0], "white"], ["pixel"]))
    model.graph.node[1].input[0] = "pixel"
    path = case.folder / "levels.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def counted(summary: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must not depend on the form of a network."""
    points = summary["points"]["covered"]
    return summary["sets"], points, summary["transfer_points"], summary["reference"]["accuracy"]


def test_levels_inside_and_out_are_one_run(case: Case, divided: Path, tmp_path: Path) -> None:
    plain = verify(
        case.simulated, case.simulated, dataset=str(case.data), out=tmp_path / "a", **OPTIONS
    )
    levels = verify(
        divided, divided, dataset=str(case.data), input_scale=255, out=tmp_path / "b", **OPTIONS
    )
    forgotten = verify(divided, divided, dataset=str(case.data), out=tmp_path / "c", **OPTIONS)
    assert counted(levels) == counted(plain)
    assert counted(forgotten) != counted(plain)
    assert plain["sets"]["R_NOT"] > 0
    for role in ("reference", "quantised"):
        assert levels[role]["input"] == {"input_scale": "255"}
        assert "input" not in plain[role]
    assert "reads 255 x pixel" in (tmp_path / "b" / "table.md").read_text(encoding="utf-8")
    asked = request_of(reference=case.simulated, quantised=case.simulated, **given(case))
    assert not {"input", "head", "input_from"} & set(make_plan(asked).config["reference"])
    with pytest.raises(StoreError, match="input"):
        verify(divided, divided, dataset=str(case.data), out=tmp_path / "b", **OPTIONS)


def given(case: Case, **more: Any) -> dict[str, Any]:
    """The other arguments of `request_of`."""
    rest = {key: value for key, value in OPTIONS.items() if key not in ("radius", "step")}
    options = {**rest, "dataset": str(case.data), **more}
    return {"radius": OPTIONS["radius"], "step": OPTIONS["step"], "options": options}


def test_quantised_with_its_own_units(case: Case, divided: Path, tmp_path: Path) -> None:
    """Calibration images pass through the contract: the QDQ file reads levels, and is as right as
    the one that reads pixels."""
    out = tmp_path / "q.onnx"
    told = quantise(
        divided,
        out,
        scheme="qdq",
        dataset=str(case.data),
        input_scale=255,
        calibration_split="test",
        calibration=20,
    )
    plain = quantise(
        case.reference,
        tmp_path / "p.onnx",
        scheme="qdq",
        dataset=str(case.data),
        calibration_split="test",
        calibration=20,
    )
    assert abs(told["accuracy"] - plain["accuracy"]) <= 0.1
    assert told["input"] == {"input_scale": "255"}
    assert "input" not in plain
    forgotten = quantise(
        divided, out, scheme="qdq", dataset=str(case.data), calibration_split="test", calibration=20
    )
    assert forgotten["accuracy"] < plain["accuracy"] - 0.2


def test_fixed_point_refuses_a_contract(case: Case) -> None:
    network = load_network(case.reference, image_shape=(8, 8, 1), classes=4)
    data = load(str(case.data), "test")
    asked = request_of("1", "1/2", None, None, {"input_scale": 255}).inputs
    fed = load_network(case.reference, image_shape=(8, 8, 1), classes=4, inputs=asked)
    assert quantised_bytes(network, "fixed:8", draw(data, 20), (8, 8, 1))
    with pytest.raises(QuantiseError, match="--input-scale 255 as fixed:8"):
        quantised_bytes(fed, "fixed:8", draw(data, 20), (8, 8, 1))


def test_certificates_are_refused(case: Case) -> None:
    asked = given(case, certificates=True, input_scale=2)
    with pytest.raises(UsageError, match="does not read with --input-scale 2"):
        make_plan(request_of(reference=case.reference, quantised=case.quantised, **asked))


def test_a_study_takes_the_same_words() -> None:
    text = 'title = "t"\n[[grid]]\nradius = 1\nstep = "1/2"\ninput_scale = [1, 255]\n'
    text += 'mean = "0.5,1/3,0"\nstd = 0.25\nchannels = "bgr"\n'
    spec = read_spec("s", text, {}, {})
    asked = [cell.request().inputs for cell in spec.cells]
    assert [each.scale for each in asked] == [1, 255]
    assert [str(n) for n in asked[0].mean or ()] == ["1/2", "1/3", "0"]
    assert (asked[0].bgr, asked[0].std and float(asked[0].std[0])) == (True, 0.25)
    with pytest.raises(UsageError, match="input scale 'x'"):
        read_spec("s", text.replace("[1, 255]", '"x"'), {}, {})


def test_python_takes_numbers() -> None:
    asked = request_of("1", None, None, None, {"mean": (0.485, 0.456), "std": [1, 2]})
    assert (asked.mean, asked.std) == ("0.485,0.456", "1,2")
    assert replace(asked, input_scale="255").inputs.scale == 255


def test_runs_of_other_contracts_share_no_network(case: Case) -> None:
    asked = [
        request_of(reference=case.reference, quantised=None, **given(case, input_scale=scale))
        for scale in (1, 255)
    ]
    kinds = [node[0] for node in Stages(asked).graph]
    assert [kinds.count(kind) for kind in ("images", "reference", "quantised")] == [1, 2, 2]


def test_one_output_is_told(case: Case, tmp_path: Path) -> None:
    """A run of two classes by one logit: verdicts, counts and the words of the report."""
    first = rounded(random_dense(2, (64, 24, 4)), 8).layers[0]
    dense = Dense((first, Layer(first.weights[:24, :1], first.bias[:1], False)))
    path, data = tmp_path / "one.onnx", tmp_path / "two.npz"
    path.write_bytes(to_onnx(dense))
    with np.load(case.data) as held:
        images = held["images"]
    two = load_network(path, image_shape=(8, 8, 1), classes=2)
    labels = open_network(two).outputs(as_floats(images)).argmax(axis=1)
    np.savez(data, images=images, labels=labels, classes=2)
    told = verify(path, path, dataset=str(data), out=tmp_path / "run", **OPTIONS)
    assert told["reference"]["head"] == "logit"
    assert told["reference"]["accuracy"] == 1
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    assert "one output, a logit: class 1 above 0" in table
