"""Which ONNX graphs treat the images of a batch apart: what is said so is held against onnxruntime,
batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from relrob.networks.load import load_network
from relrob.networks.onnx.apart import treats_apart
from relrob.networks.open import open_network
from tests.make_networks import onnx_bytes
from tests.networks.onnx.test_files import BASE, FLAT, GOOD, NCHW, SHAPE, ops

RNG = np.random.default_rng(3)
IMAGES = RNG.random((6, 12), dtype=np.float32)
Built = tuple[str, list[int | str], dict[str, NDArray[Any]]]


def whole(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


HEAD: dict[str, NDArray[Any]] = {
    "k": RNG.standard_normal((4, 2, 2, 2)).astype(np.float32),
    "w": RNG.standard_normal((8, 4)).astype(np.float32),
    "c": RNG.standard_normal(12).astype(np.float32),
    "one": RNG.standard_normal((1, 12)).astype(np.float32),
}
DENSE = "Gemm(h,w0,b0)->a; Relu(a)->r; Gemm(r,w1,b1)->y"
APART: dict[str, Built] = {
    "dense": (GOOD, FLAT, {}),
    "elementwise": (f"Sub(x,c)->p; Mul(p,one)->q; Tanh(q)->h; {DENSE}", FLAT, {}),
    "a branch": (f"Sigmoid(x)->s; Mul(s,x)->m; Add(m,x)->h; {DENSE}", FLAT, {}),
    "convolution": ("Conv(x,k)->c1; Relu(c1)->r; Flatten(r)->f; MatMul(f,w)->y", NCHW, {}),
    "pooling": ("Conv(x,k)->c1; GlobalAveragePool(c1)->p; Flatten(p)->y", NCHW, {}),
    "softmax": ("Gemm(x,w0,b0)->a; Softmax(a)->s[axis=1]; Gemm(s,w1,b1)->y", FLAT, {}),
    "reduced": (f"ReduceMean(x)->m[axes=1,keepdims=1]; Sub(x,m)->h; {DENSE}", FLAT, {}),
    "reduced, counted back": (
        f"ReduceMax(x)->m[axes=-1,keepdims=1]; Sub(x,m)->h; {DENSE}",
        FLAT,
        {},
    ),
    "reshaped": (f"Reshape(x,s)->h; {DENSE}", NCHW, {"s": whole(0, -1)}),
    "reshaped to the rest": (f"Reshape(x,s)->h; {DENSE}", NCHW, {"s": whole(-1, 12)}),
    "reshaped by its own shape": (
        "Shape(x)->z; Gather(z,i)->n[axis=0]; Unsqueeze(n,i)->u; Concat(u,t)->s[axis=0]; "
        f"Reshape(x,s)->h; {DENSE}",
        NCHW,
        {"i": np.array(0), "t": whole(-1)},
    ),
    "turned": (f"Transpose(x)->t[perm=0:2:3:1]; Flatten(t)->h; {DENSE}", NCHW, {}),
    "side by side": (
        "Gemm(x,w0,b0)->a; Relu(a)->r; Concat(a,r)->d[axis=1]; MatMul(d,w2)->y",
        FLAT,
        {"w2": RNG.standard_normal((14, 4)).astype(np.float32)},
    ),
    "parts": (
        f"Slice(x,s,e,a1)->p; Concat(p,p)->h[axis=1]; {DENSE}",
        FLAT,
        {"s": whole(0), "e": whole(6), "a1": whole(1)},
    ),
    "padded": (
        f"Slice(x,s,e,a1)->p; Pad(p,q)->h; {DENSE}",
        FLAT,
        {"s": whole(0), "e": whole(6), "a1": whole(1), "q": whole(0, 0, 0, 6)},
    ),
}
MIXING: dict[str, Built] = {
    "a minimum over all": (f"ReduceMin(x)->m[keepdims=1]; Sub(x,m)->h; {DENSE}", FLAT, {}),
    "a minimum over the batch": (
        f"ReduceMin(x)->m[axes=0,keepdims=1]; Sub(x,m)->h; {DENSE}",
        FLAT,
        {},
    ),
    "counted back": (f"ReduceMax(x)->m[axes=-2,keepdims=1]; Sub(x,m)->h; {DENSE}", FLAT, {}),
    "a softmax over the batch": (f"Softmax(x)->h[axis=0]; {DENSE}", FLAT, {}),
    "a softmax over the batch, counted back": (f"Softmax(x)->h[axis=-2]; {DENSE}", FLAT, {}),
    "turned": (
        f"Transpose(x)->t[perm=1:0]; Softmax(t)->s[axis=1]; Transpose(s)->h[perm=1:0]; {DENSE}",
        FLAT,
        {},
    ),
    "turned by default": (
        f"Transpose(x)->t; Softmax(t)->s[axis=1]; Transpose(s)->h; {DENSE}",
        FLAT,
        {},
    ),
    "a batch of one": (
        f"Reshape(x,s)->f; Softmax(f)->g[axis=1]; Reshape(g,t)->h; {DENSE}",
        FLAT,
        {"s": whole(1, -1), "t": whole(-1, 12)},
    ),
    "all in one axis": (
        f"Reshape(x,s)->f; Softmax(f)->g; Reshape(g,t)->h; {DENSE}",
        FLAT,
        {"s": whole(-1), "t": whole(-1, 12)},
    ),
    "flattened from the first": (
        f"Flatten(x)->f[axis=0]; Softmax(f)->g; Reshape(g,t)->h; {DENSE}",
        FLAT,
        {"t": whole(-1, 12)},
    ),
    "a running sum": (f"CumSum(x,z)->h; {DENSE}", FLAT, {"z": np.array(0)}),
    "the rows before": (
        f"Slice(x,s,e,a1)->p; Concat(p,p)->h[axis=0]; {DENSE}",
        ["n", 12],
        {"s": whole(0), "e": whole(3), "a1": whole(0)},
    ),
    "a product of images": (f"Transpose(x)->t; MatMul(x,t)->g; MatMul(g,x)->h; {DENSE}", FLAT, {}),
    "a minimum where a ReLU opens": (
        "Gemm(x,w0,b0)->a; ReduceMin(x)->m[keepdims=1]; Sub(m,th)->d; Relu(d)->p; "
        "Add(a,p)->q; Gemm(q,w1,b1)->y",
        FLAT,
        {"th": np.array([0.45], np.float32)},
    ),
}


def built(case: Built) -> bytes:
    text, dims, constants = case
    return onnx_bytes(ops(text), BASE | HEAD | constants, dims, 4)


def listed(text: bytes) -> onnx.ModelProto:
    """Axes of one number are lists too, in opset 13 as attributes."""
    model = onnx.load_model_from_string(text)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "axes":
                attribute.CopyFrom(helper.make_attribute("axes", [attribute.i]))
    return model


@pytest.mark.parametrize("name", APART)
def test_graphs_that_are_said_to_keep_images_apart_do(name: str) -> None:
    model = listed(built(APART[name]))
    assert treats_apart(model)
    dims = [int(n) for n in APART[name][1][1:]]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    together = np.asarray(session.run(None, {"x": IMAGES.reshape(-1, *dims)})[0])
    for number, image in enumerate(IMAGES):
        alone = np.asarray(session.run(None, {"x": image.reshape(1, *dims)})[0])
        np.testing.assert_allclose(together[number : number + 1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MIXING)
def test_graphs_that_may_mix_images_run_one_by_one(name: str, tmp_path: Path) -> None:
    model = listed(built(MIXING[name]))
    assert not treats_apart(model)
    path = tmp_path / "n.onnx"
    path.write_bytes(model.SerializeToString())
    network = load_network(path, image_shape=SHAPE, classes=4)
    assert (network.apart, network.dense) == (False, None)
    assert open_network(network).best_batch == 1


def test_quantised_graphs_of_onnxruntime_keep_images_apart(tmp_path: Path) -> None:
    """Weights behind DequantizeLinear are constants still; ranges of a run are those of a whole
    batch."""
    (tmp_path / "plain.onnx").write_bytes(onnx_bytes(ops(GOOD), BASE, FLAT, 4))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        feeds = iter([{"x": image[None]} for image in IMAGES])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        Reader.feeds = iter([{"x": image[None]} for image in IMAGES])
        quantize_static(
            tmp_path / "plain.onnx",
            tmp_path / "q.onnx",
            Reader(),
            quant_format=form,
            per_channel=True,
        )
        model = onnx.load(tmp_path / "q.onnx")
        assert treats_apart(model), form
        network = load_network(tmp_path / "q.onnx", image_shape=SHAPE, classes=4)
        assert open_network(network).best_batch > 1
        assert network.black_box == "quantised operators: run by onnxruntime's own kernels"


def test_a_subgraph_a_function_and_an_unknown_operator_are_not_known() -> None:
    plain = onnx.load_model_from_string(onnx_bytes(ops(GOOD), BASE, FLAT, 4))
    assert treats_apart(plain)
    with_function = onnx.ModelProto.FromString(plain.SerializeToString())
    with_function.functions.append(
        helper.make_function("own", "Twice", ["a"], ["b"], ops("Add(a,a)->b"), plain.opset_import)
    )
    assert not treats_apart(with_function)
    old = onnx.ModelProto.FromString(plain.SerializeToString())
    old.opset_import[0].version = 6
    assert not treats_apart(old)
    foreign = onnx.ModelProto.FromString(plain.SerializeToString())
    foreign.graph.node[1].domain = "com.example"
    assert not treats_apart(foreign)
    branch = helper.make_graph(
        [helper.make_node("Relu", ["a"], ["z"])],
        "then",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    choosing = onnx.ModelProto.FromString(plain.SerializeToString())
    choosing.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    choosing.graph.node[1].CopyFrom(
        helper.make_node("If", ["yes"], ["h"], then_branch=branch, else_branch=branch)
    )
    assert not treats_apart(choosing)
