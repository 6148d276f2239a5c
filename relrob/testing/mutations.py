"""Damage to files: bits, bytes, numbers, cuts and splices anywhere; and edits that keep the
container whole, not what it says."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, Final

import h5py
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from relrob.registry import load

INTS: Final = (
    0,
    1,
    -1,
    2,
    7,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    -(2**31),
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**63),
)
JSON: Final[tuple[Any, ...]] = (
    None,
    True,
    "",
    "x",
    "\x1b[2J",
    "é" * 9,
    0,
    -1,
    1.5,
    1e308,
    10**30,
    [],
    {},
    [[]],
    {"a": None},
    [1, 2],
    "float16",
)
Random = np.random.Generator


def mutated(rng: Random, kind: str, data: bytes, others: Sequence[bytes]) -> bytes:
    """Other bytes than the file's, by one to three changes; more where these leave it as it was.
    `kind`: its format; `others`: files of the format, to take pieces from."""
    found = data
    for _ in range(int(rng.integers(1, 4))):
        found = _change(rng, kind, found, others)
    while found == data:
        found = _change(rng, kind, found, others)
    return found


def _change(rng: Random, kind: str, data: bytes, others: Sequence[bytes]) -> bytes:
    """One change; a field edit that fails, on a file that is broken already, becomes a change of
    bytes."""
    aware = _AWARE.get(kind)
    if aware is not None and rng.random() < 0.5:
        try:
            return aware(rng, data)
        except Exception:  # noqa: S110 - whatever the writer of the format raises on nonsense
            pass
    return any_bytes(rng, data, others)


def any_bytes(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A change that knows nothing of the format."""
    content = bytearray(data or b"\0")
    at = int(rng.integers(len(content)))
    match int(rng.integers(7)):
        case 0:
            for place in rng.integers(0, len(content), int(rng.integers(1, 9))):
                content[place] ^= 1 << int(rng.integers(8))
        case 1:
            for place in rng.integers(0, len(content), int(rng.integers(1, 17))):
                content[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
        case 2:
            return bytes(content[:at])
        case 3:
            other = others[int(rng.integers(len(others)))] if others else data
            start = int(rng.integers(len(other)))
            piece = other[start : start + int(rng.integers(1, 200))]
            content[at : at + len(piece) * int(rng.integers(2))] = piece
        case 4:
            del content[at : at + int(rng.integers(1, 64))]
        case 5:
            width = int(rng.choice([2, 4, 8]))
            value = int(rng.choice(INTS)) % 2 ** (8 * width)
            at -= at % (width if rng.random() < 0.7 else 1)
            content[at : at + width] = value.to_bytes(
                width, "little" if rng.random() < 0.9 else "big"
            )
        case _:
            width = int(rng.choice([4, 8]))
            at = min(at - at % 4, max(len(content) - width, 0))
            if len(content) >= at + width:
                old = int.from_bytes(content[at : at + width], "little")
                new = old + int(rng.choice([-8, -4, -1, 1, 4, 8, len(content)]))
                content[at : at + width] = (new % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(content)


def _json(rng: Random, text: bytes) -> bytes:
    """One value of a document replaced, dropped, doubled or wrapped."""
    top = [json.loads(text)]
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [top]
    while todo:
        node = todo.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                todo.append(node[key])
    node, key = places[int(rng.integers(len(places)))]
    other, there = places[int(rng.integers(len(places)))]
    match int(rng.integers(5)):
        case 0:
            node[key] = copy.deepcopy(other[there])
        case 1 if isinstance(node, dict):
            del node[key]
        case 2 if isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        case 3:
            for _ in range(int(rng.choice([1, 3, 2000]))):
                node[key] = [node[key]]
        case _:
            node[key] = JSON[int(rng.integers(len(JSON)))]
    return json.dumps(top[0]).encode()


def _zip(rng: Random, data: bytes) -> bytes:
    """One member changed and packed again, so that its checksum fits."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[int(rng.integers(len(members)))]
    inside = members[name]
    if name.endswith(".json") and rng.random() < 0.8:
        members[name] = _json(rng, inside)
    elif name.endswith(".h5") and rng.random() < 0.7:
        members[name] = _hdf5(rng, inside)
    elif rng.random() < 0.1:
        del members[name]
    else:
        members[name] = any_bytes(rng, inside)
    method = int(
        rng.choice(
            [zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
        )
    )
    return _packed(members, method)


def _packed(members: dict[str, bytes], method: int) -> bytes:
    """An archive of the members, whose bytes do not depend on the time of day."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return result.getvalue()


def _hdf5(rng: Random, data: bytes) -> bytes:
    """An attribute, an array or a link changed with h5py."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda name, item: items.append(item))
        attributes = [(item, name) for item in items for name in item.attrs]
        if attributes and rng.random() < 0.5:
            item, name = attributes[int(rng.integers(len(attributes)))]
            item.attrs[name] = _attribute(rng, item.attrs[name])
        else:
            _replace(rng, file, items[int(rng.integers(len(items)))])
    return buffer.getvalue()


def _attribute(rng: Random, value: Any) -> Any:
    """Another value for an attribute."""
    text = value.encode() if isinstance(value, str) else value
    if isinstance(text, bytes) and text.startswith(b"{") and rng.random() < 0.7:
        return _json(rng, text)
    if isinstance(value, np.ndarray) and value.ndim and len(value) and rng.random() < 0.6:
        at = int(rng.integers(len(value)))
        return [value[::-1], value[:-1], np.concatenate([value, value]), np.repeat(value[at], 2)][
            int(rng.integers(4))
        ]
    choices: list[Any] = [
        b"\xff\xfe",
        "x",
        3,
        -1.5,
        np.zeros(0),
        np.arange(4),
        np.array([b"a", b"\xff"]),
        h5py.Empty("f"),
        "{}",
        "[" * 99,
    ]
    return choices[int(rng.integers(len(choices)))]


def _replace(rng: Random, file: Any, item: Any) -> None:
    """Something else in the place of an item."""
    if item.name == "/":
        return
    parent, name, old = item.parent, item.name.rpartition("/")[2], item
    shape = tuple(old.shape) if isinstance(old, h5py.Dataset) else (2, 3)
    del parent[name]
    match int(rng.integers(9)):
        case 0:
            parent[name] = np.zeros((*shape, 1), np.float32)
        case 1:
            parent[name] = np.zeros(shape[::-1], np.float32)
        case 2:
            parent[name] = np.full(shape, [np.nan, np.inf, 3e38][int(rng.integers(3))], np.float32)
        case 3:
            parent.create_dataset(name, (2**40, 9), np.float32, chunks=(1024, 9))
        case 4:
            kinds: list[Any] = [np.float64, np.int8, np.float16, "S4", bool, complex]
            parent[name] = np.ones(shape, kinds[int(rng.integers(6))])
        case 5:
            parent[name] = h5py.SoftLink("/" + name if rng.random() < 0.5 else file.name)
        case 6:
            parent[name] = h5py.ExternalLink("/dev/zero", "/x")
        case 7:
            parent.create_group(name)
        case _:
            pass


def _message(rng: Random, message: Any) -> None:
    """One field of a protocol buffer, or of a message inside it."""
    messages = [message]
    for each in messages:
        if len(messages) > 2000:
            break
        for spec, value in each.ListFields():
            if spec.type == spec.TYPE_MESSAGE:
                held = getattr(
                    value, "values", None
                )  # of a map; some messages have a field of that name
                inside = (
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


def _onnx(rng: Random, data: bytes) -> bytes:
    model = onnx.load_model_from_string(data)
    _message(rng, model)
    return bytes(model.SerializeToString())


def _savedmodel(rng: Random, data: bytes) -> bytes:
    """One field of saved_model.pb. TensorFlow is imported."""
    model: Any = load("tensorflow.core.protobuf.saved_model_pb2:SavedModel")()
    model.ParseFromString(data)
    _message(rng, model)
    return bytes(model.SerializeToString(deterministic=True))


def _tflite(rng: Random, data: bytes) -> bytes:
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


def _npz(rng: Random, data: bytes) -> bytes:
    """A header of an array changed, or the archive packed again."""
    if rng.random() < 0.6:
        return _zip(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[int(rng.integers(len(members)))]
    shape = tuple(
        int(rng.choice([0, 1, 3, 36, 2**20, 2**40, -1])) for _ in range(int(rng.integers(5)))
    )
    kind = str(rng.choice(["|u1", "<f4", "<i8", "|O", "<f2", "<M8[s]", "|S4", "|V3", "<c8"]))
    header = repr({"descr": kind, "fortran_order": bool(rng.integers(2)), "shape": shape}).encode()
    members[name] = (
        b"\x93NUMPY\x01\0"
        + struct.pack("<H", len(header) + 1)
        + header
        + b"\n"
        + members[name][128:]
    )
    return _packed(members, zipfile.ZIP_DEFLATED)


_AWARE: Final[dict[str, Callable[[Random, bytes], bytes]]] = {
    "keras": _zip,
    "h5": _hdf5,
    "onnx": _onnx,
    "savedmodel": _savedmodel,
    "tflite": _tflite,
    "fixed": _npz,
    "npz": _npz,
}
