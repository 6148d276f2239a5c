"""Edits of the values of `.tflite` files: scales, zero points, axes, biases, options, versions.

An edit returns True where it applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from relrob.testing.files_tflite import ACT, KIND, OP, TfliteDraft

Rng = np.random.Generator
Edit = Callable[[TfliteDraft, Rng], bool]
NAMED: Final = {value: name for name, value in vars(OP).items() if isinstance(value, int)}


def pick(rng: Rng, things: list[Any]) -> Any:
    """One of them, None of none."""
    return things[int(rng.integers(len(things)))] if things else None


def activations(made: TfliteDraft, kind: int) -> list[int]:
    """Tensors of a type that operators compute or the input gives."""
    return [
        at for at, held in enumerate(made.tensors) if held.type == kind and not made.constant(at)
    ]


def weights_of(made: TfliteDraft, rng: Rng, kind: int | None = None) -> int | None:
    """The constant weights of some dense layer."""
    places = [int(op.inputs[1]) for op in made.dense]
    found = [
        at for at in places if made.constant(at) and (kind is None or made.tensors[at].type == kind)
    ]
    return None if not found else int(pick(rng, found))


def bias_of(made: TfliteDraft, rng: Rng) -> int | None:
    """The constant bias of some dense layer."""
    found = [
        int(op.inputs[2]) for op in made.dense if len(op.inputs) > 2 and int(op.inputs[2]) >= 0
    ]
    found = [at for at in found if made.constant(at)]
    return None if not found else int(pick(rng, found))


def _scaled(rng: Rng, made: TfliteDraft, tensors: list[int], factors: tuple[float, ...]) -> bool:
    """Multiply the scales of one of the tensors."""
    places = [at for at in tensors if made.tensors[at].quantization is not None]
    at = pick(rng, places)
    if at is None:
        return False
    held = made.tensors[at].quantization
    held.scale = (np.asarray(held.scale, np.float32) * np.float32(rng.choice(factors))).astype(
        np.float32
    )
    return True


def weight_scale(made: TfliteDraft, rng: Rng) -> bool:
    """A scale changed by a power of two, or by a little."""
    place = weights_of(made, rng, KIND.INT8)
    return place is not None and _scaled(rng, made, [place], (0.25, 0.5, 2.0, 4.0, 1.01, 0.99))


def activation_scale(made: TfliteDraft, rng: Rng) -> bool:
    """The scale of any int8 tensor between; biases then have another meaning."""
    return _scaled(rng, made, activations(made, KIND.INT8), (0.5, 2.0, 4.0, 0.25, 1.3, 0.7))


def input_scale(made: TfliteDraft, rng: Rng) -> bool:
    """A coarser or finer grid of pixels."""
    ends = [at for at in made.inputs if made.tensors[at].quantization is not None]
    return _scaled(rng, made, ends, (85.0, 3.0, 0.5, 2.0, 255 / 254, 25.5))


def bias_scale(made: TfliteDraft, rng: Rng) -> bool:
    """Other than the product of the two others."""
    place = bias_of(made, rng)
    return place is not None and _scaled(rng, made, [place], (2.0, 0.5, 1.0000001, 1.01, 100.0))


def odd_scale(made: TfliteDraft, rng: Rng) -> bool:
    """Tiny, huge, negative, 0."""
    everything = [at for at, held in enumerate(made.tensors) if held.quantization is not None]
    return _scaled(
        rng, made, everything, (1e-9, 1e9, -1.0, 0.0, 2.0**20, 2.0**-20, 1e30, float("nan"))
    )


def _zeroed(rng: Rng, made: TfliteDraft, tensors: list[int], values: list[int]) -> bool:
    at = pick(rng, [at for at in tensors if made.tensors[at].quantization is not None])
    if at is None:
        return False
    held = made.tensors[at].quantization
    held.zeroPoint = np.full(np.shape(held.zeroPoint), int(rng.choice(values)), np.int64)
    return True


def zero_point(made: TfliteDraft, rng: Rng) -> bool:
    """The zero point of an int8 tensor between, within its range."""
    return _zeroed(rng, made, activations(made, KIND.INT8), [-128, -127, 0, 1, 5, 127, -100])


def odd_zero_point(made: TfliteDraft, rng: Rng) -> bool:
    """Beyond the type's range."""
    return _zeroed(
        rng, made, activations(made, KIND.INT8), [-129, 128, 300, -1000, 2**31, 2**33, 255]
    )


