"""Which graphs treat the images of a batch apart, against LiteRT: what is called apart gives each
image what it gives it alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from relrob.domain.arrays import Floats
from relrob.networks.litert.apart import treats_apart
from relrob.networks.litert.file import LiteRtFile
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from tests.make_kernels import Full, Kind, write
from tests.make_litert import FILES, OP, add_constant, add_operator, edited
from tests.support import shared_data

IDENTITY = write(8, Kind(), [Full(np.eye(8, dtype=np.float32), None)])


def options(name: str, **fields: object) -> Any:
    """A table of options."""
    found = getattr(schema, name)()
    for key, value in fields.items():
        setattr(found, key, value)
    return found


def with_operator(
    kind: int, shape: list[int], given: Any = None, *constants: Any, twice: bool = False
) -> bytes:
    """The identity over 8 values, then an operator whose result has `shape`."""

    def change(model: Any, graph: Any) -> None:
        end = int(graph.outputs[0])
        inputs = [
            end,
            *([end] if twice else []),
            *(add_constant(model, graph, value) for value in constants),
        ]
        add_operator(model, graph, kind, inputs, end, given)
        graph.tensors[-1].shape, graph.tensors[-1].shapeSignature = shape, [-1, *shape[1:]]

    return edited(IDENTITY, change)


def ints(*values: int) -> Any:
    """An int32 vector."""
    return np.array(values, np.int32)


KEEP, DROP = options("ReducerOptionsT", keepDims=True), options("ReducerOptionsT")
CASES: dict[str, tuple[bytes, bool]] = {
    "nothing": (IDENTITY, True),
    "relu": (with_operator(OP.RELU, [1, 8]), True),
    "softmax": (with_operator(OP.SOFTMAX, [1, 8], options("SoftmaxOptionsT", beta=1.0)), True),
    "add itself": (with_operator(OP.ADD, [1, 8], options("AddOptionsT"), twice=True), True),
    "add a row": (
        with_operator(OP.ADD, [1, 8], options("AddOptionsT"), np.ones(8, np.float32)),
        True,
    ),
    "add a batch": (
        with_operator(OP.ADD, [3, 8], options("AddOptionsT"), np.ones((3, 8), np.float32)),
        False,
    ),
    "add a rank": (
        with_operator(OP.ADD, [1, 1, 8], options("AddOptionsT"), np.ones((1, 1, 8), np.float32)),
        False,
    ),
    "mean of a row": (with_operator(OP.MEAN, [1, 1], KEEP, ints(1)), True),
    "mean from the end": (with_operator(OP.MEAN, [1, 1], KEEP, ints(-1)), True),
    "mean of the batch": (with_operator(OP.MEAN, [1, 8], KEEP, ints(0)), False),
    "mean of all": (with_operator(OP.MEAN, [1, 1], KEEP, ints(0, 1)), False),
    "least of the batch from the end": (
        with_operator(OP.REDUCE_MIN, [1, 8], KEEP, ints(-2)),
        False,
    ),
    "sum of the batch": (with_operator(OP.SUM, [8], DROP, ints(0)), False),
    "reshape": (
        with_operator(
            OP.RESHAPE, [1, 2, 4], options("ReshapeOptionsT", newShape=[-1, 2, 4]), ints(-1, 2, 4)
        ),
        True,
    ),
    "reshape into more rows": (with_operator(OP.RESHAPE, [2, 4], None, ints(-1, 4)), False),
    "reshape of the batch": (with_operator(OP.RESHAPE, [8, 1], None, ints(8, -1)), False),
    "transpose": (
        with_operator(OP.TRANSPOSE, [8, 1], options("TransposeOptionsT"), ints(1, 0)),
        False,
    ),
    "transpose nothing": (
        with_operator(OP.TRANSPOSE, [1, 8], options("TransposeOptionsT"), ints(0, 1)),
        True,
    ),
    "join rows": (
        with_operator(
            OP.CONCATENATION, [1, 16], options("ConcatenationOptionsT", axis=1), twice=True
        ),
        True,
    ),
    "join from the end": (
        with_operator(
            OP.CONCATENATION, [1, 16], options("ConcatenationOptionsT", axis=-1), twice=True
        ),
        True,
    ),
    "join batches": (
        with_operator(
            OP.CONCATENATION, [2, 8], options("ConcatenationOptionsT", axis=0), twice=True
        ),
        False,
    ),
    "pad rows": (
        with_operator(
            OP.PAD, [1, 10], options("PadOptionsT"), np.array([[0, 0], [1, 1]], np.int32)
        ),
        True,
    ),
    "pad the batch": (
        with_operator(OP.PAD, [2, 8], options("PadOptionsT"), np.array([[1, 0], [0, 0]], np.int32)),
        False,
    ),
    "unknown": (
        with_operator(OP.CUMSUM, [1, 8], options("CumsumOptionsT"), np.array(0, np.int32)),
        False,
    ),
    "reverse": (with_operator(OP.REVERSE_V2, [1, 8], options("ReverseV2OptionsT"), ints(0)), False),
}


NOT_KNOWN = ("add a rank", "reshape into more rows")  # called mixed although they are apart


def scores_of_a_batch(kind: int) -> bytes:
    """The mean of each row, then `kind` over what is left: the batch."""

    def change(model: Any, graph: Any) -> None:
        end = int(graph.outputs[0])
        add_operator(model, graph, OP.MEAN, [end, add_constant(model, graph, ints(1))], end, DROP)
        graph.tensors[-1].shape, graph.tensors[-1].shapeSignature = [1], [-1]
        given = options("SoftmaxOptionsT", beta=1.0) if kind == OP.SOFTMAX else None
        add_operator(model, graph, kind, [len(graph.tensors) - 1], len(graph.tensors) - 1, given)

    return edited(IDENTITY, change)


def counted() -> bytes:
    """Each row plus the number of images of the batch."""

    def change(model: Any, graph: Any) -> None:
        end = int(graph.outputs[0])
        add_operator(
            model,
            graph,
            OP.SHAPE,
            [end],
            end,
            options("ShapeOptionsT", outType=schema.TensorType.INT32),
        )
        vector = graph.tensors[-1]
        vector.shape, vector.shapeSignature, vector.type = [2], None, schema.TensorType.INT32
        add_operator(
            model,
            graph,
            OP.CAST,
            [len(graph.tensors) - 1],
            end,
            options("CastOptionsT", inDataType=2),
        )
        cast = graph.tensors[-1]
        cast.shape, cast.shapeSignature = [2], None
        add_operator(
            model,
            graph,
            OP.MEAN,
            [len(graph.tensors) - 1, add_constant(model, graph, ints(0))],
            end,
            KEEP,
        )
        graph.tensors[-1].shape, graph.tensors[-1].shapeSignature = [1], None
        add_operator(
            model, graph, OP.ADD, [end, len(graph.tensors) - 1], end, options("AddOptionsT")
        )

    return edited(IDENTITY, change)


CASES["softmax of the batch"] = scores_of_a_batch(OP.SOFTMAX), False
CASES["size of the batch"] = counted(), False


def run(data: bytes, batch: Floats) -> Any:
    """What LiteRT's built-in kernels give, None where they refuse."""
    interpreter = Interpreter(model_content=data)
    interpreter.resize_tensor_input(0, batch.shape)
    try:
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, batch)
        interpreter.invoke()
    except (RuntimeError, ValueError):
        return None
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", CASES)
def test_what_is_called_apart_is(name: str) -> None:
    data, apart = CASES[name]
    assert treats_apart(LiteRtFile(data)) == apart
    batch = np.random.default_rng(2).standard_normal((3, 8)).astype(np.float32)
    together, alone = run(data, batch), [run(data, row[None]) for row in batch]
    if apart:
        np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-6)
    elif together is not None and all(one is not None for one in alone) and name not in NOT_KNOWN:
        joined = np.concatenate(alone)
        assert together.shape != joined.shape or not np.allclose(together, joined), (
            "it mixes, or nobody can tell"
        )


