"""Edits of `.tflite` graphs: operators put between, tensors shared, outputs reordered, sparsity."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from relrob.testing.files_tflite import KIND, OP, TfliteDraft, quantisation, reshaped
from relrob.testing.values_tflite import VALUES, Edit, Rng, activations, pick, weights_of


def _between(made: TfliteDraft, rng: Rng, kind: int) -> int | None:
    """A computed tensor of that type, or the input, that something reads."""
    read = {int(place) for op in made.operators for place in op.inputs} | set(made.outputs)
    found: int | None = pick(rng, [at for at in activations(made, kind) if at in read])
    return found


def _twin(
    made: TfliteDraft, tensor: int, kind: int | None = None, scale: float = 1.0, shift: int = 0
) -> int:
    """A tensor of the same shape, its grid `scale` times as coarse and shifted."""
    held = made.tensors[tensor]
    target = made.tensor(
        tuple(held.shape), held.type if kind is None else kind, open=held.shapeSignature is not None
    )
    if held.quantization is not None and kind is None:
        old = held.quantization
        made.tensors[target].quantization = quantisation(
            np.asarray(old.scale, np.float32) * np.float32(scale), int(old.zeroPoint[0]) + shift
        )
    return target


def quantize_same(made: TfliteDraft, rng: Rng) -> bool:
    """QUANTIZE to the same grid."""
    at = _between(made, rng, KIND.INT8)
    if at is not None:
        made.splice(at, _twin(made, at), OP.QUANTIZE, schema.QuantizeOptionsT())
    return at is not None


def quantize_other(made: TfliteDraft, rng: Rng) -> bool:
    """QUANTIZE to another grid, and sometimes back."""
    at = _between(made, rng, KIND.INT8)
    if at is None:
        return False
    other = _twin(
        made,
        at,
        scale=float(rng.choice([made.coarse, made.coarse, 0.5, 1.3, 2])),
        shift=int(rng.choice([0, 0, 3])),
    )
    made.splice(at, other, OP.QUANTIZE, schema.QuantizeOptionsT())
    if rng.random() < 0.6:
        back = _twin(made, at)
        made.splice(other, back, OP.QUANTIZE, schema.QuantizeOptionsT())
    return True


def quantize_first(made: TfliteDraft, rng: Rng) -> bool:
    """Pixels through a coarser grid before the file's own: QUANTIZE of the input, twice."""
    whole = [
        op for op in made.operators if made.codes[int(op.opcodeIndex)].builtinCode == OP.QUANTIZE
    ]
    if not whole or made.tensors[int(whole[0].outputs[0])].type != KIND.INT8:
        return False
    at = int(whole[0].outputs[0])
    coarse = _twin(made, at, scale=max(made.coarse, 2.0))
    made.splice(int(whole[0].inputs[0]), coarse, OP.QUANTIZE, schema.QuantizeOptionsT())
    return True


def there_and_back(made: TfliteDraft, rng: Rng) -> bool:
    """DEQUANTIZE and QUANTIZE between, or QUANTIZE and DEQUANTIZE of floats."""
    at = _between(made, rng, KIND.INT8)
    if at is not None:
        wide = _twin(made, at, KIND.FLOAT32)
        made.splice(at, wide, OP.DEQUANTIZE)
        made.splice(
            wide,
            _twin(made, at, scale=float(rng.choice([1, 2, 0.5]))),
            OP.QUANTIZE,
            schema.QuantizeOptionsT(),
        )
        return True
    at = _between(made, rng, KIND.FLOAT32)
    if at is None:
        return False
    narrow = _twin(made, at, KIND.INT8)
    made.tensors[narrow].quantization = quantisation(
        np.array([rng.choice([1 / 255, 1 / 16, 0.1, 0.5])]), -128
    )
    made.splice(at, narrow, OP.QUANTIZE, schema.QuantizeOptionsT())
    made.splice(narrow, _twin(made, at, KIND.FLOAT32), OP.DEQUANTIZE)
    return True