def weight_zero_point(made: TfliteDraft, rng: Rng) -> bool:
    """The zero point of weights, which the format keeps at 0."""
    place = weights_of(made, rng, KIND.INT8)
    return place is not None and _zeroed(rng, made, [place], [1, -3, 50, -128])


def axis(made: TfliteDraft, rng: Rng) -> bool:
    """The quantised dimension: 1, where 0 is the outputs'; of a square layer if there is one, else
    other lengths are refused."""
    places = [
        int(op.inputs[1]) for op in made.dense if made.tensors[int(op.inputs[1])].type == KIND.INT8
    ]
    square = [at for at in places if made.tensors[at].shape[0] == made.tensors[at].shape[1]]
    place = pick(rng, square or places)
    if place is None:
        return False
    held, n_out = made.tensors[place].quantization, made.tensors[place].shape[0]
    if square and made.base.startswith("dynamic"):
        held.scale = np.broadcast_to(np.asarray(held.scale, np.float32), (n_out,)).copy()
        held.zeroPoint = np.zeros(n_out, np.int64)
    held.quantizedDimension = 1 if square or len(held.scale) == 1 or rng.random() < 0.2 else 0
    return bool(held.quantizedDimension == 1)


def per_channel(made: TfliteDraft, rng: Rng) -> bool:
    """One scale for each output instead of one in all, or the first instead of them all; and the
    bias with it."""
    place = weights_of(made, rng, KIND.INT8)
    if place is None:
        return False
    held, n_out = made.tensors[place].quantization, made.tensors[place].shape[0]
    for at in (
        place,
        *(
            int(op.inputs[2])
            for op in made.dense
            if int(op.inputs[1]) == place and len(op.inputs) > 2
        ),
    ):
        other = made.tensors[at].quantization if at >= 0 else None
        if other is not None:
            other.scale = (
                other.scale[:1].copy() if len(held.scale) > 1 and at != place else other.scale
            )
            other.scale = (
                np.repeat(other.scale[:1], n_out)
                if len(held.scale) == 1 and at != place
                else other.scale
            )
            other.zeroPoint = np.zeros(len(other.scale), np.int64)
    held.scale = (
        held.scale[:1].copy()
        if len(held.scale) > 1
        else np.repeat(held.scale, n_out) * rng.choice([1, 2], n_out)
    )
    held.scale, held.zeroPoint = held.scale.astype(np.float32), np.zeros(len(held.scale), np.int64)
    return True


def bias_moved(made: TfliteDraft, rng: Rng) -> bool:
    """A bias moved by a little, within its own range."""
    place = bias_of(made, rng)
    if place is None or not made.readable(place):
        return False
    values = made.values(place)
    size = max(float(np.abs(values).max()), 1.0 if values.dtype == np.int32 else 0.1)
    made.store(place, values + rng.uniform(-1, 1, values.shape) * size)
    return True


def bias_huge(made: TfliteDraft, rng: Rng) -> bool:
    """Near the end of int32; 1e8 and more in floats."""
    place = bias_of(made, rng)
    if place is None or not made.readable(place):
        return False
    values = made.values(place)
    if values.dtype == np.int32:
        end = int(
            rng.choice([2**31 - 1, -(2**31), 2**31 - 500, 2**31 - 20_000, 2**30, -(2**31) + 3000])
        )
        values.reshape(-1)[int(rng.integers(values.size))] = end
        if rng.random() < 0.3:
            values[...] = end
    else:
        values.reshape(-1)[int(rng.integers(values.size))] = rng.choice(
            [1e8, -1e8, 1e30, 3e38, 1e4]
        )
    made.store(place, values)
    return True


