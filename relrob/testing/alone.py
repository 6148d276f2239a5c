"""A referee of points: each image alone on the runtime itself (LiteRT, onnxruntime or Keras).

It shares no code with `relrob.networks`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.registry import load

# One image (d,) -> its outputs.
Run = Callable[[Floats], Doubles]
RESOLVERS: Final = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
LEVELS: Final = {
    "onnxruntime": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "onnxruntime:disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime:basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "onnxruntime:extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


class RefusedError(Exception):
    """The runtime does not take the file."""


def outputs(run: Run, points: Floats) -> Doubles:
    """(n, d) -> (n, classes), one call a point."""
    rows = [run(point) for point in points]
    if len({row.size for row in rows}) != 1:
        raise RefusedError("outputs of several sizes")
    return np.array([row.ravel() for row in rows])


def labels(rows: Doubles) -> Ints:
    """First index of the largest output; -1 for a row with NaN."""
    return np.array([-1 if np.isnan(row).any() else int(row.argmax()) for row in rows])


def opened(runtime: str, data: bytes, suffix: str) -> Run:
    """The file on its runtime; "default" is Keras too, whatever relrob takes for it. Raises
    RefusedError."""
    try:
        with silenced():
            if runtime in LEVELS:
                return _onnx(data, LEVELS[runtime])
            return (
                _keras(data, suffix) if runtime in ("keras", "default") else _litert(runtime, data)
            )
    # Each runtime raises what it likes.
    except Exception as error:
        raise RefusedError(str(error)) from error


def _litert(runtime: str, data: bytes) -> Run:
    net = Interpreter(
        model_content=data, num_threads=1, experimental_op_resolver_type=RESOLVERS[runtime]
    )
    given = net.get_input_details()[0]
    shape = [1, *(int(n) for n in given["shape"][1:])]
    net.resize_tensor_input(given["index"], shape)
    net.allocate_tensors()
    given, result = net.get_input_details()[0], net.get_output_details()[0]
    kind, (scale, zero) = np.dtype(given["dtype"]), given["quantization"]
    out_scale, out_zero = result["quantization"]

    def run(image: Floats) -> Doubles:
        value: Any = image.reshape(shape)
        if kind.kind != "f":
            ends = np.iinfo(kind)
            value = np.clip(
                np.rint(value / np.float32(scale)) + np.float32(zero), ends.min, ends.max
            )
        net.set_tensor(given["index"], value.astype(kind))
        net.invoke()
        raw = net.get_tensor(result["index"])
        if raw.dtype.kind != "f":
            raw = (raw.astype(np.int64) - out_zero) * float(np.float32(out_scale))
        return np.asarray(raw, np.float64).ravel()

    return run


def _onnx(data: bytes, level: ort.GraphOptimizationLevel) -> Run:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    given, first = session.get_inputs()[0], session.get_outputs()[0].name
    fixed = [n if isinstance(n, int) else -1 for n in given.shape[1:]]
    shape = [1, *fixed] if given.shape else [-1]

    def run(image: Floats) -> Doubles:
        return np.asarray(
            session.run([first], {given.name: image.reshape(shape)})[0], np.float64
        ).ravel()

    return run


def _keras(data: bytes, suffix: str) -> Run:
    loaded, traced, constant = (
        load("keras:saving").load_model,
        load("tensorflow:function"),
        load("tensorflow:constant"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"net{suffix}"
        path.write_bytes(data)
        model: Any = loaded(path, compile=False)
    shape = [1, *(int(n) for n in model.input_shape[1:])]
    # As `predict` runs it: for inference, also where the file's own call says training.
    call = traced(partial(model, training=False))

    def run(image: Floats) -> Doubles:
        return np.asarray(call(constant(image.reshape(shape))), np.float64).ravel()

    return run


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """The output of native code is discarded."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
