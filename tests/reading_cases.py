"""What the tests of the checker's readers share: files edited through LiteRT's own schema, and
where outputs must lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from flint import arb, ctx

from relrob.certificates.checking.deployed import Deployed, read_deployed
from relrob.certificates.checking.layer import ArbLayer
from relrob.domain.network import Arithmetic, Layout, Network

RUNTIMES = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}


def described(
    path: Path,
    kind: str,
    runtime: str,
    shape: tuple[int, int, int] = (4, 4, 1),
    classes: int = 3,
    arithmetic: str = "float32",
    layout: str = "hwc",
) -> Network:
    """What a certificate says of a file."""
    return Network(
        path=str(path),
        sha256="",
        format=kind,
        runtime=runtime,
        inputs=int(np.prod(shape)),
        classes=classes,
        image_shape=shape,
        layout=Layout(layout),
        arithmetic=Arithmetic(arithmetic),
    )


def edited(data: bytes, change: Callable[[Any], object]) -> bytes:
    """A `.tflite` file after a change to its objects."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read(data: bytes, folder: Path, **described_as: Any) -> Deployed:
    """The checker's reading of these bytes."""
    path = folder / "file"
    path.write_bytes(data)
    return read_deployed(described(path, **described_as))


def ranges(deployed: Deployed, images: Any) -> tuple[Any, Any]:
    """(least, largest) outputs (n, classes) of a runtime that strays as far as the facts allow,
    before any softmax."""
    lows, highs = [], []
    for image in images.astype(np.float64):
        low = high = image
        for facts in deployed.layers:
            with ctx.workprec(128):
                layer = ArbLayer(facts)
                given = [arb(value) for value in high.tolist()]
                error = np.array(
                    [float(alone.upper()) for alone, _ in layer.error(given, layer.moved(given))]
                )
            plus, minus = np.maximum(facts.weights, 0), np.minimum(facts.weights, 0)
            bias = np.array([float(value) for value in facts.bias])
            loose = 1e-12 * (high @ np.abs(facts.weights) + np.abs(bias)) + error
            low, high = (
                low @ plus + high @ minus + bias - loose,
                high @ plus + low @ minus + bias + loose,
            )
            if facts.floor is not None:
                low, high = (
                    np.maximum(low, float(facts.floor)),
                    np.maximum(high, float(facts.floor)),
                )
            if facts.cap is not None:
                low, high = np.minimum(low, float(facts.cap)), np.minimum(high, float(facts.cap))
            if facts.relu:
                low, high = np.maximum(low, 0), np.maximum(high, 0)
        lows.append(low)
        highs.append(high)
    return np.array(lows), np.array(highs)


def hostile_images(inputs: int, count: int = 40) -> Any:
    """Black, white, random and nearly equal images."""
    rng = np.random.default_rng(0)
    images = rng.random((count, inputs), dtype=np.float32)
    images[0], images[1], images[2] = 0, 1, 0.5
    images[3:10] = rng.integers(0, 2, (7, inputs))
    return images


def run(data: bytes, runtime: str, images: Any, place: int | None = None) -> Any:
    """What a tensor (the output) holds for each image, run alone: reals."""
    interpreter = Interpreter(
        model_content=data,
        num_threads=1,
        experimental_op_resolver_type=RUNTIMES[runtime],
        experimental_preserve_all_tensors=place is not None and runtime != "xnnpack",
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    result = interpreter.get_output_details()[0]
    if place is not None:
        result = next(each for each in interpreter.get_tensor_details() if each["index"] == place)
    rows = []
    for image in images:
        value = image.reshape(given["shape"])
        if given["dtype"] != np.float32:
            scale, zero = given["quantization"]
            ends = np.iinfo(given["dtype"])
            value = np.clip(np.rint(value / np.float32(scale)) + zero, ends.min, ends.max).astype(
                given["dtype"]
            )
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        row = interpreter.get_tensor(result["index"]).reshape(-1).astype(np.float64)
        scale, zero = result["quantization"]
        rows.append((row - zero) * scale if scale else row)
    return np.array(rows)
