"""ONNX: graphs read as weights against onnxruntime on the same file; black boxes; hostile files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from relrob.domain.network import Arithmetic, Layout
from relrob.errors import NetworkError, RelrobError, ShapeError, UsageError
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from tests.make_networks import forward, onnx_bytes, write_onnx
from tests.support import random_dense

SHAPE = (2, 3, 2)
RNG = np.random.default_rng(5)
W0 = RNG.standard_normal((12, 7)).astype(np.float32)
W1 = RNG.standard_normal((7, 4)).astype(np.float32)
B0 = RNG.standard_normal(7).astype(np.float32)
B1 = RNG.standard_normal(4).astype(np.float32)
BASE: dict[str, NDArray[Any]] = {
    "w0": W0,
    "w1": W1,
    "b0": B0,
    "b1": B1,
    "w0t": W0.T.copy(),
    "w1t": W1.T.copy(),
}
IMAGES = RNG.random((9, 12), dtype=np.float32)


def ops(text: str) -> list[onnx.NodeProto]:
    """ "Gemm(x,w0,b0)->a[transB=1]; ..." as nodes."""
    nodes = []
    for part in text.split(";"):
        head, _, tail = part.strip().partition("->")
        kind, _, inputs = head.rstrip(")").partition("(")
        out, _, settings = tail.partition("[")
        attributes: dict[str, Any] = {}
        for item in filter(None, settings.rstrip("]").split(",")):
            key, _, value = item.partition("=")
            attributes[key] = (
                [int(n) for n in value.split(":")]
                if ":" in value
                else (float(value) if "." in value else int(value))
            )
        nodes.append(helper.make_node(kind, inputs.split(","), [out], **attributes))
    return nodes


def run_file(data: bytes, images: NDArray[np.float32]) -> NDArray[Any]:
    """onnxruntime on the file, without relrob."""
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": images})[0])


TAIL = "Relu(a)->h; Gemm(h,w1,b1)->y"
NHWC: list[int | str] = ["n", 2, 3, 2]
NCHW: list[int | str] = ["n", 2, 2, 3]
FLAT: list[int | str] = ["n", 12]
CHAINS: dict[str, tuple[str, list[int | str], dict[str, NDArray[Any]], bool]] = {
    "gemm": (f"Gemm(x,w0,b0)->a; {TAIL}", FLAT, {}, False),
    "gemm transB": (
        "Gemm(x,w0t,b0)->a[transB=1]; Relu(a)->h; Gemm(h,w1t,b1)->y[transB=1]",
        FLAT,
        {},
        False,
    ),
    "gemm alpha beta": (f"Gemm(x,w0,b0)->a[alpha=0.5,beta=2.0]; {TAIL}", FLAT, {}, True),
    "gemm without bias": (f"Gemm(x,w0)->a; {TAIL}", FLAT, {}, False),
    "matmul and add": (f"MatMul(x,w0)->m; Add(b0,m)->a; {TAIL}", FLAT, {}, False),
    "flatten": (f"Flatten(x)->f; Gemm(f,w0,b0)->a; {TAIL}", NHWC, {}, False),
    "flatten chw": (f"Flatten(x)->f; Gemm(f,w0,b0)->a; {TAIL}", NCHW, {}, False),
    "transpose": (
        f"Transpose(x)->t[perm=0:3:1:2]; Flatten(t)->f; Gemm(f,w0,b0)->a; {TAIL}",
        NHWC,
        {},
        False,
    ),
    "reshape": (
        f"Reshape(x,s)->f; Gemm(f,w0,b0)->a; {TAIL}",
        NHWC,
        {"s": np.array([-1, 12])},
        False,
    ),
    "reshape 0": (
        f"Reshape(x,s)->f; Gemm(f,w0,b0)->a; {TAIL}",
        NHWC,
        {"s": np.array([0, -1])},
        False,
    ),
    "squeeze": (
        f"Squeeze(x,s)->f; Gemm(f,w0,b0)->a; {TAIL}",
        ["n", 1, 12, 1],
        {"s": np.array([1, -1])},
        False,
    ),
    "normalised": (
        f"Sub(x,c)->p; Div(p,d)->q; Flatten(q)->f; Gemm(f,w0,b0)->a; {TAIL}",
        NCHW,
        {
            "c": np.array([0.1, 0.2], np.float32).reshape(1, 2, 1, 1),
            "d": np.array([0.5, 0.7], np.float32).reshape(2, 1, 1),
        },
        True,
    ),
    "mirrored": (
        f"Sub(c,x)->p; Mul(p,d)->q; Gemm(q,w0,b0)->a; {TAIL}",
        FLAT,
        {"c": np.array(1, np.float32), "d": np.array(3, np.float32)},
        True,
    ),
    "scaled hidden": (f"Gemm(x,w0,b0)->s; Mul(s,d)->a; {TAIL}", FLAT, {"d": B0 * 2}, True),
    "two in a row": ("Gemm(x,w0,b0)->a; Identity(a)->i; Gemm(i,w1,b1)->y", FLAT, {}, True),
    "batch norm": (
        f"Gemm(x,w0,b0)->g; BatchNormalization(g,b0,b0,b0,v)->a[epsilon=0.01]; {TAIL}",
        FLAT,
        {"v": np.abs(B0)},
        True,
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_dense_graphs_compute_what_onnxruntime_computes(name: str, tmp_path: Path) -> None:
    text, dims, constants, folded = CHAINS[name]
    data = onnx_bytes(ops(text), {k: np.asarray(v) for k, v in (BASE | constants).items()}, dims, 4)
    path = tmp_path / "n.onnx"
    path.write_bytes(data)
    network = load_network(path, image_shape=SHAPE, classes=4)
    chw = dims == NCHW
    assert network.layout is (Layout.CHW if chw else Layout.HWC)
    images = IMAGES.reshape(-1, *SHAPE)
    fed = images.transpose(0, 3, 1, 2) if chw else images
    expected = run_file(data, np.ascontiguousarray(fed).reshape(-1, *(int(n) for n in dims[1:])))
    assert network.dense is not None
    assert network.folded is folded
    np.testing.assert_allclose(forward(network.dense, IMAGES), expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), expected, rtol=2e-5, atol=2e-5
    )
    if name == "transpose":
        raster = np.arange(12).reshape(SHAPE).transpose(2, 0, 1).reshape(-1)
        assert np.array_equal(network.dense.layers[0].weights[raster], W0), (
            "rows move, values do not"
        )


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        ("Gemm(x,w0,b0)->a; Tanh(a)->h; Gemm(h,w1,b1)->y", {}),
        ("Gemm(x,w0,b0)->a; Relu(a)->h; Add(h,a)->j; Gemm(j,w1,b1)->y", {}),
        ("Relu(x)->r; Gemm(r,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->y", {}),
        ("Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->z; Relu(z)->y", {}),
        ("Gemm(x,w0,b0)->a; Relu(a)->h; Add(h,b0)->k; Relu(k)->j; Gemm(j,w1,b1)->y", {}),
        (
            "Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->z; Softmax(z)->s; Mul(s,c)->y",
            {"c": np.float32(-1)},
        ),
    ],
)
def test_other_graphs_are_black_boxes_with_the_same_outputs(
    text: str, constants: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    data = onnx_bytes(ops(text), BASE | {k: np.asarray(v) for k, v in constants.items()}, FLAT, 4)
    (tmp_path / "n.onnx").write_bytes(data)
    network = load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)
    assert network.dense is None
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), run_file(data, IMAGES), rtol=1e-5, atol=1e-6
    )


def test_a_convolution_reads_channels_first_whatever_the_batch(tmp_path: Path) -> None:
    kernel = RNG.standard_normal((4, 2, 2, 3)).astype(np.float32)
    nodes = ops("Conv(x,k)->c; Flatten(c)->y")
    data = onnx_bytes(nodes, {"k": kernel}, NCHW, 4)
    (tmp_path / "n.onnx").write_bytes(data)
    network = load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)
    assert (network.dense, network.layout, network.runtime) == (None, Layout.CHW, "onnxruntime")
    expected = np.einsum("nhwc,kchw->nk", IMAGES.reshape(-1, *SHAPE), kernel)
    for batch in (None, 1, 4):
        np.testing.assert_allclose(
            open_network(network, batch=batch).outputs(IMAGES), expected, atol=1e-5
        )


def test_a_fixed_batch_runs_padded_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "n.onnx").write_bytes(
        onnx_bytes(ops(f"Gemm(x,w0,b0)->a; {TAIL}"), BASE, [4, 12], 4)
    )
    network = load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)
    evaluator = open_network(network)
    assert evaluator.best_batch == 4
    assert "fixed batch" in caplog.text
    assert network.dense is not None
    np.testing.assert_allclose(evaluator.outputs(IMAGES), forward(network.dense, IMAGES), atol=1e-4)


def test_export_is_deterministic_and_runs_on_its_own() -> None:
    dense = random_dense(1, (12, 9, 6, 4), softmax=True)
    data = to_onnx(dense)
    assert data == to_onnx(random_dense(1, (12, 9, 6, 4), softmax=True))
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        np.asarray(session.run(None, {"image": IMAGES})[0]), forward(dense, IMAGES), atol=1e-5
    )


def test_quantised_files_are_black_boxes_of_integers(tmp_path: Path) -> None:
    scale, zero = np.float32(1 / 255), np.uint8(0)
    text = "QuantizeLinear(x,s,z)->q; DequantizeLinear(q,s,z)->d; Gemm(d,w0,b0)->a; " + TAIL
    data = onnx_bytes(ops(text), BASE | {"s": np.asarray(scale), "z": np.asarray(zero)}, FLAT, 4)
    (tmp_path / "n.onnx").write_bytes(data)
    network = load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)
    assert (network.scheme, network.arithmetic, network.dense) == ("qdq", Arithmetic.INTEGER, None)
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), run_file(data, IMAGES), atol=1e-6
    )


def with_external(tmp_path: Path, location: str) -> Path:
    """A model whose first weights lie in another file."""
    model = onnx.load_model_from_string(onnx_bytes(ops(f"Gemm(x,w0,b0)->a; {TAIL}"), BASE, FLAT, 4))
    tensor = model.graph.initializer[0]
    raw = numpy_helper.to_array(tensor).tobytes()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(raw)
    (folder / "inside.bin").write_bytes(raw)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "n.onnx").write_bytes(model.SerializeToString())
    return folder / "n.onnx"


def test_external_data_beside_the_model_is_part_of_it(tmp_path: Path) -> None:
    path = with_external(tmp_path, "inside.bin")
    network = load_network(path, image_shape=SHAPE, classes=4)
    assert network.dense is not None
    assert np.array_equal(network.dense.layers[0].weights, W0)
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), forward(network.dense, IMAGES), atol=1e-5
    )
    (path.parent / "inside.bin").write_bytes(bytes(W0.nbytes))
    with pytest.raises(NetworkError, match="has changed since it was loaded"):
        open_network(network)


@pytest.mark.parametrize(
    "location", ["../outside.bin", "link.bin", "/etc/hostname", "", "absent.bin"]
)
def test_external_data_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"outside the model's folder|missing"):
        load_network(with_external(tmp_path, location), image_shape=SHAPE, classes=4)


GOOD = f"Gemm(x,w0,b0)->a; {TAIL}"
NAN = W0.copy()
NAN[3, 2] = np.nan
BROKEN: dict[str, tuple[bytes, type[RelrobError], str]] = {
    "nan": (onnx_bytes(ops(GOOD), BASE | {"w0": NAN}, FLAT, 4), NetworkError, "'w0' has NaN"),
    "classes": (onnx_bytes(ops(GOOD), BASE, FLAT, 7), ShapeError, "7 outputs.*4 classes"),
    "unmatched": (
        onnx_bytes(ops("Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w0,b0)->y"), BASE, FLAT, 4),
        ShapeError,
        r"node 3 'y' \(Gemm\): a dense layer of 12 inputs is fed 7",
    ),
    "pixels": (onnx_bytes(ops(GOOD), BASE, ["n", 13], 4), ShapeError, "13 values.* 2x3x2 = 12"),
    "turned": (onnx_bytes(ops(GOOD), BASE, ["n", 3, 2, 2], 4), ShapeError, "not an image"),
    "bytes in": (
        onnx_bytes(ops("Cast(x)->y[to=1]"), {}, FLAT, 12, TensorProto.UINT8),
        NetworkError,
        "type uint8",
    ),
    "bad operator": (
        onnx_bytes(ops("Nonsense(x)->y"), {}, FLAT, 12),
        NetworkError,
        "fails the ONNX checker",
    ),
    "cut": (onnx_bytes(ops(GOOD), BASE, FLAT, 4)[:300], NetworkError, "not a whole ONNX file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_get_one_line(name: str, tmp_path: Path) -> None:
    data, kind, message = BROKEN[name]
    (tmp_path / "n.onnx").write_bytes(data)
    with pytest.raises(kind, match=message) as caught:
        load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)
    assert "\n" not in str(caught.value)
    assert "n.onnx" in str(caught.value)


def test_an_input_more_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(onnx_bytes(ops(GOOD), BASE, FLAT, 4))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ShapeError, match=r"2 inputs \(x, mask\)"):
        load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)


def test_flat_inputs_inherit_a_layout_and_a_forced_one_wins(tmp_path: Path) -> None:
    path = write_onnx(random_dense(2, (12, 4)), tmp_path / "n.onnx")
    plain = load_network(path, image_shape=SHAPE, classes=4)
    chw = load_network(path, image_shape=SHAPE, classes=4, inherit=Layout.CHW)
    assert (plain.layout, chw.layout) == (Layout.HWC, Layout.CHW)
    assert (
        load_network(path, image_shape=SHAPE, classes=4, inherit=Layout.CHW, layout="hwc").layout
        is Layout.HWC
    )
    turned = IMAGES.reshape(-1, *SHAPE).transpose(0, 3, 1, 2).reshape(-1, 12)
    np.testing.assert_array_equal(
        open_network(chw).outputs(IMAGES), open_network(plain).outputs(np.ascontiguousarray(turned))
    )
    with pytest.raises(UsageError, match="layout 'wide'; accepted: auto, hwc, chw"):
        load_network(path, image_shape=SHAPE, classes=4, layout="wide")
    with pytest.raises(UsageError, match=r"runtime 'keras' cannot run .* accepted: onnxruntime"):
        load_network(path, image_shape=SHAPE, classes=4, runtime="keras")


def test_images_that_a_graph_would_mix_run_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Quantisation at run time takes one range over the whole batch, and a mean over the batch is a
    mean over the batch."""
    plain = onnx_bytes(ops(f"Gemm(x,w0,b0)->a; {TAIL}"), BASE, FLAT, 4)
    (tmp_path / "plain.onnx").write_bytes(plain)
    quantize_dynamic(tmp_path / "plain.onnx", tmp_path / "dynamic.onnx")
    mixing = onnx_bytes(
        ops(f"ReduceMax(x)->m[keepdims=1]; Div(x,m)->s; Gemm(s,w0,b0)->a; {TAIL}"), BASE, FLAT, 4
    )
    (tmp_path / "mixing.onnx").write_bytes(mixing)
    images = np.random.default_rng(1).random((9, 12), dtype=np.float32)
    images *= np.arange(1, 10, dtype=np.float32)[:, None] / np.float32(9)
    for name in ("dynamic", "mixing"):
        network = load_network(tmp_path / f"{name}.onnx", image_shape=SHAPE, classes=4)
        together = open_network(network).outputs(images)
        alone = np.concatenate(
            [open_network(network, batch=1).outputs(image[None, :]) for image in images]
        )
        assert np.array_equal(together, alone)
    assert "images of a batch" not in caplog.text, "openers are many"
    probed(network)
    assert caplog.text.count("may mix the images of a batch: its images run one by one") == 1