def reshape_same(made: TfliteDraft, rng: Rng) -> bool:
    """RESHAPE to the same shape and grid."""
    return _reshape(made, rng, 1.0, 0)


def reshape_other(made: TfliteDraft, rng: Rng) -> bool:
    """RESHAPE between two grids: the bytes are copied."""
    return _reshape(made, rng, float(rng.choice([2, 0.5, 1.5, 3])), int(rng.choice([0, 0, 7])))


def _reshape(made: TfliteDraft, rng: Rng, scale: float, shift: int) -> bool:
    at = _between(made, rng, KIND.INT8 if scale != 1 or rng.random() < 0.5 else KIND.FLOAT32)
    if at is None:
        return False
    shape = [int(n) for n in made.tensors[at].shape]
    options: Any = schema.ReshapeOptionsT()
    options.newShape = [-1, *shape[1:]]
    into = made.tensor((len(shape),), KIND.INT32, options.newShape)
    made.splice(at, _twin(made, at, scale=scale, shift=shift), OP.RESHAPE, options, (into,))
    return True


def dequantised_weights(made: TfliteDraft, rng: Rng) -> bool:
    """int8 weights behind DEQUANTIZE, for a float kernel; every layer of them, or one."""
    if not made.base.startswith("dynamic"):
        return False
    for full in made.dense if rng.random() < 0.7 else [pick(rng, made.dense)]:
        place = int(full.inputs[1])
        wide = made.tensor(tuple(made.tensors[place].shape), KIND.FLOAT32)
        made.op(OP.DEQUANTIZE, [place], [wide], version=2, at=0)
        full.inputs = [int(full.inputs[0]), wide, *list(full.inputs)[2:]]
    return True


def sparse(made: TfliteDraft, rng: Rng) -> bool:
    """Weights stored as rows of column numbers; sometimes other columns than in order."""
    place = weights_of(made, rng)
    if (
        place is None
        or not made.readable(place)
        or made.tensors[place].type not in (KIND.FLOAT32, KIND.INT8)
    ):
        return False
    values, held = made.values(place), made.tensors[place]
    values = np.where(rng.random(values.shape) < 0.3, 0, values) if rng.random() < 0.5 else values
    kept = values != 0
    order = [0, 1] if rng.random() < 0.7 else [1, 0]
    if order == [1, 0]:
        kept, values = kept.T, values.T
    first, second = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    first.format, first.denseSize = schema.DimensionType.DENSE, len(kept)
    second.format = schema.DimensionType.SPARSE_CSR
    segments, indices = schema.Int32VectorT(), schema.Int32VectorT()
    segments.values = [0, *np.cumsum(kept.sum(axis=1)).tolist()]
    indices.values = np.nonzero(kept)[1].tolist()
    # The values are stored in one order and read in another.
    if rng.random() < 0.4:
        indices.values = [kept.shape[1] - 1 - n for n in indices.values]
    second.arraySegments, second.arraySegmentsType = segments, schema.SparseIndexVector.Int32Vector
    second.arrayIndices, second.arrayIndicesType = indices, schema.SparseIndexVector.Int32Vector
    found: Any = schema.SparsityParametersT()
    found.traversalOrder, found.blockMap, found.dimMetadata = order, [], [first, second]
    held.sparsity = found
    data = np.ascontiguousarray(
        values[kept], {KIND.FLOAT32: np.float32, KIND.INT8: np.int8}[held.type]
    ).tobytes()
    if kept.all() or rng.random() < 0.8:
        made.buffers[held.buffer].data = np.frombuffer(data, np.uint8)
    return True


def outputs_turned(made: TfliteDraft, rng: Rng) -> bool:
    """Two outputs, the hidden one first or last."""
    hidden = int(pick(rng, made.dense).outputs[0])
    made.outputs = [hidden, *made.outputs] if rng.random() < 0.5 else [*made.outputs, hidden]
    return True


def output_early(made: TfliteDraft, rng: Rng) -> bool:
    """The output is that of the last dense layer: the operators after it are dead."""
    end = int(made.dense[-1].outputs[0])
    changed = made.outputs != [end]
    made.outputs = [end]
    return changed


