"""The enclosure of a dense `.tflite` on a LiteRT runtime: dynamic range, full int8, float16 and float32 files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.network import Layout, Network
from relrob.networks.enclosure import LOOSE, EnclosedLayer, Enclosure, float_softmax_gap, int8_softmax_gap
from relrob.networks.shapes import raster

log = logging.getLogger(__name__)

_Op: Final = schema.BuiltinOperator
_Activation: Final = schema.ActivationFunctionType
_TYPES: Final[dict[int, type[np.generic]]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}


class NotEnclosedError(Exception):
    """Why a file has no enclosure; a reason for the log, not for the user."""


@dataclass(frozen=True)
class _Scale:
    """How a tensor of integers stands for reals: (q - zero) * scale."""

    scale: float
    zero: int

    @property
    def top(self) -> float:
        """The largest real that int8 holds."""
        return (127 - self.zero) * self.scale

    @property
    def bottom(self) -> float:
        """The smallest real that int8 holds."""
        return (-128 - self.zero) * self.scale


def tflite_enclosure(network: Network, data: bytes) -> Enclosure | None:
    """The enclosure of the file on `network.runtime`, or None, with the reason in the log, when it is not such a network."""
    try:
        return _Reader(network, data).read()
    except NotEnclosedError as reason:
        log.info("%s has no enclosure on %s: %s", network.path, network.runtime, reason)
        return None


class _Reader:
    """Walks the operators from the input to the output."""

    def __init__(self, network: Network, data: bytes) -> None:
        model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
        if len(model.subgraphs) != 1:
            raise NotEnclosedError("several subgraphs")
        self._network, self._model, self._graph = network, model, model.subgraphs[0]
        self._halves: dict[int, int] = {}
        self._layers: list[EnclosedLayer] = []
        self._gap = 0.0

    def read(self) -> Enclosure:
        """Every operator in order; each must take what the one before it gave."""
        at = int(self._graph.inputs[0])
        self._start = _real_scale(self._graph.tensors[at])
        for operator in self._graph.operators:
            code = self._model.operatorCodes[operator.opcodeIndex]
            kind = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
            source, target = int(operator.inputs[0]), int(operator.outputs[0])
            if kind == _Op.DEQUANTIZE and self._constant(source) is not None:
                self._halves[target] = source
                continue
            if kind in (_Op.SHAPE, _Op.STRIDED_SLICE, _Op.PACK):
                continue  # the batch size, for the shape of a RESHAPE
            if source != at:
                raise NotEnclosedError("operators that do not follow one another")
            if self._gap:
                raise NotEnclosedError("operators after a softmax")
            self._step(kind, operator, source, target)
            at = target
        if at != int(self._graph.outputs[0]) or not self._layers:
            raise NotEnclosedError("no dense layer before the output")
        if [layer.relu for layer in self._layers] != [True] * (len(self._layers) - 1) + [False]:
            raise NotEnclosedError("layers other than ReLU, ..., ReLU, none")
        return Enclosure(tuple(self._layers), self._gap, probabilities=self._gap > 0)

    def _step(self, kind: int, operator: Any, source: int, target: int) -> None:
        """One operator."""
        if kind == _Op.FULLY_CONNECTED:
            self._layers.append(self._dense(operator, source, target))
        elif kind == _Op.SOFTMAX:
            integer = _real_scale(self._graph.tensors[target]) is not None
            if float(operator.builtinOptions.beta) != 1.0:
                raise NotEnclosedError("a softmax with beta other than 1")
            self._gap = int8_softmax_gap(self._network.classes) if integer else float_softmax_gap()
        elif kind == _Op.QUANTIZE and not self._layers:
            self._start = _real_scale(self._graph.tensors[target])
        elif kind == _Op.DEQUANTIZE and self._layers:
            return
        elif kind != _Op.RESHAPE:
            raise NotEnclosedError(f"operator {kind}")

    def _dense(self, operator: Any, source: int, target: int) -> EnclosedLayer:
        """A FULLY_CONNECTED operator."""
        options = operator.builtinOptions
        if options.fusedActivationFunction not in (_Activation.NONE, _Activation.RELU):
            raise NotEnclosedError("an activation other than ReLU")
        stored, scales = self._weights(int(operator.inputs[1]))
        given, result = _real_scale(self._graph.tensors[source]), _real_scale(self._graph.tensors[target])
        real = stored.astype(np.float64) * (scales.astype(np.float64)[:, None] if len(scales) else 1.0)
        weights = real.T if self._layers else self._raster(real).T
        bias = self._bias(operator, given, scales, len(real))
        relu = options.fusedActivationFunction == _Activation.RELU
        if given is None:
            share = self._dynamic_share(options) if stored.dtype == np.int8 else 0.0
            return EnclosedLayer(weights, bias, relu, len(weights) + 6, share=share * LOOSE)
        if result is None or stored.dtype != np.int8:
            raise NotEnclosedError("integers into a float kernel")
        first = not self._layers
        ratio = float(np.max(scales)) * given.scale / result.scale
        return EnclosedLayer(
            weights,
            bias,
            relu,
            terms=8,
            moved=given.scale / 2 * LOOSE if first else 0.0,
            reach=given.top,
            rounding=result.scale * (0.5 + min(0.5, 2 * ratio)) * LOOSE,
            cap=result.top,
            floor=result.bottom,
        )

    def _dynamic_share(self, options: Any) -> float:
        """Half a step of the row's scale, over its maximum: 1/255 of it with a zero point, 1/127 without."""
        asymmetric = self._network.runtime == "xnnpack" or bool(options.asymmetricQuantizeInputs)
        return 0.5 / 255 if asymmetric else 0.5 / 127

    def _weights(self, tensor: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Stored values (n_out, n_in) and their scales, one an output; none for floats."""
        tensor = self._halves.get(tensor, tensor)
        values = self._constant(tensor)
        if values is None or values.ndim != 2:
            raise NotEnclosedError("weights that are not a constant matrix")
        if values.dtype != np.int8:
            return values, np.zeros(0)
        quantisation = self._graph.tensors[tensor].quantization
        scales = np.asarray(quantisation.scale, dtype=np.float32)
        if quantisation.zeroPoint is not None and np.any(np.asarray(quantisation.zeroPoint)):
            raise NotEnclosedError("weights with a zero point")
        return values, np.broadcast_to(scales, (len(values),))

    def _bias(self, operator: Any, given: _Scale | None, scales: NDArray[Any], outputs: int) -> NDArray[Any]:
        """Real biases (n_out,)."""
        if len(operator.inputs) < 3 or int(operator.inputs[2]) < 0:
            return np.zeros(outputs)
        place = int(operator.inputs[2])
        values = self._constant(self._halves.get(place, place))
        if values is None:
            raise NotEnclosedError("a bias that is no constant")
        if values.dtype != np.int32:
            return values.astype(np.float64)
        if given is None:
            raise NotEnclosedError("an integer bias in a float kernel")
        return values.astype(np.float64) * (scales.astype(np.float64) * given.scale)

    def _raster(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Columns (n_out, n_in) of the first layer in (H, W, C) order."""
        if rows.shape[1] != self._network.inputs:
            raise NotEnclosedError("a first layer that does not read every pixel")
        if self._network.layout is Layout.HWC or self._network.image_shape[2] == 1:
            return rows
        placed = np.empty_like(rows)
        placed[:, raster(self._network.layout, self._network.image_shape)] = rows
        return placed

    def _constant(self, tensor: int) -> NDArray[Any] | None:
        """The values of a constant, None for what is computed."""
        described = self._graph.tensors[tensor]
        data = self._model.buffers[described.buffer].data
        if data is None or not len(data) or described.type not in _TYPES:
            return None
        raw = np.asarray(data, dtype=np.uint8).tobytes()
        return np.frombuffer(raw, dtype=_TYPES[described.type]).reshape(described.shape)


def _real_scale(tensor: Any) -> _Scale | None:
    """The scale of an int8 tensor, None for floats; anything else has no enclosure."""
    if tensor.type == schema.TensorType.FLOAT32:
        return None
    if tensor.type != schema.TensorType.INT8:
        raise NotEnclosedError("activations that are neither float32 nor int8")
    quantisation = tensor.quantization
    return _Scale(float(quantisation.scale[0]), int(quantisation.zeroPoint[0]))
