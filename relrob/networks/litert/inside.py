"""The tensors inside a `.tflite` network on one image, as its runtime computes them.

The file is cut after each operator in turn, because a delegate keeps no tensor within its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.content import checked_bytes
from relrob.networks.feed import fed
from relrob.networks.litert.interpreter import RESOLVERS, dequantised, quantised
from relrob.system.quiet import quiet_native


def tensors(network: Network, image: Floats) -> list[NDArray[Any]]:
    """The output of each operator for one image (d,), flat, as reals. Raises whatever LiteRT
    raises."""
    order = pixel_order(network)
    image = fed(image[None], network)[0]
    row = image if order is None else image[order]
    found = []
    for data in _cuts(checked_bytes(network)):
        with quiet_native():
            interpreter = Interpreter(
                model_content=data, experimental_op_resolver_type=RESOLVERS[network.runtime]
            )
            interpreter.allocate_tensors()
        given = interpreter.get_input_details()[0]
        interpreter.set_tensor(given["index"], quantised(row, given).reshape(given["shape"]))
        interpreter.invoke()
        result = interpreter.get_output_details()[0]
        found.append(
            dequantised(interpreter.get_tensor(result["index"]), result).astype(np.float64).ravel()
        )
    return found


def _cuts(data: bytes) -> Iterator[bytes]:
    """The file with its graph ended after the first operator that depends on the image, the second,
    and so on."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph, operators = model.subgraphs[0], model.subgraphs[0].operators
    model.signatureDefs = []
    computed = {int(place) for place in graph.inputs}
    for stop, operator in enumerate(operators, start=1):
        if computed.isdisjoint(int(place) for place in operator.inputs):
            continue
        computed.update(int(place) for place in operator.outputs)
        graph.operators, graph.outputs = operators[:stop], np.array([operator.outputs[0]], np.int32)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        yield bytes(builder.Output())


def values_inside(
    network: Network, names: Sequence[str], images: Floats, data: bytes | None = None
) -> dict[str, NDArray[Any]]:
    """Tensors of the file by their numbers, as stored, (n, values) for n images (n, d), on LiteRT's
    own kernels whatever the runtime. `data`: another file with these tensors. Raises whatever
    LiteRT raises."""
    order = pixel_order(network)
    with quiet_native():
        interpreter = Interpreter(
            model_content=checked_bytes(network) if data is None else data,
            experimental_op_resolver_type=RESOLVERS["builtin"],
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for image in fed(images, network):
        row = image if order is None else image[order]
        interpreter.set_tensor(given["index"], quantised(row, given).reshape(given["shape"]))
        interpreter.invoke()
        for name, rows in found.items():
            rows.append(interpreter.get_tensor(int(name)).ravel().copy())
    return {name: np.stack(rows) for name, rows in found.items()}