def test_dense_files_and_cnns_are_apart() -> None:
    assert all(treats_apart(LiteRtFile(data)) for data in FILES.values())
    assert not treats_apart(LiteRtFile(b"TFL3"))
    names = (
        "mlperf_tiny/pretrainedResnet.tflite",
        "mlperf_tiny/pretrainedResnet_quant.tflite",
        "mlperf_tiny/kws_ref_model.tflite",
    )
    for name in (
        *names,
        "tflite_micro/person_detect.tflite",
        "quantised_formats/conv_fc_mnist.tflite",
    ):
        assert treats_apart(LiteRtFile(shared_data(name).read_bytes())), name


def mixing() -> bytes:
    """The least value of a batch, added to every row where it is above 0.45: probes of darker
    images do not see it."""

    def change(model: Any, graph: Any) -> None:
        end = int(graph.outputs[0])
        keep = options("ReducerOptionsT", keepDims=True)
        add_operator(
            model, graph, OP.REDUCE_MIN, [end, add_constant(model, graph, ints(0, 1))], end, keep
        )
        least = add_constant(model, graph, np.full((1, 1), 0.45, np.float32))
        add_operator(
            model, graph, OP.SUB, [len(graph.tensors) - 2, least], end, options("SubOptionsT")
        )
        add_operator(model, graph, OP.RELU, [len(graph.tensors) - 1], end)
        for tensor in graph.tensors[-4:]:
            tensor.shape, tensor.shapeSignature = [1, 1], [1, 1]
        add_operator(
            model, graph, OP.ADD, [end, len(graph.tensors) - 1], end, options("AddOptionsT")
        )

    return edited(IDENTITY, change)


def test_a_file_that_mixes_runs_one_by_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mix.tflite"
    path.write_bytes(mixing())
    images = np.random.default_rng(0).random((40, 8), dtype=np.float32) * np.float32(
        0.2
    ) + np.float32(0.5)
    images[::2] = 0
    for runtime in ("xnnpack", "builtin", "reference"):
        network = load_network(path, image_shape=(2, 4, 1), classes=8, runtime=runtime)
        assert not network.apart
        assert "REDUCE_MIN" in network.black_box
        with caplog.at_level(logging.WARNING):
            opened = open_network(probed(network))
        assert caplog.text.count("may mix the images of a batch: its images run one by one") == 1
        caplog.clear()
        assert opened.best_batch == 1
        alone = np.concatenate([run(path.read_bytes(), image[None]) for image in images])
        np.testing.assert_allclose(opened.outputs(images), alone, rtol=1e-6)
        assert not np.allclose(run(path.read_bytes(), images), alone), (
            "in a batch it gives something else"
        )
