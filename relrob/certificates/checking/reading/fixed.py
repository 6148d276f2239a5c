"""The checker's reader of fixed-point `.npz` files: int64 arrays, read without pickle.

Cells take the network as integers (`FixedFile`), bounds take it as facts (`facts_of`).
Source: docs/certificates.md, "A fixed-point network".
"""

from __future__ import annotations

import ast
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import LOOSE, Deployed, Facts, NoRulesError

_MOST_LAYERS: Final = 1000
_LARGEST: Final = 2**31
# Outputs are given as float32.
_SINGLE: Final = 2**24


@dataclass(frozen=True, eq=False)
class Layer:
    """clip((x W + bias 2^bias_shift + 2^(shift-1)) >> shift, low, high); no half unit where shift
    is 0."""

    weights: NDArray[np.int64]
    bias: NDArray[np.int64]
    bias_shift: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class FixedFile:
    """Layers over codes `low` <= x <= `high`; a pixel p has the code floor(p pixel_scale + 1/2)."""

    layers: tuple[Layer, ...]
    low: int
    high: int
    pixel_scale: int

    @property
    def inputs(self) -> int:
        return int(self.layers[0].weights.shape[0])

    @property
    def classes(self) -> int:
        return int(self.layers[-1].weights.shape[1])


def read_fixed(data: bytes) -> FixedFile:
    """The network in a file. Raises NoRulesError."""
    held = _arrays(data)
    head = _taken(held, "relrob_fixed", (5,)).tolist()
    version, count, low, high, scale = (int(value) for value in head)
    if version != 1 or not 0 < count <= _MOST_LAYERS or not low < high or scale < 1:
        raise NoRulesError("a fixed-point file of another version, or without layers or codes")
    layers, width, ends = list[Layer](), 0, (low, high)
    for number in range(count):
        form = [int(value) for value in _taken(held, f"form_{number}", (4,)).tolist()]
        weights, bias = held.pop(f"weights_{number}", None), held.pop(f"bias_{number}", None)
        if (
            weights is None
            or bias is None
            or weights.ndim != 2
            or bias.shape != weights.shape[1:]
            or not weights.size
        ):
            raise NoRulesError(
                "a fixed-point layer of which an array is missing, or of another shape"
            )
        if layers and weights.shape[0] != width:
            raise NoRulesError("fixed-point layers that do not fit")
        layer = Layer(weights, bias, *form)
        _check(layer, ends)
        layers.append(layer)
        width, ends = weights.shape[1], (layer.low, layer.high)
    if held:
        raise NoRulesError(f"a fixed-point file with the array {min(held)[:40]!a}")
    if max(map(abs, ends)) > _SINGLE:
        raise NoRulesError("outputs of more than 24 bits, which float32 does not tell apart")
    return FixedFile(tuple(layers), low, high, scale)


def _check(layer: Layer, ends: tuple[int, int]) -> None:
    """Shifts of a sensible size, and sums that stay within 63 bits."""
    if not (0 <= layer.shift < 63 and 0 <= layer.bias_shift < 63 and layer.low < layer.high):
        raise NoRulesError("a fixed-point layer whose shifts or range are out of bounds")
    largest = max(abs(end) for end in ends)
    size = np.abs(layer.weights.astype(object)).sum(axis=0) * largest
    offset = np.abs(layer.bias.astype(object)) * 2**layer.bias_shift + 2**layer.shift
    if max((size + offset).tolist()) >= 2**62:
        raise NoRulesError("a fixed-point layer whose sums could overflow 63 bits")


def _taken(
    held: dict[str, NDArray[np.int64]], name: str, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    found = held.pop(name, None)
    if found is None or found.shape != shape:
        raise NoRulesError(f"a fixed-point file without {name}")
    return found


def _arrays(data: bytes) -> dict[str, NDArray[np.int64]]:
    """Every member of the archive, each a .npy file of int64."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            # NumPy takes "bias_0" before "bias_0.npy".
            plain = all(name.endswith(".npy") and name.count(".") == 1 for name in names)
            if (
                not plain
                or len(set(names)) != len(names)
                or sum(entry.file_size for entry in entries) > _LARGEST
            ):
                raise NoRulesError("a fixed-point file with an array twice, or too large")
            return {name.removesuffix(".npy"): _array(archive.read(name)) for name in names}
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise NoRulesError("a fixed-point file that is damaged") from error


def _array(data: bytes) -> NDArray[np.int64]:
    """One .npy file of format 1.0: a header that is a Python literal, then little-endian values in
    C order."""
    try:
        if data[:8] != b"\x93NUMPY\x01\x00":
            raise NoRulesError("an array of another format")
        (length,) = struct.unpack_from("<H", data, 8)
        head = ast.literal_eval(data[10 : 10 + length].decode("latin-1").strip())
        shape = head["shape"]
        right = (
            set(head) == {"descr", "fortran_order", "shape"}
            and head["descr"] == "<i8"
            and type(shape) is tuple
        )
        if not right or not all(type(size) is int and size >= 0 for size in shape):
            raise NoRulesError("an array that is not of int64")
        values = np.frombuffer(data, "<i8", offset=10 + length)
        if values.size != prod(shape):
            raise NoRulesError("an array whose data does not fit its shape")
        return values.reshape(shape, order="F" if head["fortran_order"] else "C")
    except (
        ValueError,
        SyntaxError,
        KeyError,
        TypeError,
        struct.error,
        RecursionError,
        MemoryError,
    ) as error:
        raise NoRulesError("an array that is damaged") from error


def facts_of(network: FixedFile) -> Deployed:
    """The layers over the reals; each shift rounds by half a unit, each pixel becomes a code within
    half of one."""
    return Deployed(tuple(_facts(network)), "logits")


def _facts(network: FixedFile) -> Iterator[Facts]:
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
