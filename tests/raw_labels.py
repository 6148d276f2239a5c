"""The labels that a runtime gives when it is called directly, without relrob's evaluators: LiteRT's
interpreter and onnxruntime's session, one image a call. The referee of witnesses and alarms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from relrob.domain.arrays import Floats
from relrob.domain.network import Layout, Network
from relrob.errors import UsageError
from relrob.networks.content import runs_weights
from relrob.networks.onnx.export import to_onnx

_RESOLVERS: Final = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}


def raw_labels(network: Network) -> Callable[[Floats], int]:
    """The label of an image (d,) float32 on `network.runtime`: the first of the largest outputs.

    Plain dense layers of another format than ONNX run on onnxruntime as the graph that relrob
    exports. Raises UsageError for another runtime, and for a file that does not read the pixels as
    they are.
    """
    raster = network.layout is Layout.HWC or network.image_shape[2] == 1
    if not network.contract.identity or network.head or not raster:
        raise UsageError(
            f"{network.path}, which reads pixels in its own way",
            "files that read them as they are and have an output a class",
        )
    if network.runtime in _RESOLVERS:
        return _litert(Path(network.path).read_bytes(), network.runtime)
    if network.runtime != "onnxruntime":
        raise UsageError(f"runtime {network.runtime}", ", ".join((*_RESOLVERS, "onnxruntime")))
    if network.dense is not None and runs_weights(network):
        return _onnxruntime(to_onnx(network.dense))
    return _onnxruntime(network.path)


def _litert(data: bytes, runtime: str) -> Callable[[Floats], int]:
    """An integer input is clip(rint(x / scale) + zero point), in float32."""
    interpreter = Interpreter(
        model_content=data, num_threads=1, experimental_op_resolver_type=_RESOLVERS[runtime]
    )
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    kind = np.dtype(given["dtype"])

    def label(image: Floats) -> int:
        values = image
        if kind.kind != "f":
            scale, zero = (np.float32(number) for number in given["quantization"])
            ends = np.iinfo(kind)
            values = np.clip(np.rint(image / scale) + zero, ends.min, ends.max)
        interpreter.set_tensor(given["index"], values.astype(kind).reshape(given["shape"]))
        interpreter.invoke()
        return int(interpreter.get_tensor(result["index"]).argmax())

    return label


def _onnxruntime(model: bytes | str) -> Callable[[Floats], int]:
    """On one thread, an open batch of 1."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    return lambda image: int(session.run(None, {given.name: image.reshape(shape)})[0].argmax())
