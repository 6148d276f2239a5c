"""Drafts of tiny ONNX files, built node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Floats
from relrob.testing.drafts import Drawn, Weights

BASES: Final = ("gemm", "gemm", "matmul", "mixed")
RUNTIMES: Final = (
    *("onnxruntime",) * 3,
    "onnxruntime:disabled",
    "onnxruntime:basic",
    "onnxruntime:extended",
)
OPSETS: Final = (7, 8, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 18, 19, 20, 21)


@dataclass
class OnnxDraft(Drawn):
    """`nodes` in order, `held`: constants, `dense`: of each dense layer its node, and the names of
    weights and bias ("" for none); `path`: values on the way from "x" to the output."""

    nodes: list[Any] = field(default_factory=list)
    held: dict[str, NDArray[Any]] = field(default_factory=dict)
    dense: list[tuple[Any, str, str]] = field(default_factory=list)
    given: tuple[Any, ...] = ()
    classes: int = 2
    opset: int = 13
    ir: int = 8
    outputs: list[str] = field(default_factory=list)
    listed: bool = False
    as_nodes: bool = False
    domains: list[tuple[str, int]] = field(default_factory=list)
    inner: bool = False
    made: int = 0
    suffix: str = ".onnx"
    runtime: str = "onnxruntime"

    def name(self) -> str:
        """A new name."""
        self.made += 1
        return f"v{self.made}"

    def keep(self, values: Any, kind: Any = np.float32) -> str:
        """A new constant."""
        name = self.name()
        self.held[name] = np.asarray(values, kind)
        return name

    def node(self, kind: str, inputs: list[str], at: int | None = None, **attributes: Any) -> str:
        """A new node at the end, or before place `at`; its first output."""
        result = self.name()
        domain = attributes.pop("domain", "")
        made = helper.make_node(kind, inputs, [result], domain=domain, **attributes)
        self.nodes.insert(len(self.nodes) if at is None else at, made)
        return result

    def after(
        self,
        value: str,
        kind: str,
        extra: tuple[str, ...] = (),
        first: bool = True,
        **attributes: Any,
    ) -> str:
        """A node on `value`, whose result all that read it now read. `first`: the value is the
        node's first input."""
        readers = [n for n, node in enumerate(self.nodes) if value in node.input]
        at = min(readers, default=len(self.nodes))
        inputs = [value, *extra] if first else [*extra, value]
        readers_of = [node for node in self.nodes if value in node.input]
        result = self.node(kind, inputs, at, **attributes)
        for node in readers_of:
            renamed = [result if name == value else name for name in node.input]
            del node.input[:]
            node.input.extend(renamed)
        self.outputs = [result if name == value else name for name in self.outputs]
        return result

    def values(self) -> list[str]:
        """Values that are computed and read, and the input."""
        read = {name for node in self.nodes for name in node.input} | set(self.outputs)
        return [name for name in ("x", *(node.output[0] for node in self.nodes)) if name in read]

    def data(self) -> bytes:
        """The model."""
        given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.given)]
        constants = [numpy_helper.from_array(array, name) for name, array in self.held.items()]
        nodes = self.nodes
        if self.as_nodes:
            nodes = [helper.make_node("Constant", [], [c.name], value=c) for c in constants] + nodes
            constants = []
        if self.listed or self.ir < 4:
            given += [
                helper.make_tensor_value_info(c.name, c.data_type, tuple(c.dims)) for c in constants
            ]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", f"m{name}"))
            for name in self.outputs
        ]
        if len(ends) == 1:
            ends = [
                helper.make_tensor_value_info(
                    self.outputs[0], TensorProto.FLOAT, ("n", self.classes)
                )
            ]
        graph = helper.make_graph(nodes, "edited", given, ends, constants)
        opsets = [
            helper.make_opsetid("", self.opset),
            *(helper.make_opsetid(*each) for each in self.domains),
        ]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = self.ir
        found: bytes = model.SerializeToString()
        return found

    def lift(self, neuron: int, amount: float, last: bool) -> bool:
        """On the stored bias."""
        _, _, bias = self.dense[-1 if last else 0]
        if not bias or bias not in self.held:
            return False
        values = self.held[bias].copy()
        if neuron >= values.size or values.dtype.kind != "f":
            return False
        values.reshape(-1)[neuron] += np.float32(amount)
        self.held[bias] = values
        return True


def draft(
    rng: np.random.Generator,
    weights: Weights,
    shape: tuple[int, int, int],
    seen: Floats,
    grid: float,
) -> OnnxDraft:
    """A valid file: Gemm, or MatMul and Add, with Relu between, sometimes a Softmax."""
    made = OnnxDraft(base=str(rng.choice(BASES)), classes=weights.classes)
    made.opset = int(rng.choice(OPSETS))
    made.ir = int(rng.integers(3, 11))
    inputs = int(np.prod(shape))
    at = "x"
    if rng.random() < 0.5:
        made.given = ("n", inputs)
    else:
        made.given = ("n", *shape)
        at = made.node("Flatten", [at], axis=1)
    for number, (matrix, bias) in enumerate(weights.layers):
        at = _dense(made, rng, at, matrix, bias)
        at = made.node("Relu", [at]) if number < len(weights.layers) - 1 else at
    if rng.random() < 0.15:
        made.base += ", softmax"
        at = made.node("Softmax", [at], axis=int(rng.choice([1, -1])) if made.opset >= 11 else 1)
    made.outputs = [at]
    # A draw of its own: the files of a seed stay what they were.
    made.runtime = str(rng.spawn(1)[0].choice(RUNTIMES))
    return made


def _dense(made: OnnxDraft, rng: np.random.Generator, at: str, matrix: Any, bias: Any) -> str:
    """One layer in either form."""
    gemm = made.base.startswith("gemm") or (made.base.startswith("mixed") and rng.random() < 0.5)
    kept = made.keep(bias)
    if gemm:
        turned = bool(rng.random() < 0.5)
        place = made.keep(matrix.T if turned else matrix)
        at = made.node("Gemm", [at, place, kept], transB=int(turned))
        made.dense.append((made.nodes[-1], place, kept))
        return at
    place = made.keep(matrix)
    at = made.node("MatMul", [at, place])
    full = made.nodes[-1]
    at = made.node("Add", [at, kept] if rng.random() < 0.8 else [kept, at])
    made.dense.append((full, place, kept))
    return at
