"""The checker's reader of `.tflite` graphs: a chain of dense layers in float32, dynamic range or
int8, as LiteRT's kernels compute it. Any other graph has no rules.

Source: docs/certificates.md, "Which files have rules".
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading import tflite as lite
from relrob.certificates.checking.reading.entry import image_dims, raster
from relrob.certificates.checking.reading.facts import Deployed, Facts, NoRulesError
from relrob.certificates.checking.reading.litert_dense import dynamic_range, integer_layer
from relrob.certificates.checking.reading.litert_shapes import COMPUTED, Shapes
from relrob.certificates.checking.reading.steps import Steps
from relrob.domain.network import Network

_SOFTMAX_GRID: Final = (1 / 256, -128)
# Scales of the inputs of an int8 softmax for which its table was compared with exp.
_LOGITS: Final = (2.0**-14, 16.0)


def read_tflite(network: Network, data: bytes) -> Deployed:
    """The layers of a file on one of LiteRT's runtimes. Raises NoRulesError."""
    graph = lite.read_graph(data)
    if graph.halves and network.runtime == "xnnpack" and _has_halves():
        raise NoRulesError("a file that XNNPACK may compute in half precision on this processor")
    return _Walk(network, graph).read()


def _has_halves(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """May this processor compute in half precision? XNNPACK does so in a file that allows it, where
    the processor is able to."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return True
    told = "flags" in words and not any("fp16" in word for word in words)
    return platform.machine() not in ("x86_64", "AMD64") or not told


class _Walk:
    """Follows the value of an image through the operators, in their order."""

    def __init__(self, network: Network, graph: lite.Graph) -> None:
        self._network, self._graph = network, graph
        given = graph.tensors[graph.input]
        if given.values is not None:
            raise NoRulesError("an input that is a constant")
        self._shape = image_dims(given.dims, network)
        self._steps = Steps(self._shape)
        self._at, self._written = graph.input, {graph.input}
        self._shapes = Shapes(graph)
        self._halves: dict[int, int] = {}
        # Layers of integers; those of floats are in `_steps`.
        self._layers: list[Facts] = []
        self._grid, self._rounded = self._entry(given)
        self._end, self._done = "", False

    def _entry(self, given: lite.Tensor) -> tuple[lite.Integers | None, bool]:
        """(type, scale, zero point) of the input, None for floats; whether its pixels are rounded
        already."""
        if given.kind == lite.FLOAT32:
            return None, False
        return given.integers(), True

    def read(self) -> Deployed:
        for operator in self._graph.operators:
            self._fresh(operator.output)
            if operator.kind in COMPUTED:
                self._shapes.compute(operator, self._at, self._steps.shape)
            elif (
                operator.kind == lite.DEQUANTIZE
                and self._graph.tensors[operator.inputs[0]].values is not None
            ):
                self._halves[operator.output] = self._half(operator)
            else:
                if self._at not in operator.inputs or (
                    self._done and operator.kind != lite.RESHAPE
                ):
                    raise NoRulesError("a graph that is no chain of operators")
                self._step(operator)
                self._at = operator.output
        if self._at != self._graph.output:
            raise NoRulesError("an output that is not what the last operator gives")
        if not self._layers:
            if self._grid is not None:
                raise NoRulesError("no dense layer")
            return self._steps.finish(raster(self._network))
        if len(self._steps.shape) != 1:
            raise NoRulesError("outputs that are not one row an image")
        return Deployed(tuple(self._layers), self._end or "logits")

    def _fresh(self, place: int) -> None:
        if place in self._written or self._graph.tensors[place].values is not None:
            raise NoRulesError("a tensor that is written twice, or is a constant")
        self._written.add(place)

    def _step(self, operator: lite.Operator) -> None:
        """One operator on the value."""
        first = operator.inputs[0] == self._at
        kind, target = operator.kind, self._graph.tensors[operator.output]
        if kind == lite.QUANTIZE and first:
            self._quantise(operator)
        elif kind == lite.DEQUANTIZE and first:
            if self._grid is None or not self._layers or target.kind != lite.FLOAT32:
                raise NoRulesError("a DEQUANTIZE before the last dense layer")
            self._grid = None
        elif kind == lite.RESHAPE and first:
            self._reshape(operator)
        elif kind == lite.FULLY_CONNECTED and first:
            self._dense(operator)
        elif kind == lite.SOFTMAX and first:
            self._softmax(operator)
        elif self._layers or self._grid is not None:
            raise NoRulesError(f"the operator {kind} on integers")
        elif target.kind != lite.FLOAT32:
            raise NoRulesError("floats that become integers on the way")
        elif kind == lite.RELU and first:
            self._steps.relu()
        else:
            self._elementwise(operator, first)

    def _quantise(self, operator: lite.Operator) -> None:
        """Floats to int8 before the first layer, once; or the same values as uint8 and int8, 128
        apart."""
        target = self._graph.tensors[operator.output].integers()
        if self._grid is None:
            if self._layers or self._rounded or target[0] != lite.INT8 or not self._steps.untouched:
                raise NoRulesError("a QUANTIZE at this place")
            self._rounded = True
        else:
            kinds, (_, scale, zero) = (self._grid[0], target[0]), self._grid
            before = kinds == (lite.UINT8, lite.INT8) and not self._layers
            after = kinds == (lite.INT8, lite.UINT8) and bool(self._layers)
            if not (before or after) or (target[1], target[2]) != (
                scale,
                zero + (-128 if before else 128),
            ):
                raise NoRulesError("a QUANTIZE between two grids")
            self._done = after
        self._grid = target

    def _reshape(self, operator: lite.Operator) -> None:
        """Another shape of the same image, of the same type and grid."""
        place = operator.output
        if self._graph.tensors[place].kind != self._graph.tensors[self._at].kind:
            raise NoRulesError("a RESHAPE to another type")
        if self._grid is not None and self._graph.tensors[place].integers() != self._grid:
            raise NoRulesError("a RESHAPE to another grid")
        shape = self._shapes.target(operator, self._steps.shape)
        if (self._end or (self._layers and self._grid is None)) and shape != self._steps.shape:
            raise NoRulesError("a RESHAPE at the end")
        self._steps.reshape(shape)

    def _half(self, operator: lite.Operator) -> int:
        """float16 constants that become float32, exactly."""
        source, target = (
            self._graph.tensors[operator.inputs[0]],
            self._graph.tensors[operator.output],
        )
        if source.kind != lite.FLOAT16 or target.kind != lite.FLOAT32 or source.dims != target.dims:
            raise NoRulesError("constants behind a DEQUANTIZE that are not float16")
        return operator.inputs[0]

    def _floats(self, place: int) -> NDArray[np.generic]:
        """Float constants, which may be stored as float16."""
        if place in self._halves:
            return self._graph.constant(self._halves[place], lite.FLOAT16)
        return self._graph.constant(place, lite.FLOAT32)

    def _elementwise(self, operator: lite.Operator, first: bool) -> None:
        """The value and a constant, in float32."""
        kind, options = operator.kind, operator.options
        if len(operator.inputs) != 2 or options is None or (kind == lite.DIV and not first):
            raise NoRulesError(f"the operator {kind} at this place")
        numbers = self._floats(operator.inputs[1 if first else 0])
        if numbers.ndim > len(self._steps.shape):
            if numbers.shape[0] != 1 or numbers.ndim > len(self._steps.shape) + 1:
                raise NoRulesError("constants of more dimensions than the values")
            numbers = numbers[0]
        if kind == lite.MUL:
            self._steps.multiply(numbers)
        elif kind == lite.DIV:
            self._steps.divide(numbers)
        else:
            self._steps.add(
                numbers, negative=kind == lite.SUB and first, turned=kind == lite.SUB and not first
            )
        self._activate(options.whole(0, "b"))

    def _activate(self, activation: int) -> None:
        if activation not in (0, 1):
            raise NoRulesError("an activation other than ReLU")
        if activation == 1:
            self._steps.relu()

    def _softmax(self, operator: lite.Operator) -> None:
        if operator.given.number(0, "f", 0.0) != 1.0 or len(operator.inputs) != 1:
            raise NoRulesError("a softmax with beta other than 1")
        target = self._graph.tensors[operator.output]
        if self._grid is None and target.kind == lite.FLOAT32:
            if not self._layers:
                self._steps.softmax()
            self._end, self._done = "float softmax", True
            return
        if (
            self._grid is None
            or not self._layers
            or self._end
            or not _LOGITS[0] <= self._grid[1] <= _LOGITS[1]
        ):
            raise NoRulesError("a softmax at this place")
        if self._graph.tensors[operator.output].integers() != (lite.INT8, *_SOFTMAX_GRID):
            raise NoRulesError("an int8 softmax whose outputs are not steps of 1/256")
        self._grid, self._end = (lite.INT8, *_SOFTMAX_GRID), "int8 softmax"

    def _dense(self, operator: lite.Operator) -> None:
        options = operator.given
        activation, source = options.whole(0, "b"), self._steps.shape
        if (
            activation not in (0, 1)
            or options.whole(1, "b")
            or options.whole(4, "b") not in (lite.FLOAT32, lite.INT32)
        ):
            raise NoRulesError(
                "a dense layer with an activation other than ReLU, or with shuffled weights"
            )
        if len(source) > 1 or options.whole(2, "?") or len(operator.inputs) not in (2, 3):
            raise NoRulesError("a dense layer over several rows")
        if self._end or (self._layers and self._grid is None):
            raise NoRulesError("a dense layer at this place")
        if self._grid is not None:
            self._integer_dense(operator, self._grid)
            return
        if self._graph.tensors[operator.output].kind != lite.FLOAT32:
            raise NoRulesError("floats that become integers on the way")
        bias = None
        if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
            bias = self._floats(operator.inputs[2])
        place = operator.inputs[1]
        if place >= 0 and self._graph.tensors[place].kind == lite.INT8:
            delegate = self._network.runtime == "xnnpack"
            weights, share, sure = dynamic_range(self._graph, operator, bias, delegate)
            self._steps.dense(weights, bias, more_terms=6, share=share, levels=sure)
        else:
            self._steps.dense(self._floats(place).T, bias, more_terms=6)
        self._activate(activation)

    def _integer_dense(self, operator: lite.Operator, grid: lite.Integers) -> None:
        """A layer of int8 inputs on this grid."""
        if grid[0] != lite.INT8 or not self._rounded:
            raise NoRulesError("a dense layer over values that are not int8")
        if self._layers and not self._layers[-1].relu:
            raise NoRulesError("dense layers without a ReLU between them")
        places = None if self._layers else raster(self._network)
        made, self._grid = integer_layer(
            self._graph, operator, grid, self._steps.shape, places, self._network.runtime
        )
        self._layers.append(made)
        self._steps = Steps((len(made.bias),))
