"""A part of a `.tflite` file as a file of its own, run by LiteRT, for float operators whose order
of summation only it knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from relrob.domain.contract import IDENTITY
from relrob.domain.network import Network
from relrob.networks.litert.interpreter import LiteRt, best_batch
from relrob.system.files import sha256_bytes


def native(
    network: Network, data: bytes, positions: tuple[int, ...], widths: tuple[int, int]
) -> LiteRt:
    """The operators at `positions` on the runtime of `network`, in the batches of the whole file;
    `widths`: values in and out."""
    part = cut(data, positions)
    shape = (1, 1, widths[0])
    small = replace(
        network,
        sha256=sha256_bytes(part),
        inputs=widths[0],
        classes=widths[1],
        image_shape=shape,
        dense=None,
        # The part reads what the operators before it give, and no pixels.
        contract=IDENTITY,
        head="",
    )
    return LiteRt(small, part, 1, best_batch(network))


def cut(data: bytes, positions: tuple[int, ...]) -> bytes:
    """A chain of operators of a file, from the input of the first to the output of the last."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    graph.operators = [graph.operators[position] for position in positions]
    graph.inputs, graph.outputs = [graph.operators[0].inputs[0]], [graph.operators[-1].outputs[0]]
    used = {int(index) for operator in graph.operators for index in operator.inputs if index >= 0}
    kept = {graph.tensors[index].buffer for index in used}
    for number, buffer in enumerate(model.buffers):
        if number not in kept:
            buffer.data = None
    model.signatureDefs, model.metadata, model.metadataBuffer = None, None, None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
