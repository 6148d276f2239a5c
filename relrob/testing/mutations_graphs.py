"""Damage to graphs: one field of an ONNX, SavedModel or `.tflite` file changed, the format kept."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from relrob.registry import load
from relrob.testing.mutations_bytes import INTS, Random, any_bytes


def _message(rng: Random, message: Any) -> None:
    """One field of a protocol buffer, or of a message inside it."""
    messages = [message]
    for each in messages:
        if len(messages) > 2000:
            break
        for spec, value in each.ListFields():
            if spec.type == spec.TYPE_MESSAGE:
                # Of a map; some messages have a field of that name.
                held = getattr(value, "values", None)
                inside: Any = (
                    held() if callable(held) else value if hasattr(value, "__len__") else [value]
                )
                messages += [one for one in inside if hasattr(one, "ListFields")]
    chosen = messages[int(rng.integers(len(messages)))]
    fields = (
        chosen.ListFields()
        if rng.random() < 0.8
        else [(spec, getattr(chosen, spec.name)) for spec in chosen.DESCRIPTOR.fields]
    )
    spec, value = fields[int(rng.integers(len(fields)))]
    if hasattr(value, "append") or hasattr(value, "add"):
        _repeated(rng, value)
    elif spec.type == spec.TYPE_MESSAGE or rng.random() < 0.2:
        chosen.ClearField(spec.name)
    else:
        setattr(chosen, spec.name, _scalar(rng, value))


def _repeated(rng: Random, value: Any) -> None:
    """A repeated field: one element less, one twice, another order, another value."""
    if not len(value):
        return
    at = int(rng.integers(len(value)))
    match int(rng.integers(4)):
        case 0:
            del value[at]
        case 1:
            value.extend([value[at]])
        case 2:
            held = [copy.deepcopy(each) for each in value]
            del value[:]
            value.extend(held[::-1])
        case _ if not hasattr(value[at], "ListFields"):
            value[at] = _scalar(rng, value[at])


def _scalar(rng: Random, value: Any) -> Any:
    """Another value of the type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(rng.choice(INTS))
    if isinstance(value, float):
        return float(rng.choice([0.0, -1.0, np.nan, np.inf, 1e38, 1e-38]))
    if isinstance(value, str):
        return str(
            rng.choice(
                ["", "x", value + value, value[:-1], "Loop", "\x1b[2J", "../../etc/passwd", "0"]
            )
        )
    return any_bytes(rng, value) if isinstance(value, bytes) else value


def onnx_file(rng: Random, data: bytes) -> bytes:
    """One field of the model."""
    model = onnx.load_model_from_string(data)
    _message(rng, model)
    return bytes(model.SerializeToString())


def saved_model(rng: Random, data: bytes) -> bytes:
    """One field of saved_model.pb. TensorFlow is imported."""
    model: Any = load("tensorflow.core.protobuf.saved_model_pb2:SavedModel")()
    model.ParseFromString(data)
    _message(rng, model)
    return bytes(model.SerializeToString(deterministic=True))


def tflite_file(rng: Random, data: bytes) -> bytes:
    """One field of one object of the model."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    objects = [model]
    for each in objects:
        for value in vars(each).values():
            inside = value if isinstance(value, list) else [value]
            objects += [one for one in inside if hasattr(one, "Pack")]
    chosen = objects[int(rng.integers(len(objects)))]
    names = list(vars(chosen))
    name = names[int(rng.integers(len(names)))]
    setattr(chosen, name, _value(rng, getattr(chosen, name)))
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _value(rng: Random, value: Any) -> Any:
    """Another value of a field of LiteRT's object interface."""
    if isinstance(value, (bool, int, float, str)):
        return _scalar(rng, value)
    if isinstance(value, bytes):
        return any_bytes(rng, value)
    if isinstance(value, list) and value:
        changed = list(value)
        _repeated(rng, changed)
        return changed
    return _array(rng, value) if isinstance(value, np.ndarray) and len(value) else None


def _array(rng: Random, value: Any) -> Any:
    """One number of a vector changed, or the vector cut."""
    changed = value.copy()
    at = int(rng.integers(len(changed)))
    if changed.dtype.kind == "f":
        changed[at] = rng.choice([0.0, -1.0, np.nan, np.inf, 1e38, 1e-38])
    else:
        limits = np.iinfo(changed.dtype)
        changed[at] = rng.choice([each for each in INTS if limits.min <= each <= limits.max])
    return changed if rng.random() < 0.7 else changed[:-1]
