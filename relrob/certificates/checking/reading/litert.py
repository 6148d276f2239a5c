"""What LiteRT's kernels do with a `.tflite` graph: a chain of dense layers in float32, dynamic
range or int8, or no rules."""

from __future__ import annotations

import platform
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading import tflite as lite
from relrob.certificates.checking.reading.entry import image_dims, raster
from relrob.certificates.checking.reading.facts import LOOSE, Deployed, Facts, NoRulesError
from relrob.certificates.checking.reading.steps import Steps
from relrob.domain.network import Network

_ENDS: Final = {lite.INT8: (-128, 127), lite.UINT8: (0, 255)}
_SOFTMAX_GRID: Final = (1 / 256, -128)
_LOGITS: Final = (
    2.0**-14,
    16.0,
)  # scales of what an int8 softmax reads for which its table was compared with exp
_MOST_INPUTS: Final = 1 << 16
# Below 2^-32 a sum of 31 bits is less than half a step: 0 in every kernel. Far below, float32
# products would be subnormal.
_LEAST_RATIO: Final = 2.0**-100
# XNNPACK takes dynamic-range layers of these versions (not 8):
# tests/certificates/test_reading_litert_rows.py asks LiteRT.
_DELEGATED: Final = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)


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
        self._sizes: dict[
            int, list[int]
        ] = {}  # of the image's shape as the file computes it, -1 for the batch
        self._halves: dict[int, int] = {}
        self._layers: list[Facts] = []  # of int8
        self._grid, self._rounded = self._entry(given)
        self._end, self._done = "", False

    def _entry(self, given: lite.Tensor) -> tuple[tuple[int, float, int] | None, bool]:
        """(type, scale, zero point) of the input, None for floats; whether its pixels are rounded
        already."""
        if given.kind == lite.FLOAT32:
            return None, False
        return self._integers(self._graph.input), True

    def _integers(self, place: int) -> tuple[int, float, int]:
        tensor = self._graph.tensors[place]
        if tensor.kind not in _ENDS or tensor.grid is None:
            raise NoRulesError(f"values of type {tensor.kind}, or without a scale")
        scale, zero = tensor.grid.one()
        low, high = _ENDS[tensor.kind]
        if not low <= zero <= high:
            raise NoRulesError(f"a zero point of {zero}")
        return tensor.kind, scale, zero

    def read(self) -> Deployed:
        for operator in self._graph.operators:
            self._fresh(operator.output)
            if operator.kind in (lite.SHAPE, lite.STRIDED_SLICE, lite.PACK):
                self._sizes[operator.output] = self._side(operator)
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
        target = self._integers(operator.output)
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
        if self._grid is not None and self._integers(place) != self._grid:
            raise NoRulesError("a RESHAPE to another grid")
        asked = None if operator.options is None else operator.options.vector(0, "<i4")
        sizes = (
            None
            if asked is None or not len(asked)
            else [int(size) for size in asked.astype(np.int64)]
        )
        if len(operator.inputs) == 2:
            known = self._vector(operator.inputs[1])
            if sizes is not None and sizes != known and operator.inputs[1] not in self._sizes:
                raise NoRulesError("a RESHAPE to two shapes")
            sizes = known
        if sizes is None or len(sizes) < 2 or sizes[0] not in (-1, 1) or len(operator.inputs) > 2:
            raise NoRulesError("a RESHAPE that does not keep the batch apart")
        shape = _completed(tuple(sizes[1:]), self._steps.shape)
        if (self._end or (self._layers and self._grid is None)) and shape != self._steps.shape:
            raise NoRulesError("a RESHAPE at the end")
        self._steps.reshape(shape)

    def _vector(self, place: int) -> list[int]:
        """A shape: computed from the value's, or a constant."""
        if place in self._sizes:
            return self._sizes[place]
        values = self._constant(place, lite.INT32)
        return [int(size) for size in values.reshape(-1).astype(np.int64)]

    def _side(self, operator: lite.Operator) -> list[int]:
        """The batch size, taken from the value's own shape, and a shape made of it: [batch, n]."""
        options = operator.given
        if operator.kind == lite.SHAPE:
            if operator.inputs != [self._at] or options.whole(0, "b") != lite.INT32:
                raise NoRulesError("the shape of something else than the value")
            return [-1, *self._steps.shape]
        if operator.kind == lite.STRIDED_SLICE:
            taken = [self._vector(place) for place in operator.inputs[1:]]
            masks = [options.whole(slot, "i") for slot in range(5)]
            shape = self._sizes.get(operator.inputs[0])
            if (
                taken != [[0], [1], [1]]
                or masks != [0, 0, 0, 0, 1]
                or options.whole(5, "?")
                or not shape
            ):
                raise NoRulesError("a slice of a shape other than its batch")
            return shape[:1]
        parts = [self._vector(place) for place in operator.inputs]
        flat = all(len(part) == 1 for part in parts) and options.whole(1, "i") == 0
        if not flat or options.whole(0, "i") != len(parts) or operator.inputs[0] not in self._sizes:
            raise NoRulesError("a shape that is put together in another way")
        return [part[0] for part in parts]

    def _half(self, operator: lite.Operator) -> int:
        """float16 constants that become float32, exactly."""
        source, target = (
            self._graph.tensors[operator.inputs[0]],
            self._graph.tensors[operator.output],
        )
        if source.kind != lite.FLOAT16 or target.kind != lite.FLOAT32 or source.dims != target.dims:
            raise NoRulesError("constants behind a DEQUANTIZE that are not float16")
        return operator.inputs[0]

    def _constant(self, place: int, *kinds: int) -> NDArray[np.generic]:
        tensor = self._graph.tensors[place]
        if place < 0 or tensor.values is None or tensor.kind not in kinds:
            raise NoRulesError("an operand that is no constant, or one of another type")
        return tensor.values

    def _floats(self, place: int) -> NDArray[np.generic]:
        """Float constants, which may be stored as float16."""
        if place in self._halves:
            return self._constant(self._halves[place], lite.FLOAT16)
        return self._constant(place, lite.FLOAT32)

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
        if self._integers(operator.output) != (lite.INT8, *_SOFTMAX_GRID):
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
            self._integer_dense(operator, activation == 1)
            return
        if self._graph.tensors[operator.output].kind != lite.FLOAT32:
            raise NoRulesError("floats that become integers on the way")
        bias = None
        if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
            bias = self._floats(operator.inputs[2])
        place = operator.inputs[1]
        if place >= 0 and self._graph.tensors[place].kind == lite.INT8:
            self._hybrid(operator, bias)
        else:
            self._steps.dense(self._floats(place).T, bias, more_terms=6)
        self._activate(activation)

    def _hybrid(self, operator: lite.Operator, bias: NDArray[np.generic] | None) -> None:
        """Dynamic range: rows quantised at run time, by LiteRT's own kernel (symmetric unless asked
        otherwise) or by XNNPACK's (never). Where it is not certain that the delegate takes the
        node, its step may be the wider one."""
        stored = self._constant(operator.inputs[1], lite.INT8)
        scales, plain = self._scales(operator.inputs[1], stored)
        alone = operator.given.whole(3, "?") == 1
        delegate = self._network.runtime == "xnnpack"
        sure = (
            not delegate
            or alone
            or (plain and operator.version in _DELEGATED and (bias is None or bias.ndim == 1))
        )
        share = Fraction(1, 510 if alone or (delegate and sure) else 254) * LOOSE
        weights = (stored.astype(np.float64) * scales[:, None]).T  # exact: 8 bits times 24
        if len(weights) >= _MOST_INPUTS:
            raise NoRulesError("a layer of so many inputs that sums of its products could overflow")
        self._steps.dense(weights, bias, more_terms=6, share=share, levels=sure)

    def _scales(self, place: int, stored: NDArray[np.generic]) -> tuple[NDArray[np.float64], bool]:
        """The scale of each output, and whether it is stored as XNNPACK reads it."""
        grid = self._graph.tensors[place].grid
        if (
            stored.ndim != 2
            or grid is None
            or len(grid.scales) not in (1, len(stored))
            or np.any(grid.zeros)
        ):
            raise NoRulesError("weights without a scale for each output, or with a zero point")
        if grid.dimension not in (0, 1) or (
            grid.dimension == 1 and len(grid.scales) > 1 and not self._square(stored)
        ):
            raise NoRulesError(f"weights quantised along dimension {grid.dimension}")
        plain = grid.dimension == 0 or len(grid.scales) == 1
        return np.broadcast_to(grid.scales.astype(np.float64), (len(stored),)), plain

    def _square(self, stored: NDArray[np.generic]) -> bool:
        """LiteRT's own kernels take scales as those of outputs whatever the dimension, which it
        checks by their number alone."""
        return stored.shape[0] == stored.shape[1] and self._grid is None

    def _integer_dense(self, operator: lite.Operator, relu: bool) -> None:
        given = self._grid or (-1, 0.0, 0)
        kind, scale, zero = given
        if kind != lite.INT8 or not self._rounded:
            raise NoRulesError("a dense layer over values that are not int8")
        stored = self._constant(operator.inputs[1], lite.INT8)
        scales, plain = self._scales(operator.inputs[1], stored)
        result = self._integers(operator.output)
        if not plain or result[0] != lite.INT8 or stored.shape[1:] != self._steps.shape:
            raise NoRulesError(
                "a dense layer of weights that do not fit, or whose outputs are not int8"
            )
        bias = np.zeros(len(stored), np.int64)
        if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
            held, grid = (
                self._constant(operator.inputs[2], lite.INT32),
                self._graph.tensors[operator.inputs[2]].grid,
            )
            if held.shape != bias.shape or (grid is not None and np.any(grid.zeros)):
                raise NoRulesError(
                    "a bias that is not one number an output, or that has a zero point"
                )
            bias = held.astype(np.int64)
        if self._layers and not self._layers[-1].relu:
            raise NoRulesError("dense layers without a ReLU between them")
        _check_sums(
            stored.astype(np.int64), bias, zero, scales * scale / result[1], self._network.runtime
        )
        self._layers.append(self._facts(stored, bias, scales, (given, result), relu))
        self._grid = result
        self._steps = Steps((len(stored),))

    def _facts(
        self,
        stored: NDArray[np.generic],
        bias: NDArray[np.int64],
        scales: NDArray[np.float64],
        grids: tuple[tuple[int, float, int], tuple[int, float, int]],
        relu: bool,
    ) -> Facts:
        """One layer; `grids`: of what it takes, of what it gives."""
        (_, step, zero), (_, out, end) = grids
        weights = (stored.astype(np.float64) * scales[:, None]).T  # exact: 8 bits times 24
        if not self._layers:
            placed = np.empty_like(weights)
            placed[raster(self._network)] = weights
            weights = placed
        given, made = Fraction(step), Fraction(out)
        unit = [Fraction(float(s)) * given for s in scales]
        doubled = min(Fraction(1, 2), 2 * max(unit) / made)  # built-in kernels round twice
        return Facts(
            weights,
            [int(value) * one for value, one in zip(bias, unit, strict=True)],
            relu,
            terms=8,
            shift=given / 2 * LOOSE if not self._layers else Fraction(0),
            input_cap=(127 - zero) * given,
            rounding=made * (Fraction(1, 2) + doubled) * LOOSE,
            cap=(127 - end) * made,
            floor=(-128 - end) * made,
        )


