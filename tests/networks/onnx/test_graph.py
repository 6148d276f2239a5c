"""The closed world of ONNX: what is known is modelled, everything else is a black box with a
reason, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.network import Network
from relrob.errors import NetworkError, RelrobError
from relrob.networks.details import int8_path, runtime_details
from relrob.networks.load import load_network
from relrob.networks.onnx.graph import graph_of
from relrob.networks.open import open_network
from relrob.networks.operators import NotDenseError
from tests.make_networks import onnx_bytes
from tests.networks.onnx.test_files import B1, BASE, FLAT, GOOD, IMAGES, SHAPE, TAIL, W0, ops
from tests.support import random_dense

Edit = Callable[[onnx.ModelProto], object]


def model(text: str = GOOD, **constants: Any) -> onnx.ModelProto:
    held = BASE | {name: np.asarray(value) for name, value in constants.items()}
    return onnx.load_model_from_string(onnx_bytes(ops(text), held, FLAT, 4))


def loaded(given: onnx.ModelProto, folder: Path) -> Network:
    (folder / "n.onnx").write_bytes(given.SerializeToString())
    return load_network(folder / "n.onnx", image_shape=SHAPE, classes=4)


def agrees(network: Network, given: onnx.ModelProto) -> None:
    """The file runs as onnxruntime runs it."""
    run = ort.InferenceSession(given.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.concatenate(
        [np.asarray(run.run(None, {"x": image[None]})[0]) for image in IMAGES]
    )
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), expected, rtol=1e-5, atol=1e-6
    )


def opset(number: int) -> Edit:
    return lambda given: setattr(given.opset_import[0], "version", number)


def attribute(place: int, name: str, value: Any) -> Edit:
    return lambda given: given.graph.node[place].attribute.append(
        helper.make_attribute(name, value)
    )


def twice_imported(given: onnx.ModelProto) -> None:
    given.opset_import.append(helper.make_opsetid("ai.onnx", 12))


def functions(given: onnx.ModelProto) -> None:
    given.functions.append(
        helper.make_function("own", "Relu", ["a"], ["b"], ops("Add(a,a)->b"), given.opset_import)
    )


def annotated(given: onnx.ModelProto) -> None:
    given.graph.quantization_annotation.add().tensor_name = "a"


def sparse(given: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.array([1.0], np.float32), "spare")
    given.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0])), [4])
    )


def foreign(given: onnx.ModelProto) -> None:
    given.graph.node[1].domain = "com.example"
    given.opset_import.append(helper.make_opsetid("com.example", 1))


def masked(given: onnx.ModelProto) -> None:
    given.graph.node[1].CopyFrom(helper.make_node("Dropout", ["a"], ["h", "mask"]))


MODELLED: dict[str, tuple[onnx.ModelProto, Edit | None, bool]] = {
    "opset 13": (model(), opset(13), False),
    "opset 7": (model(), opset(7), False),
    "overridable weights": (
        model(),
        lambda m: m.graph.input.extend(
            [helper.make_tensor_value_info("w0", TensorProto.FLOAT, [12, 7])]
        ),
        False,
    ),
    "dropout at rest": (
        model(f"Gemm(x,w0,b0)->g; Dropout(g,r,t)->a; {TAIL}", r=np.float32(0.5), t=np.array(False)),
        None,
        False,
    ),
    "dropout without a word": (model(f"Gemm(x,w0,b0)->g; Dropout(g)->a; {TAIL}"), None, False),
    "a clip for a ReLU": (
        model("Gemm(x,w0,b0)->a; Clip(a,z)->h; Gemm(h,w1,b1)->y", z=np.float32(0)),
        None,
        False,
    ),
    "negated": (model(f"Neg(x)->n; Gemm(n,w0,b0)->a; {TAIL}"), None, True),
    "a cast to itself": (model(f"Cast(x)->n[to=1]; Gemm(n,w0,b0)->a; {TAIL}"), None, False),
    "a constant's other name": (model(f"Identity(w0)->v; Gemm(x,v,b0)->a; {TAIL}"), None, False),
    "beta alone": (model(f"Gemm(x,w0,b0)->a[beta=-0.5]; {TAIL}"), None, True),
    "one bias for all": (model(f"Gemm(x,w0,s)->a; {TAIL}", s=np.float32(0.5)), None, False),
    "a softmax": (
        model("Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->z; Softmax(z)->y"),
        None,
        False,
    ),
}
BOXED: dict[str, tuple[onnx.ModelProto, Edit | None, str]] = {
    "a later opset": (model(), opset(99), "operators of the versions"),
    "an early opset": (
        model("Gemm(x,w0)->a; Relu(a)->h; Gemm(h,w1)->y"),
        opset(6),
        "operators of the versions|fails the ONNX",
    ),
    "two imports": (model(), twice_imported, "operators of the versions"),
    "a later format": (
        model(),
        lambda m: setattr(m, "ir_version", 99),
        "format's version|fails the ONNX checker",
    ),
    "functions": (model(), functions, "functions of its own"),
    "annotations": (model(), annotated, "annotations of quantisation"),
    "sparse constants": (model(), sparse, "sparse constants"),
    "a mask": (model(f"Gemm(x,w0,b0)->a; {TAIL}"), masked, "2 outputs"),
    "another domain": (model(), foreign, "domain com.example"),
    "trained": (
        model(
            f"Gemm(x,w0,b0)->g; BatchNormalization(g,b0,b0,b0,v)->a[training_mode=1]; {TAIL}",
            v=np.ones(7, np.float32),
        ),
        None,
        "training mode",
    ),
    "a variance below 0": (
        model(
            f"Gemm(x,w0,b0)->g; BatchNormalization(g,b0,b0,b0,v)->a[epsilon=2.0]; {TAIL}",
            v=-np.ones(7, np.float32),
        ),
        None,
        "a variance below 0",
    ),
    "turned pixels": (
        model(f"Gemm(x,w0,b0)->a[transA=1]; {TAIL}"),
        None,
        "a transposed input|fails the ONNX",
    ),
    "a bias an image": (
        model(f"Gemm(x,w0,bb)->a; {TAIL}", bb=np.zeros((9, 7), np.float32)),
        None,
        "differs between the images",
    ),
    "a cut ReLU": (
        model(
            "Gemm(x,w0,b0)->a; Clip(a,z,s)->h; Gemm(h,w1,b1)->y", z=np.float32(0), s=np.float32(6)
        ),
        None,
        "a clip to",
    ),
    "a softmax of images": (
        model("Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->z; Softmax(z)->y[axis=0]"),
        None,
        "another axis",
    ),
    "two uses": (
        model("Gemm(x,w0,b0)->a; Relu(a)->h; Gemm(h,w1,b1)->z; Add(z,z)->y"),
        None,
        "does not read the value before it",
    ),
    "of halves": (
        model(f"Cast(x)->c[to=10]; Cast(c)->d[to=1]; Gemm(d,w0,b0)->a; {TAIL}"),
        None,
        "a cast away",
    ),
    "doubles": (
        model(f"Cast(x)->c[to=11]; Cast(c)->d[to=1]; Gemm(d,w0,b0)->a; {TAIL}"),
        None,
        "a cast away",
    ),
    "divided by": (
        model(f"Div(c,x)->d; Gemm(d,w0,b0)->a; {TAIL}", c=np.ones(12, np.float32)),
        None,
        "division by the value",
    ),
}


@pytest.mark.parametrize("name", MODELLED)
def test_what_is_known_is_modelled(name: str, tmp_path: Path) -> None:
    given, edit, folded = MODELLED[name]
    copy = onnx.ModelProto.FromString(given.SerializeToString())
    if edit is not None:
        edit(copy)
    network = loaded(copy, tmp_path)
    assert network.dense is not None, network.black_box
    assert (network.black_box, network.folded, network.conversion, network.apart) == (
        "",
        folded,
        "",
        # Products with weights that a caller may replace round by the number of images.
        name != "overridable weights",
    )
    agrees(network, copy)


@pytest.mark.parametrize("name", BOXED)
def test_what_is_not_known_is_a_black_box_with_its_reason(name: str, tmp_path: Path) -> None:
    given, edit, reason = BOXED[name]
    copy = onnx.ModelProto.FromString(given.SerializeToString())
    if edit is not None:
        edit(copy)
    try:
        network = loaded(copy, tmp_path)
    except RelrobError as error:  # where the format's own checker refuses it
        said = str(error)
    else:
        assert network.dense is None
        said = network.black_box
    words = reason.split("|")
    assert any(word in said for word in words), said


def test_an_attribute_that_another_version_has_is_not_known(tmp_path: Path) -> None:
    """`spatial` of BatchNormalization went with opset 9. The format's own checker refuses most of
    these; the rest is no model."""
    text = f"Gemm(x,w0,b0)->g; BatchNormalization(g,b0,b0,b0,v)->a; {TAIL}"
    old = model(text, v=np.ones(7, np.float32))
    opset(7)(old)
    assert loaded(old, tmp_path).dense is not None
    attribute(1, "spatial", 0)(old)
    assert loaded(old, tmp_path).black_box.endswith("a normalisation of each value")
    newer = model(text, v=np.ones(7, np.float32))
    attribute(1, "spatial", 1)(newer)
    with pytest.raises(NotDenseError, match="the attribute spatial"):
        graph_of(newer)
    shadowed = model(f"Identity(x)->w0; Gemm(x,w0,b0)->a; {TAIL}")
    with pytest.raises(NotDenseError, match="a name that another value has"):
        graph_of(shadowed)


DRAWING = {
    "dropout": (
        f"Dropout(x,r,t)->d; Gemm(d,w0,b0)->a; {TAIL}",
        {"r": np.float32(0.5), "t": np.array(True)},
        "Dropout in training",
    ),
    "dropout that may": (
        "Cast(x)->c[to=9]; ReduceMax(n)->t[keepdims=0]; Dropout(x,r,t)->d; "
        f"Gemm(d,w0,b0)->a; {TAIL}",
        {"r": np.float32(0.5), "n": np.array([1, 1])},
        "Dropout in training",
    ),
    "noise": (
        f"RandomNormalLike(x)->e; Add(x,e)->d; Gemm(d,w0,b0)->a; {TAIL}",
        {},
        "RandomNormalLike",
    ),
    "a seed": (
        f"RandomUniformLike(x)->e[seed=1.0]; Add(x,e)->d; Gemm(d,w0,b0)->a; {TAIL}",
        {},
        "RandomUniformLike",
    ),
}


@pytest.mark.parametrize("name", DRAWING)
def test_a_file_that_draws_random_numbers_is_refused(name: str, tmp_path: Path) -> None:
    text, constants, what = DRAWING[name]
    (tmp_path / "n.onnx").write_bytes(
        onnx_bytes(ops(text), BASE | {k: np.asarray(v) for k, v in constants.items()}, FLAT, 4)
    )
    with pytest.raises(
        NetworkError,
        match=rf"\({what}.*\) draws random numbers; accepted: .* function of the image",
    ):
        load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)


def spoilt(given: onnx.ModelProto, edit: Edit) -> bytes:
    edit(given)
    return bytes(given.SerializeToString())


def nul(given: onnx.ModelProto) -> None:
    weights = given.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    weights.external_data.add(key="location", value="w\0.bin")


HOSTILE: dict[str, bytes] = {
    "an input of type 256": spoilt(
        model(), lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 256)
    ),
    "weights of type 255": spoilt(
        model(), lambda m: setattr(m.graph.initializer[0], "data_type", 255)
    ),
    "weights as bytes": spoilt(model(), lambda m: setattr(m.graph.initializer[0], "data_type", 3)),
    "a batch of 2^32": spoilt(
        model(),
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 2**32),
    ),
    "a place with a NUL": spoilt(model(), nul),
    "a negative size": spoilt(model(), lambda m: m.graph.initializer[0].dims.__setitem__(0, -3)),
    "more than there is": spoilt(
        model(), lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**40)
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(HOSTILE[name])
    with pytest.raises(RelrobError) as caught:
        open_network(load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=4)).outputs(
            IMAGES
        )
    assert "\n" not in str(caught.value)


def test_the_record_says_what_answers_depend_on(tmp_path: Path) -> None:
    network = loaded(model(), tmp_path)
    assert runtime_details(network).startswith(
        f"onnxruntime {ort.__version__}, graph optimisation: all, int8 path: "
    )
    (tmp_path / "cpu").write_text("model name : x\nflags\t\t: fpu avx2 avx512bw avx512_vnni\n")
    assert int8_path(tmp_path / "cpu") == "avx512_vnni"
    (tmp_path / "cpu").write_text("flags : fpu avx2\n")
    assert int8_path(tmp_path / "cpu") == "avx2"
    assert int8_path(tmp_path / "absent")
    assert "LiteRT" in runtime_details(Network("n", "0", "tflite", "xnnpack", 12, 4, SHAPE))


def test_weights_are_the_files_to_the_bit(tmp_path: Path) -> None:
    """The value of a plain file, and of one with a model beside plain layers."""
    network = loaded(
        model("Gemm(x,w0,b0)->g; Mul(g,d)->a; Relu(a)->h; Gemm(h,w1,b1)->y", d=np.float32(3)),
        tmp_path,
    )
    assert network.dense is not None
    first, last = network.dense.layers
    assert (first.plain, last.plain) == (False, True)
    assert np.array_equal(first.weights, W0.astype(np.float64) * 3)
    assert np.array_equal(last.bias, B1)
    assert last.weights.dtype == np.float32
    assert random_dense(0, (12, 4)).plain
