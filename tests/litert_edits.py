"""Edits of small `.tflite` files: those that change what runs, each with the reason that the strict
reader gives."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.make_litert import FILES, GRID, OP, Change, add_constant, add_operator, edited


def at(position: int) -> Any:
    """The options of an operator are changed by the function that is given."""

    def by(**fields: object) -> Change:
        def change(_model: Any, graph: Any) -> None:
            for name, value in fields.items():
                setattr(graph.operators[position].builtinOptions, name, value)

        return change

    return by


def operator(position: int, **fields: object) -> Change:
    """Fields of an operator."""

    def change(_model: Any, graph: Any) -> None:
        for name, value in fields.items():
            setattr(graph.operators[position], name, value)

    return change


def tensor(place: int, **fields: object) -> Change:
    """Fields of a tensor."""

    def change(_model: Any, graph: Any) -> None:
        for name, value in fields.items():
            setattr(graph.tensors[place], name, value)

    return change


def scale(place: int, scales: list[float], zeros: list[int], dimension: int = 0) -> Change:
    """The quantisation of a tensor."""

    def change(_model: Any, graph: Any) -> None:
        found: Any = schema.QuantizationParametersT()
        found.scale, found.zeroPoint = np.array(scales, np.float32), np.array(zeros, np.int64)
        found.quantizedDimension = dimension
        graph.tensors[place].quantization = found

    return change


def version(number: int) -> Change:
    """Of every operator."""

    def change(model: Any, _graph: Any) -> None:
        for code in model.operatorCodes:
            code.version = number

    return change


def extra(kind: int, options: Any = None) -> Change:
    """One more operator at the end."""

    def change(model: Any, graph: Any) -> None:
        add_operator(model, graph, kind, [int(graph.outputs[0])], int(graph.outputs[0]), options)

    return change


def sparse(_model: Any, graph: Any) -> None:
    """Weights stored sparse."""
    found: Any = schema.SparsityParametersT()
    found.traversalOrder, found.dimMetadata = [0, 1], []
    graph.tensors[1].sparsity = found


def second_graph(model: Any, graph: Any) -> None:
    """Two subgraphs."""
    model.subgraphs.append(copy.copy(graph))


def metadata(model: Any, _graph: Any) -> None:
    """An entry that may change the order of execution."""
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = b"model_control_dependencies", 0
    model.metadata = [entry]


def bias_of(kind: int, shape: tuple[int, ...]) -> Change:
    """The type and the shape of the first bias."""

    def change(model: Any, graph: Any) -> None:
        found = graph.tensors[2]
        found.type, found.shape = kind, list(shape)
        size = {
            schema.TensorType.INT64: 8,
            schema.TensorType.FLOAT32: 4,
            schema.TensorType.INT32: 4,
        }[kind]
        model.buffers[found.buffer].data = np.zeros(int(np.prod(shape)) * size, np.uint8)

    return change


def dequantised(model: Any, graph: Any) -> None:
    """int8 weights behind DEQUANTIZE: a float kernel."""
    first = graph.operators[0]
    output = list(graph.outputs)
    add_operator(model, graph, OP.DEQUANTIZE, [int(first.inputs[1])], int(first.inputs[1]))
    graph.operators.insert(0, graph.operators.pop())
    graph.outputs = output
    graph.tensors[-1].type, graph.tensors[-1].quantization = schema.TensorType.FLOAT32, None
    first.inputs = [first.inputs[0], len(graph.tensors) - 1, first.inputs[2]]


def rows(model: Any, graph: Any) -> None:
    """The image as two rows."""
    graph.operators[0].builtinOptions.newShape = [-1, 10]


def requantise(model: Any, graph: Any) -> None:
    """A second QUANTIZE, to another scale."""
    output = list(graph.outputs)
    add_operator(model, graph, OP.QUANTIZE, [1], 1)
    graph.operators.insert(1, graph.operators.pop())
    graph.outputs = output
    scale(len(graph.tensors) - 1, [0.25], [-128])(model, graph)
    graph.operators[2].inputs = [len(graph.tensors) - 1, *list(graph.operators[2].inputs)[1:]]


BOX: list[tuple[str, str, Change]] = [
    ("stored sparse", "int8", sparse),
    ("is a variable", "int8", tensor(1, isVariable=True)),
    ("second QUANTIZE", "int8-float-ends", requantise),
    ("changes the type, scale or zero point", "int8-reshape", scale(1, [0.5], [-128])),
    ("changes the type, scale or zero point", "int8-reshape", scale(1, [GRID.scale], [-127])),
    ("does not keep the values of an image", "int8-reshape", rows),
    ("scale that is not above 0", "int8", scale(3, [-0.1], [-128])),
    ("scale that is not above 0", "int8", scale(3, [0.0], [-128])),
    ("scale that is not above 0", "int8", scale(3, [float("nan")], [-128])),
    ("scale that is not above 0", "int8", scale(3, [float("inf")], [-128])),
    ("scale outside 2^-60", "int8", scale(3, [1e-35], [-128])),
    ("scale that is not above 0", "int8", scale(2, [0.0], [0])),
    ("int8 softmax over steps of", "int8-softmax", scale(6, [20.0], [3])),
    ("int8 softmax over steps of", "int8-softmax", scale(6, [2e-5], [3])),
    ("zero point 200, outside int8", "int8", scale(3, [0.1], [200])),
    ("has not one scale", "int8", scale(3, [0.1, 0.1], [0, 0])),
    ("has not one scale", "int8", tensor(3, quantization=None)),
    ("is float32 and has a scale", "dynamic", scale(3, [0.1], [0])),
    ("weights with a zero point", "int8-per-tensor", scale(1, [0.02], [1])),
    ("scales along dimension 1", "int8", scale(1, [0.02] * 16, [0] * 16, 1)),
    ("20 scales for 16 outputs", "int8", scale(1, [0.02] * 20, [0] * 20, 1)),
    ("has no scales", "int8", tensor(1, quantization=None)),
    ("another activation than ReLU", "int8", at(0)(fusedActivationFunction=3)),
    ("another activation than ReLU", "dynamic", at(0)(fusedActivationFunction=2)),
    ("weightsFormat 1", "int8", at(0)(weightsFormat=1)),
    ("keepNumDims True", "dynamic", at(0)(keepNumDims=True)),
    ("quantizedBiasType", "int8", at(0)(quantizedBiasType=4)),
    ("one type to another", "int8", at(0)(asymmetricQuantizeInputs=True)),
    ("between other types", "float", at(0)(asymmetricQuantizeInputs=True)),
    ("beta 0.5", "int8-softmax", at(2)(beta=0.5)),
    ("has no options", "int8", operator(0, builtinOptions=None, builtinOptionsType=0)),
    ("has no options", "int8-softmax", operator(2, builtinOptions=None, builtinOptionsType=0)),
    (
        "other options",
        "int8",
        operator(0, builtinOptions=schema.SoftmaxOptionsT(), builtinOptionsType=9),
    ),
    ("custom options", "int8", operator(0, customOptions=np.ones(3, np.uint8))),
    ("intermediate tensors", "int8", operator(0, intermediates=[3])),
    ("changes its inputs", "int8", operator(0, mutatingVariableInputs=[True, False, False])),
    ("has version 99", "int8", version(99)),
    ("2 subgraphs", "int8", second_graph),
    ("metadata 'model_control_dependencies'", "int8", metadata),
    ("not one that is modelled", "int8", extra(OP.LOGISTIC)),
    ("not one that is modelled", "dynamic", extra(OP.ABS)),
    ("is not one that is modelled", "dynamic", extra(OP.REDUCE_MIN)),
    (
        "stands where it is not modelled",
        "int8-softmax",
        extra(OP.SOFTMAX, schema.SoftmaxOptionsT(beta=1.0)),
    ),
    ("inputs and 2 outputs", "int8", lambda m, g: setattr(g, "outputs", [3, 6])),
    ("end of the chain", "int8", lambda m, g: setattr(g, "outputs", [3])),
    ("written already", "int8", operator(1, outputs=[3])),
    ("written already", "int8", operator(1, outputs=[0])),
    ("written already", "int8", operator(1, outputs=[1])),
    ("before it is written", "int8", operator(0, inputs=[6, 1, 2])),
    ("does not continue the chain", "int8", operator(1, inputs=[0, 4, 5])),
    ("does not continue the chain", "int8", operator(1, inputs=[])),
    ("bias of shape (1, 16)", "dynamic", bias_of(schema.TensorType.FLOAT32, (1, 16))),
    ("bias of shape (1,)", "dynamic", bias_of(schema.TensorType.FLOAT32, (1,))),
    ("int64 bias", "int8", bias_of(schema.TensorType.INT64, (16,))),
    ("float32 bias", "int8", bias_of(schema.TensorType.FLOAT32, (16,))),
    ("has a bias with a zero point", "int8", scale(2, [0.001], [5])),
    ("bytes for shape", "int8", tensor(1, shape=[17, 20])),
    ("several rows", "dynamic", tensor(0, shape=[1, 2, 20], shapeSignature=[-1, 2, 20])),
    ("is not a batch of one image", "int8", tensor(0, shape=[4, 20], shapeSignature=[4, 20])),
    ("shape is open", "int8", tensor(0, shapeSignature=[-1, -1])),
    ("is declared as", "int8", tensor(3, shape=[1, 17])),
    ("int8 weights into float", "dynamic", dequantised),
    ("before it is written", "dynamic", tensor(1, buffer=0)),
    ("weights that are computed", "dynamic", operator(1, inputs=[3, 3, 5])),
    ("ReLU, ..., ReLU, none", "int8", at(0)(fusedActivationFunction=0)),
    ("ReLU, ..., ReLU, none", "dynamic", at(1)(fusedActivationFunction=1)),
    ("int16", "int8", tensor(3, type=schema.TensorType.INT16)),
    ("int4 weights", "dynamic", tensor(1, type=schema.TensorType.INT4)),
]


def flatten_file() -> bytes:
    """(4, 5) images, flattened as the converter does, before the layers of `dynamic`."""

    def change(model: Any, graph: Any) -> None:
        graph.tensors[0].shape, graph.tensors[0].shapeSignature = [1, 4, 5], [-1, 4, 5]
        start, one, size = (
            add_constant(model, graph, np.array(v, np.int32)) for v in ([0], [1], 20)
        )
        old, kept = list(graph.outputs), list(graph.operators)
        made = list[int]()
        sliced = schema.StridedSliceOptionsT()
        sliced.shrinkAxisMask = 1
        packed = schema.PackOptionsT()
        packed.valuesCount = 2
        shaped = schema.ShapeOptionsT()
        shaped.outType = schema.TensorType.INT32
        for kind, places, shape, options in (
            (OP.SHAPE, [0], [3], shaped),
            (OP.STRIDED_SLICE, [None, start, one, one], [], sliced),
            (OP.PACK, [None, size], [2], packed),
        ):
            inputs = [made[-1] if place is None else place for place in places]
            add_operator(model, graph, kind, inputs, 3, options)
            last = graph.tensors[-1]
            last.shape, last.shapeSignature, last.type, last.quantization = (
                shape,
                None,
                schema.TensorType.INT32,
                None,
            )
            made.append(len(graph.tensors) - 1)
        add_operator(model, graph, OP.RESHAPE, [0, made[-1]], 3)
        graph.tensors[-1].shape, graph.tensors[-1].shapeSignature = [1, 20], [-1, 20]
        kept[0].inputs = [len(graph.tensors) - 1, *list(kept[0].inputs)[1:]]
        graph.operators = [op for op in graph.operators if op not in kept] + kept
        graph.outputs = old

    return edited(FILES["dynamic"], change)


def flatten_edits() -> Iterator[Change]:
    """One number of the idiom changed."""
    for name, value in (
        ("beginMask", 1),
        ("endMask", 1),
        ("shrinkAxisMask", 0),
        ("newAxisMask", 1),
        ("offset", True),
    ):
        yield at(1)(**{name: value})
    yield at(2)(axis=1)
    yield at(2)(valuesCount=3)
    yield at(0)(outType=schema.TensorType.INT64)

    def second(model: Any, graph: Any) -> None:
        graph.operators[1].inputs = [
            graph.operators[1].inputs[0],
            *[add_constant(model, graph, np.array([1], np.int32))] * 3,
        ]

    def of_the_weights(_model: Any, graph: Any) -> None:
        graph.operators[0].inputs = [1]

    def other_size(model: Any, graph: Any) -> None:
        graph.operators[2].inputs = [
            graph.operators[2].inputs[0],
            add_constant(model, graph, np.array(10, np.int32)),
        ]

    yield from (second, of_the_weights, other_size)
