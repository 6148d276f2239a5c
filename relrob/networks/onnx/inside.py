"""The tensors inside an ONNX network on one image, as onnxruntime computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order
from relrob.networks.content import checked_bytes, runs_weights
from relrob.networks.feed import fed
from relrob.networks.onnx.export import to_onnx
from relrob.networks.onnx.levels import level_of
from relrob.networks.shapes import without_batch


def values_inside(
    network: Network, names: Sequence[str], images: Floats
) -> dict[str, NDArray[Any]]:
    """Values of the graph by name, as it computes them without optimisation, (n, values) for n
    images (n, d). Raises whatever onnxruntime raises."""
    model = onnx.load_from_string(checked_bytes(network))
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = session.get_inputs()[0]
    shape, batch = _image_shape(given, network)
    order = pixel_order(network)
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for image in fed(images, network):
        row = image if order is None else image[order]
        found = session.run(list(rows), {given.name: row.reshape((1, *shape) if batch else shape)})
        for name, values in zip(rows, found, strict=True):
            rows[name].append(np.asarray(values).ravel())
    return {name: np.stack(held) for name, held in rows.items()}


def _image_shape(given: Any, network: Network) -> tuple[tuple[int, ...], bool]:
    """The shape of one image at a graph's input, and whether it has a batch."""
    dims = tuple(n if isinstance(n, int) else -1 for n in given.shape)
    return without_batch(dims or (-1, network.inputs), network.image_shape)


def tensors(network: Network, image: Floats) -> list[NDArray[Any]]:
    """The output of each node for one image (d,), flat, in the order of the graph. Raises whatever
    onnxruntime raises."""
    own = runs_weights(network) and network.dense is not None
    data = to_onnx(network.dense) if own and network.dense is not None else checked_bytes(network)
    model = onnx.load_from_string(data)
    known = {value.name for value in model.graph.output}
    inner = [
        name for node in model.graph.node for name in node.output if name and name not in known
    ]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = ort.SessionOptions()
    options.graph_optimization_level = level_of(network.runtime)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = session.get_inputs()[0]
    shape, batch = _image_shape(given, network)
    order = None if own else pixel_order(network)
    image = fed(image[None], network)[0]
    row = image if order is None else image[order]
    found = session.run(inner, {given.name: row.reshape((1, *shape) if batch else shape)})
    return [
        np.asarray(values, np.float64).ravel()
        for values in found
        if np.asarray(values).dtype.kind in "fiu"
    ]
