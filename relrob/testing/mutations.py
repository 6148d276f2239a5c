"""Damage to files: changes of any bytes, and changes that keep the container whole."""

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

from relrob.testing.mutations_bytes import Random, any_bytes
from relrob.testing.mutations_graphs import onnx_file, saved_model, tflite_file

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
    "onnx": onnx_file,
    "savedmodel": saved_model,
    "tflite": tflite_file,
    "fixed": _npz,
    "npz": _npz,
}