def _completed(sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """One size of -1 is what is left."""
    if list(sizes).count(-1) != 1:
        return sizes
    known = int(np.prod([size for size in sizes if size != -1], dtype=np.int64))
    whole = int(np.prod(shape, dtype=np.int64))
    return tuple((whole // known if known else 0) if size == -1 else size for size in sizes)


def _check_sums(
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    zero: int,
    ratio: NDArray[np.float64],
    runtime: str,
) -> None:
    """No partial sum, of inputs over their whole grid, leaves 31 bits, nor does one shifted left by
    a multiplier of 1 or more.

    XNNPACK refuses multipliers of 2^8; the reference kernel shifts in 64 bits, and only its product
    must fit 31."""
    if weights.shape[1] >= _MOST_INPUTS:
        raise NoRulesError("a layer of so many inputs that sums of its products could overflow")
    ends = np.stack([weights * (-128 - zero), weights * (127 - zero)])
    most = np.maximum(ends.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    least = np.minimum(ends.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    largest = np.maximum(most, -least)
    if largest.max() >= 2**31:
        raise NoRulesError("an accumulator that could overflow 32 bits")
    if ratio.min() < _LEAST_RATIO or ratio.max() >= (2.0**8 if runtime == "xnnpack" else 2.0**30):
        raise NoRulesError(f"a multiplier of {ratio.min():.3g} to {ratio.max():.3g}")
    power = 2.0 ** np.maximum(np.frexp(ratio * (1 + 2.0**-20))[1], 0)
    shifted = largest * (ratio * (1 + 2.0**-20) if runtime == "reference" else power)
    if shifted.max() >= 2**31 - 256:
        raise NoRulesError("an accumulator that overflows 32 bits once it is shifted")