def shared(made: TfliteDraft, rng: Rng) -> bool:
    """Two layers read one tensor, or two tensors one buffer: weights or biases of one shape."""
    place = int(rng.integers(1, 3))
    found: dict[tuple[Any, ...], list[Any]] = {}
    for full in made.dense:
        if (
            len(full.inputs) > place
            and int(full.inputs[place]) >= 0
            and made.constant(int(full.inputs[place]))
        ):
            held = made.tensors[int(full.inputs[place])]
            found.setdefault((*(int(n) for n in held.shape), held.type), []).append(full)
    pair = next((group[:2] for group in found.values() if len(group) > 1), None)
    if pair is None:
        return False
    first, second = (int(full.inputs[place]) for full in pair)
    if rng.random() < 0.5:
        pair[1].inputs = [first if n == second else n for n in pair[1].inputs]
    else:
        made.tensors[second].buffer = made.tensors[first].buffer
    return True


def batch_reduced(made: TfliteDraft, rng: Rng) -> bool:
    """The batch's smallest, largest or mean value is added to a tensor: an image's answer depends
    on its neighbours."""
    at = _between(made, rng, KIND.FLOAT32)
    if at is None:
        return False
    shape = tuple(int(n) for n in made.tensors[at].shape)
    code = int(rng.choice([OP.REDUCE_MIN, OP.REDUCE_MAX, OP.MEAN, OP.SUM]))
    options: Any = schema.ReducerOptionsT()
    options.keepDims = True
    axes = made.tensor((1,), KIND.INT32, [0])
    place = (
        min(made.operators.index(op) for op in made.operators if at in list(op.inputs))
        if at not in made.outputs
        else -1
    )
    low, total = made.tensor(shape, KIND.FLOAT32), _twin(made, at)
    made.splice(at, total, OP.ADD if rng.random() < 0.7 else OP.SUB, schema.AddOptionsT(), (low,))
    added = next(op for op in made.operators if list(op.outputs) == [total])
    if made.codes[int(added.opcodeIndex)].builtinCode == OP.SUB:
        added.builtinOptions, added.builtinOptionsType = (
            schema.SubOptionsT(),
            schema.BuiltinOptions.SubOptions,
        )
    made.op(
        code,
        [at, axes],
        [low],
        options,
        at=max(place, 0) if place >= 0 else made.operators.index(added),
    )
    return True


def elementwise(made: TfliteDraft, rng: Rng) -> bool:
    """MAXIMUM, MINIMUM, ADD, SUB, MUL, DIV by a constant."""
    at = _between(made, rng, KIND.FLOAT32)
    if at is None:
        return False
    width = int(made.tensors[at].shape[-1])
    code, options = pick(
        rng,
        [
            (OP.MAXIMUM, schema.MaximumMinimumOptionsT()),
            (OP.MINIMUM, schema.MaximumMinimumOptionsT()),
            (OP.ADD, schema.AddOptionsT()),
            (OP.SUB, schema.SubOptionsT()),
            (OP.MUL, schema.MulOptionsT()),
            (OP.DIV, schema.DivOptionsT()),
        ],
    )
    large = float(rng.choice([1, 1, 1e4, 1.5 * 2**23, 1e8]))
    shape = (width,) if rng.random() < 0.6 else (1,)
    values = (
        rng.uniform(0.2, 1.5, shape)
        * rng.choice([1, -1])
        * (large if code in (OP.ADD, OP.SUB) else 1)
    )
    other = made.tensor(shape, KIND.FLOAT32, values)
    target = _twin(made, at)
    made.splice(at, target, code, options, (other,))
    # And back again.
    if code in (OP.ADD, OP.SUB) and large > 1:
        back = OP.SUB if code == OP.ADD else OP.ADD
        last = schema.SubOptionsT() if code == OP.ADD else schema.AddOptionsT()
        made.splice(target, _twin(made, at), back, last, (other,))
    return True


