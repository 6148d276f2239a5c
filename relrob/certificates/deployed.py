"""A network as the checker reads it: exact weights, and how far its runtime may stray from them. Shares no code with the bounds.

Float networks come from relrob's loaders (`relrob.networks.load`), which give the float32 weights of a file; dense `.tflite` files
are read here from their flat buffer. What each kernel may do is written in docs/certificates.md, "How far a runtime strays".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.network import Arithmetic, Layout, Network
from relrob.networks.content import runs_weights
from relrob.networks.kernels.fixed import FixedNetwork
from relrob.networks.kernels.fixed_file import fixed_of

_Op: Final = schema.BuiltinOperator
_BATCH: Final = (_Op.SHAPE, _Op.STRIDED_SLICE, _Op.PACK)  # the batch size, for a RESHAPE
_NUMPY: Final = {
    schema.TensorType.FLOAT32: "<f4",
    schema.TensorType.FLOAT16: "<f2",
    schema.TensorType.INT8: "<i1",
    schema.TensorType.INT32: "<i4",
}
LOOSE: Final = Fraction(4097, 4096)  # on every quantisation step: float32 arithmetic forms scales and quotients


class NoRulesError(Exception):
    """The checker has no rules for this network."""


@dataclass(frozen=True, eq=False)
class Facts:
    """A dense layer: exact `weights` (n_in, n_out) float64 and `bias`; float32 operations on the way to an output (`terms`;
    0 over the reals).

    Inputs h >= 0 are moved by at most share * max(h) + shift, and by what they are above `reach`; outputs are stored with an error
    of at most `rounding` and cut to [floor, cap]. None: no such end.
    """

    weights: NDArray[np.float64]
    bias: list[Fraction]
    relu: bool
    terms: int
    share: Fraction = Fraction(0)
    shift: Fraction = Fraction(0)
    reach: Fraction | None = None
    rounding: Fraction = Fraction(0)
    cap: Fraction | None = None
    floor: Fraction | None = None


@dataclass(frozen=True, eq=False)
class Deployed:
    """The layers, and what ends the network: "logits", "float softmax" or "int8 softmax"."""

    layers: tuple[Facts, ...]
    end: str


def read_deployed(network: Network) -> Deployed:
    """The exact network behind a loaded one. Raises NoRulesError."""
    if network.dense is not None and network.arithmetic is not Arithmetic.INTEGER:
        plain = not network.dense.softmax or runs_weights(network)
        rounds = network.arithmetic is Arithmetic.FLOAT32
        each = [(layer.weights.astype(np.float64), layer.bias, layer.relu) for layer in network.dense.layers]
        layers = tuple(Facts(w, [Fraction(float(v)) for v in b], relu, rounds * (len(w) + 2)) for w, b, relu in each)
        found = Deployed(layers, "logits" if plain else "float softmax")
    elif network.format == "tflite":
        found = _LiteRtFile(network, Path(network.path).read_bytes()).read()
    elif (fixed := fixed_of(network)) is not None:
        found = Deployed(tuple(_fixed(fixed)), "logits")
    else:
        raise NoRulesError(f"bounds on a {network.format} file whose weights relrob does not read as a float MLP")
    if [layer.relu for layer in found.layers] != [True] * (len(found.layers) - 1) + [False]:
        raise NoRulesError("dense layers that are not ReLU, ..., ReLU, none")
    return found


def _fixed(network: FixedNetwork) -> Iterator[Facts]:
    """Layers whose outputs are integers; the first takes pixels, which become codes within half a code."""
    if network.pixel_scale > network.high or network.low > 0:
        raise NoRulesError("pixels whose codes are cut")
    for number, layer in enumerate(network.layers):
        if number < len(network.layers) - 1 and layer.low != 0:
            raise NoRulesError("a hidden fixed-point layer without a ReLU")
        scale, unit = (network.pixel_scale if number == 0 else 1), Fraction(1, 2**layer.shift)
        if int(np.abs(layer.weights).max()) * scale >= 2**53:
            raise NoRulesError("fixed-point weights that float64 does not hold")
        yield Facts(
            layer.weights.astype(np.float64) * scale / 2.0**layer.shift,
            [Fraction(int(b)) * 2**layer.bias_shift * unit for b in layer.bias],
            number < len(network.layers) - 1,
            terms=1,
            shift=Fraction(1, 2 * scale) * LOOSE if number == 0 else Fraction(0),
            rounding=Fraction(1, 2) if layer.shift else Fraction(0),
            cap=Fraction(layer.high),
            floor=Fraction(layer.low),
        )


class _LiteRtFile:
    """A chain of RESHAPE, QUANTIZE, FULLY_CONNECTED, SOFTMAX and DEQUANTIZE."""

    def __init__(self, network: Network, data: bytes) -> None:
        self._model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
        if len(self._model.subgraphs) != 1:
            raise NoRulesError("several subgraphs")
        self._network, self._graph = network, self._model.subgraphs[0]

    def read(self) -> Deployed:
        """Follow the value from the input to the output."""
        graph, layers, end = self._graph, list[Facts](), "logits"
        value, unpacked = int(graph.inputs[0]), dict[int, int]()
        for operator in graph.operators:
            code = self._model.operatorCodes[operator.opcodeIndex]
            kind = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
            source, target = int(operator.inputs[0]), int(operator.outputs[0])
            if kind == _Op.DEQUANTIZE and self._constant(source) is not None:
                unpacked[target] = source
            elif kind not in _BATCH:
                if source != value or end != "logits":
                    raise NoRulesError("a graph that is not a chain of dense layers")
                value = target
                if kind == _Op.FULLY_CONNECTED:
                    layers.append(self._dense(operator, unpacked, first=not layers))
                elif kind == _Op.SOFTMAX and layers and float(operator.builtinOptions.beta) == 1:
                    end = "float softmax" if self._scale(target) is None else "int8 softmax"
                elif not (kind == _Op.RESHAPE or kind == (_Op.DEQUANTIZE if layers else _Op.QUANTIZE)):
                    raise NoRulesError(f"the operator {kind} at this place")
        if value != int(graph.outputs[0]) or not layers:
            raise NoRulesError("a graph that does not end in dense layers")
        return Deployed(tuple(layers), end)

    def _dense(self, operator: Any, unpacked: dict[int, int], first: bool) -> Facts:
        places = [unpacked.get(int(place), int(place)) for place in operator.inputs]
        stored, tensor = self._constant(places[1]), self._graph.tensors[places[1]]
        activation = operator.builtinOptions.fusedActivationFunction
        if stored is None or stored.ndim != 2 or activation not in (0, 1):
            raise NoRulesError("a dense layer without constant weights, or with an activation other than ReLU")
        whole = stored.dtype == np.int8
        scales = np.ones(1)
        if whole:
            scales = np.asarray(tensor.quantization.scale, np.float32).astype(np.float64)
            zeros = tensor.quantization.zeroPoint
            if zeros is not None and np.any(np.asarray(zeros)):
                raise NoRulesError("weights with a zero point")
        weights = (stored.astype(np.float64) * scales[:, None]).T  # exact: 8 bits times 24
        weights = self._raster(weights) if first else weights
        given, result = self._scale(int(operator.inputs[0])), self._scale(int(operator.outputs[0]))
        unit = [Fraction(s) * (given[0] if given else 1) for s in np.broadcast_to(scales, len(stored)).tolist()]
        bias = self._bias(places[2] if len(places) > 2 else -1, unit, given is not None)
        if given is None:
            asymmetric = self._network.runtime == "xnnpack" or operator.builtinOptions.asymmetricQuantizeInputs
            share = Fraction(1, 510 if asymmetric else 254) * LOOSE if whole else Fraction(0)
            return Facts(weights, bias, activation == 1, len(weights) + 6, share=share)
        if result is None or not whole:
            raise NoRulesError("integers that enter a float kernel")
        doubled = min(Fraction(1, 2), 2 * max(unit) / result[0])  # builtin kernels round twice
        return Facts(
            weights,
            bias,
            activation == 1,
            terms=8,
            shift=given[0] / 2 * LOOSE if first else Fraction(0),
            reach=(127 - given[1]) * given[0],
            rounding=result[0] * (Fraction(1, 2) + doubled) * LOOSE,
            cap=(127 - result[1]) * result[0],
            floor=(-128 - result[1]) * result[0],
        )

    def _bias(self, place: int, unit: list[Fraction], integers: bool) -> list[Fraction]:
        """Exact biases: float32, or int32 in units of input scale times weight scale."""
        if place < 0:
            return [Fraction(0)] * len(unit)
        values = self._constant(place)
        if values is None or values.size != len(unit) or (values.dtype == np.int32) != integers:
            raise NoRulesError("a bias that is no constant, or of another type than its layer")
        if integers:
            return [int(v) * u for v, u in zip(values.ravel(), unit, strict=True)]
        return [Fraction(float(v)) for v in values.ravel()]

    def _raster(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of the first layer in (H, W, C) order."""
        height, width, channels = self._network.image_shape
        if len(weights) != height * width * channels:
            raise NoRulesError("a first layer that does not read every pixel")
        if self._network.layout is Layout.HWC or channels == 1:
            return weights
        return weights.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(len(weights), -1)

    def _constant(self, place: int) -> NDArray[Any] | None:
        tensor = self._graph.tensors[place]
        data = self._model.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type not in _NUMPY:
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), _NUMPY[tensor.type]).reshape(tensor.shape)

    def _scale(self, place: int) -> tuple[Fraction, int] | None:
        """(scale, zero point) of an int8 tensor, None for float32."""
        tensor = self._graph.tensors[place]
        if tensor.type == schema.TensorType.FLOAT32:
            return None
        if tensor.type != schema.TensorType.INT8:
            raise NoRulesError("activations that are neither float32 nor int8")
        return Fraction(float(tensor.quantization.scale[0])), int(tensor.quantization.zeroPoint[0])
