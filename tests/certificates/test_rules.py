"""A certificate is written only where the checker has rules.

A written one is valid; for an absent one there is a reason.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from pytest import LogCaptureFixture

from relrob.certificates.checking.check import check
from relrob.certificates.writing.ball import ball_certificate
from relrob.certificates.writing.ladder import ladder_certificate
from relrob.deciding.decide import decide
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.networks.load import load_network
from relrob.queries.findings import LadderProof, Leaf, PhaseProof
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob_solvers.branch_ladder import Branch
from tests.certificate_cases import SHAPE, image_of, opened, rungs_of

WIDTH, INPUTS = 12, 36


def a_file(
    between: list[Any] | None = None, relu: Any = None, entry: list[Any] | None = None, **more: Any
) -> onnx.ModelProto:
    """Flatten, `entry`, Gemm, `between`, ReLU, Gemm: float32, 36 pixels to 3 scores. `more`:
    constants by name."""
    rng = np.random.default_rng(1)
    scale = np.float32(0.2)
    constants = {
        "w0": scale * rng.standard_normal((INPUTS, WIDTH)).astype(np.float32),
        "b0": scale * rng.standard_normal(WIDTH).astype(np.float32),
        "w1": scale * rng.standard_normal((WIDTH, 3)).astype(np.float32),
        "b1": np.array([4, 0, 0], np.float32),
        **more,
    }
    chain = [
        ("Flatten", [], {}),
        *(entry or []),
        ("Gemm", ["w0", "b0"], {}),
        *(between or []),
        relu or ("Relu", [], {}),
        ("Gemm", ["w1", "b1"], {}),
    ]
    nodes, value = [], "x"
    for number, (kind, names, settings) in enumerate(chain):
        nodes.append(helper.make_node(kind, [value, *names], [f"v{number}"], **settings))
        value = f"v{number}"
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *SHAPE])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ONE, ZERO = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
GATE = np.where(np.arange(WIDTH) < 3, ZERO, ONE).astype(np.float32)
FILES = {
    "plain": (a_file(), ""),
    "cast": (a_file([("Cast", [], {"to": onnx.TensorProto.FLOAT})]), ""),
    "factor 0": (a_file([("Mul", ["c"], {})], c=GATE), "factors or constants"),
    "factor beyond 2^40": (
        a_file([("Mul", ["c"], {}), ("Div", ["c"], {})], c=np.float32(2.0**41)),
        "factors or constants",
    ),
    "clip without end": (
        a_file(relu=("Clip", ["low", "high"], {}), low=np.float32(0), high=np.float32(np.inf)),
        "not finite",
    ),
    "a huge offset": (
        a_file(entry=[("Add", ["c"], {}), ("Sub", ["c"], {})], c=np.float32(0.25)),
        "",
    ),
}


def proved(path: Path, folder: Path, caplog: LogCaptureFixture) -> list[Path]:
    """The certificates of some ROBUST verdicts; every verdict without one is warned of."""
    found = []
    each = opened(load_network(path, image_shape=SHAPE, classes=3))
    for seed in range(4):
        image = image_of(seed)
        rungs = rungs_of(image, ("3", "1/4"))
        label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
        decision = decide(Query(rungs, Label(label), (each,), Budget(600), True, True), Branch(10))
        proof = decision.each[0].proof
        if decision.verdicts[0].status is Status.ROBUST and isinstance(proof, LadderProof):
            data = ladder_certificate(each, rungs, image, label, "reference", proof.leaves)
            if data is None:
                assert "no certificate for" in caplog.text
            else:
                (folder / f"{seed}.json").write_bytes(data)
                found.append(folder / f"{seed}.json")
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_certificate_is_written_where_the_checker_has_rules(
    name: str, tmp_path: Path, caplog: LogCaptureFixture
) -> None:
    model, reason = FILES[name]
    path = tmp_path / "file.onnx"
    onnx.save(model, path)
    made = proved(path, tmp_path, caplog)
    assert all(check(each, path).valid for each in made)
    assert bool(made) is (reason == "")
    assert reason in caplog.text


def test_a_file_with_constants_in_others_has_no_certificate(
    tmp_path: Path, caplog: LogCaptureFixture
) -> None:
    """Not even one whose points were all run: the checker digests one file."""
    path = tmp_path / "file.onnx"
    onnx.save(a_file(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert proved(path, tmp_path, caplog) == []
    each = opened(load_network(path, image_shape=SHAPE, classes=3))
    rungs = rungs_of(image_of(0), ("1/4", "1/4"))
    assert ladder_certificate(each, rungs, image_of(0), 0, "reference", (Leaf((), False),)) is None
    assert "keeps constants in others" in caplog.text


def test_balls_have_a_certificate_where_the_checker_has_rules(
    tmp_path: Path, caplog: LogCaptureFixture
) -> None:
    path = tmp_path / "file.onnx"
    onnx.save(FILES["factor 0"][0], path)
    network = load_network(path, image_shape=SHAPE, classes=3)
    region = Ball(Norm.LINF, Fraction(1, 64))
    assert ball_certificate(network, region, image_of(0), 0, "reference", PhaseProof(())) is None
    assert "factors or constants" in caplog.text