def unary(made: TfliteDraft, rng: Rng) -> bool:
    """RELU, RELU6, TANH, LOGISTIC, ABS, NEG between float tensors."""
    at = _between(made, rng, KIND.FLOAT32)
    if at is None:
        return False
    code = int(
        rng.choice([OP.RELU, OP.RELU6, OP.TANH, OP.LOGISTIC, OP.ABS, OP.NEG, OP.ROUND, OP.FLOOR])
    )
    made.splice(at, _twin(made, at), code)
    return True


def dead(made: TfliteDraft, rng: Rng) -> bool:
    """An operator whose result nobody reads."""
    at = pick(rng, activations(made, KIND.FLOAT32))
    if at is None:
        return False
    made.op(OP.TANH if rng.random() < 0.5 else OP.ABS, [at], [_twin(made, at)])
    return True


def variable(made: TfliteDraft, rng: Rng) -> bool:
    """A tensor marked as a variable."""
    made.tensors[int(rng.integers(len(made.tensors)))].isVariable = True
    return True


def rows(made: TfliteDraft, rng: Rng) -> bool:
    """The first dense layer over several rows: (d) as (2, d/2)."""
    full = made.dense[0]
    at, width = int(full.inputs[0]), int(made.tensors[int(full.inputs[0])].shape[-1])
    place = int(full.inputs[1])
    if width % 2 or not made.readable(place) or made.tensors[place].type == KIND.FLOAT16:
        return False
    values, held = made.values(place), made.tensors[place]
    half = values[: max(len(values) // 2, 1), : width // 2]
    if len(half) * 2 != len(values):
        return False
    held.shape = list(half.shape)
    made.store(place, half)
    for number in (1, 2):
        other = (
            made.tensors[int(full.inputs[number])]
            if len(full.inputs) > number and int(full.inputs[number]) >= 0
            else None
        )
        if (
            other is not None
            and other.quantization is not None
            and len(other.quantization.scale) > 1
        ):
            other.quantization = quantisation(other.quantization.scale[: len(half)], 0)
        if number == 2 and other is not None and made.readable(int(full.inputs[2])):
            values = made.values(int(full.inputs[2])).reshape(-1)[: len(half)]
            other.shape = [len(half)]
            made.store(int(full.inputs[2]), values)
    end = int(full.outputs[0])
    before = len(made.operators)
    split = reshaped(made, at, (2, width // 2))
    last = made.operators.pop()
    last.builtinOptions.newShape = [-1, width // 2]
    made.store(int(last.inputs[1]), np.array([-1, width // 2]))
    made.operators.insert(made.operators.index(full), last)
    full.inputs = [split, *list(full.inputs)[1:]]
    several = _twin(made, end)
    made.tensors[several].shape = [2, len(half)]
    full.outputs = [several]
    options: Any = schema.ReshapeOptionsT()
    options.newShape = [-1, 2 * len(half)]
    into = made.tensor((2,), KIND.INT32, options.newShape)
    made.op(OP.RESHAPE, [several, into], [end], options, at=made.operators.index(full) + 1)
    return len(made.operators) == before + 2


GRAPHS: Final[dict[str, tuple[Edit, bool]]] = {
    "QUANTIZE to the same grid": (quantize_same, False),
    "QUANTIZE to another grid": (quantize_other, False),
    "QUANTIZE of the input twice": (quantize_first, False),
    "DEQUANTIZE and QUANTIZE": (there_and_back, False),
    "RESHAPE": (reshape_same, False),
    "RESHAPE between grids": (reshape_other, False),
    "dequantised weights": (dequantised_weights, False),
    "sparse": (sparse, False),
    "two outputs": (outputs_turned, False),
    "output early": (output_early, False),
    "shared": (shared, False),
    "reduced over the batch": (batch_reduced, False),
    "elementwise": (elementwise, False),
    "unary": (unary, False),
    "dead": (dead, False),
    "variable": (variable, False),
    "rows": (rows, False),
}
EDITS: Final = {**VALUES, **GRAPHS}
