"""Fixed-point networks as files: an `.npz` of integer arrays, read without pickle, which holds the
whole network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.network import Arithmetic, Dense, Layout, Network
from relrob.errors import NetworkError
from relrob.networks.content import checked_bytes
from relrob.networks.exact_dot import SINGLE
from relrob.networks.feed import Entry
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.kept import kept
from relrob.networks.operators import NotDenseError
from relrob.networks.source import Source, refuse_output
from relrob.system.files import sha256_bytes, write_atomic

VERSION: Final = 1
_MOST_LAYERS: Final = 1000


def write_fixed(network: FixedNetwork, path: Path) -> None:
    """Write the network. Raises StoreError."""
    write_atomic(path, fixed_bytes(network))


def fixed_bytes(network: FixedNetwork) -> bytes:
    """The bytes of the file; the same network gives the same bytes."""
    head = [VERSION, len(network.layers), network.low, network.high, network.pixel_scale]
    arrays: dict[str, Any] = {"relrob_fixed": np.array(head, np.int64)}
    for number, layer in enumerate(network.layers):
        arrays[f"weights_{number}"], arrays[f"bias_{number}"] = layer.weights, layer.bias
        arrays[f"form_{number}"] = np.array(
            [layer.bias_shift, layer.shift, layer.low, layer.high], np.int64
        )
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def parse_fixed(path: str, data: bytes) -> FixedNetwork:
    """The network in these bytes. Raises NetworkError for damaged bytes, or those of another
    file."""
    try:
        network = _parsed(data)
        last, dot = network.layers[-1], network.dots[-1]
        ends = (
            int(np.clip(end >> last.shift, last.low, last.high))
            for end in (dot.lowest.min(), dot.highest.max())
        )
        if max(map(abs, ends)) > SINGLE:
            raise NetworkError("outputs of more than 24 bits, which float32 does not tell apart")
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error
    # zip, zlib, NumPy and its parser of headers each raise errors of their own.
    except Exception as error:
        told = str(error).partition("\n")[0] or type(error).__name__
        raise NetworkError(
            f"{path} is no fixed-point network: {told}",
            "an .npz that relrob wrote",
            "write it again",
        ) from error
    return network


def _parsed(data: bytes) -> FixedNetwork:
    """The network in these bytes. It may raise errors of any class."""
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        version, count, low, high, scale = _entry(held, "relrob_fixed", 1).tolist()
        if version != VERSION or not 0 < count <= _MOST_LAYERS:
            raise ValueError(f"version {version} with {count} layers")
        layers = []
        for number in range(count):
            form = _entry(held, f"form_{number}", 1).tolist()
            layers.append(
                FixedLayer(
                    _entry(held, f"weights_{number}", 2), _entry(held, f"bias_{number}", 1), *form
                )
            )
    return FixedNetwork(tuple(layers), low, high, scale)


def _entry(held: Any, name: str, dimensions: int) -> NDArray[Any]:
    """An array of whole numbers that is not empty."""
    values = held[name]
    if (
        not isinstance(values, np.ndarray)
        or values.dtype != np.int64
        or values.ndim != dimensions
        or not values.size
    ):
        raise ValueError(f"{name} is no array of int64 in {dimensions} dimensions")
    return values


def read_fixed(path: str, data: bytes, output: str = "") -> Source:
    """The facts of the file for `load_network`."""
    refuse_output(path, output)
    network = parse_fixed(path, data)

    def dense(image: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        raise NotDenseError("a fixed-point network computes in integers")

    return Source(
        format="fixed",
        dims=(-1, network.inputs),
        classes=network.classes,
        sha256=sha256_bytes(data),
        dense=dense,
        scheme="fixed",
        arithmetic=Arithmetic.INTEGER,
        flat=Layout.HWC,
    )


@kept
def fixed_of(network: Network) -> FixedNetwork | None:
    """The fixed-point network behind a loaded file, which the network keeps. None for other
    formats.

    Raises NetworkError when the file has changed since it was loaded.
    """
    return parse_fixed(network.path, checked_bytes(network)) if network.format == "fixed" else None


def open_fixed(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> FixedNetwork:
    """The evaluator. It is exact: batches and threads change nothing."""
    return parse_fixed(network.path, checked_bytes(network, data))