def extremes(made: TfliteDraft, rng: Rng) -> bool:
    """Weights at the ends of int8, -128 among them."""
    place = weights_of(made, rng, KIND.INT8)
    if place is None or not made.readable(place):
        return False
    values = made.values(place)
    hit = rng.random(values.shape) < 0.2
    made.store(place, np.where(hit, rng.choice([-128, 127, -127], values.shape), values))
    return True


def no_bias(made: TfliteDraft, rng: Rng) -> bool:
    """A dense layer of two inputs, or with -1 for the third."""
    full = pick(rng, made.dense)
    full.inputs = [*list(full.inputs)[:2], *([-1] if rng.random() < 0.5 else [])]
    return True


def bias_of_two_dimensions(made: TfliteDraft, rng: Rng) -> bool:
    """(1, n)."""
    place = bias_of(made, rng)
    if place is not None:
        made.tensors[place].shape = [1, *made.tensors[place].shape]
    return place is not None


def no_options(made: TfliteDraft, rng: Rng) -> bool:
    """An operator without its builtin options."""
    held = pick(rng, [op for op in made.operators if op.builtinOptions is not None])
    if held is None:
        return False
    held.builtinOptions, held.builtinOptionsType = None, 0
    return True


def version(made: TfliteDraft, rng: Rng) -> bool:
    """Another version of some operator."""
    code = made.codes[int(pick(rng, made.operators).opcodeIndex)]
    code.version = int(rng.choice([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]))
    return True


def _option(made: TfliteDraft, rng: Rng, name: str, values: list[Any]) -> bool:
    found = [op for op in made.dense if op.builtinOptions is not None]
    full = pick(rng, found)
    if full is None:
        return False
    setattr(full.builtinOptions, name, pick(rng, values))
    return True


def keep_dims(made: TfliteDraft, rng: Rng) -> bool:
    """keep_num_dims."""
    return _option(made, rng, "keepNumDims", [True])


def asymmetric(made: TfliteDraft, rng: Rng) -> bool:
    """asymmetric_quantize_inputs."""
    return _option(made, rng, "asymmetricQuantizeInputs", [True])


def activation(made: TfliteDraft, rng: Rng) -> bool:
    """A fused activation other than ReLU, or none, on some layer."""
    kinds = [ACT.RELU6, ACT.RELU_N1_TO_1, ACT.TANH, ACT.SIGN_BIT, ACT.NONE, ACT.RELU]
    return _option(made, rng, "fusedActivationFunction", kinds)


def weights_format(made: TfliteDraft, rng: Rng) -> bool:
    """SHUFFLED4x16INT8."""
    return _option(made, rng, "weightsFormat", [1])


def bias_type(made: TfliteDraft, rng: Rng) -> bool:
    """quantized_bias_type."""
    return _option(made, rng, "quantizedBiasType", [KIND.INT32, KIND.INT64, KIND.FLOAT32])


def beta(made: TfliteDraft, rng: Rng) -> bool:
    """A softmax of another slope."""
    soft = [op for op in made.operators if isinstance(op.builtinOptions, schema.SoftmaxOptionsT)]
    if not soft:
        return False
    soft[0].builtinOptions.beta = float(rng.choice([0.0, -1.0, 0.5, 2.0, 100.0, 1e-6]))
    return True


VALUES: Final[dict[str, tuple[Edit, bool]]] = {
    "weight scale": (weight_scale, True),
    "activation scale": (activation_scale, True),
    "input scale": (input_scale, True),
    "bias scale": (bias_scale, False),
    "odd scale": (odd_scale, False),
    "zero point": (zero_point, True),
    "odd zero point": (odd_zero_point, False),
    "weight zero point": (weight_zero_point, False),
    "axis": (axis, True),
    "per channel or tensor": (per_channel, True),
    "bias moved": (bias_moved, True),
    "bias huge": (bias_huge, False),
    "extreme weights": (extremes, True),
    "no bias": (no_bias, True),
    "bias of two dimensions": (bias_of_two_dimensions, False),
    "no options": (no_options, False),
    "version": (version, False),
    "keep_num_dims": (keep_dims, False),
    "asymmetric inputs": (asymmetric, False),
    "activation": (activation, False),
    "weights format": (weights_format, False),
    "bias type": (bias_type, False),
    "beta": (beta, False),
}
