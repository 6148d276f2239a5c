"""Files whose work depends on the pixels are refused; those that onnxruntime runs equally long on
every image are not.

The judge is onnxruntime, which counts the rounds of a loop itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

from relrob.errors import UnsupportedLayerError
from relrob.networks.load import load_network
from relrob.networks.onnx.lengths import refuse_lengths

_TOTAL = """
   total = ReduceSum <keepdims = 0> (x)
   rounds = Cast <to = 7> (total)
"""
_LOOP = """
   y = Loop ({m}, {on}, x) <body = body (int64 i, bool c, float[n, 4] v) => (bool d, float[n, 4] w)
      <float low = {{0.5}}, int64 ten = {{10}}> {{ {steps} w = Add (v, low) }}>
"""
# Whether a third round follows is said in the second, by what the first carried over.
_LATE = """ no = Constant <value_float = 0.0> ()
   y, last = Loop (m, yes, x, no) <body = body (int64 i, bool c, float[n, 4] v, float t)
      => (bool d, float[n, 4] w, float s) <float low = {0.5}, float ten = {10}>
      { d = Less (t, ten) w = Add (v, low) s = ReduceSum <keepdims = 0> (v) }>
"""


def a_model(
    body: str, functions: str = "", constants: str = "int64 m = {3}, bool yes = {1}"
) -> onnx.ModelProto:
    """float[n, 4] x => float[n, 4] y."""
    domain = ', "own" : 1' if functions else ""
    head = f'<ir_version: 8, opset_import: ["" : 17{domain}]>'
    text = (
        f"{head} agraph (float[n, 4] x) => (float[n, 4] y) <{constants}> {{ {body} }} {functions}"
    )
    return parser.parse_model(text)


def loop(m: str = "m", on: str = "yes", steps: str = "d = Identity (c)") -> str:
    return _LOOP.format(m=m, on=on, steps=steps)


EQUAL = {
    "a loop of three rounds": loop(),
    "a loop that counts": loop(m="", steps="d = Less (i, ten)"),
    "a loop over the images": "s = Shape <start = 1, end = 2> (x) k = Squeeze (s)" + loop(m="k"),
    "a shape that is computed": "s = Shape (x) z = ConstantOfShape (s) y = Add (x, z)",
    "a branch by the pixels": _TOTAL
    + """ yes2 = Cast <to = 9> (rounds)
        y = If (yes2) <then_branch = a () => (float[n, 4] p) { p = Relu (x) },
                       else_branch = b () => (float[n, 4] q) { q = Neg (x) }> """,
}
UNEQUAL = {
    "as many rounds as the pixels say": _TOTAL + loop(m="rounds"),
    "a first condition of the pixels": _TOTAL + "go = Cast <to = 9> (rounds)" + loop(on="go"),
    "until a pixel is large": loop(
        m="", steps="s = ReduceMax <keepdims = 0> (v) d = Less (s, low)"
    ),
    "the condition of what is around": _TOTAL + loop(steps="d = Cast <to = 9> (rounds)"),
    "a condition that pixels reach in the second round": _LATE,
    "as large as the pixels say": _TOTAL
    + """ one = Constant <value_ints = [1]> () f = Reshape (rounds, one)
        z = ConstantOfShape (f) t = ReduceSum <keepdims = 0> (z) y = Add (x, t) """,
    "a shape of what was picked": """ p = NonZero (x) s = Shape (p) z = ConstantOfShape (s)
        t = ReduceSum <keepdims = 0> (z) y = Add (x, t) """,
    "a loop in a branch": _TOTAL
    + "go = Cast <to = 9> (rounds)"
    + """
        y = If (go) <then_branch = a () => (float[n, 4] p) {
            p = Loop (m, yes, x) <body = body (int64 i, bool c, float[n, 4] v)
            => (bool d, float[n, 4] w) { d = Identity (c) w = Relu (v) }> },
            else_branch = b () => (float[n, 4] q) { q = Neg (x) }> """,
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_work_for_every_image_is_let_through(name: str) -> None:
    model = a_model(EQUAL[name])
    onnx.checker.check_model(model, full_check=True)
    refuse_lengths(model, "file")
    session: Any = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert np.shape(session.run(None, {"x": np.ones((2, 4), np.float32)})[0]) == (2, 4)


@pytest.mark.parametrize("name", UNEQUAL)
def test_work_that_depends_on_the_pixels_is_refused(name: str, tmp_path: Path) -> None:
    model = a_model(UNEQUAL[name])
    onnx.checker.check_model(model, full_check=True)
    session: Any = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert np.shape(session.run(None, {"x": np.ones((1, 4), np.float32)})[0]) == (1, 4), (
        "it behaves on some images"
    )
    onnx.save(model, tmp_path / "file.onnx")
    with pytest.raises(UnsupportedLayerError, match="depend on the pixels"):
        load_network(tmp_path / "file.onnx", image_shape=(2, 2, 1), classes=4)


def test_a_function_of_the_file_is_looked_into() -> None:
    body = "own.much (x, rounds)"
    inside = """<domain: "own", opset_import: ["" : 17]> much (a, k) => (b)
        { one = Constant <value_ints = [1]> () f = Reshape (k, one) z = ConstantOfShape (f)
          t = ReduceSum <keepdims = 0> (z) b = Add (a, t) }"""
    with pytest.raises(UnsupportedLayerError, match="depend on the pixels"):
        refuse_lengths(a_model(f"{_TOTAL} y = {body}", inside), "file")
    refuse_lengths(a_model("y = own.much (x, m)", inside), "file")


def test_a_late_condition_makes_rounds_of_the_pixels() -> None:
    """onnxruntime adds 1/2 in each round: three on a dark image, two on a white one."""
    session: Any = ort.InferenceSession(
        a_model(_LATE).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rounds = [
        float((session.run(["y"], {"x": x})[0] - x).max() * 2)
        for x in (np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32))
    ]
    assert rounds == [3, 2]
