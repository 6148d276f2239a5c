"""Fixed-point networks as files: what is written is what is read, and what is damaged or hostile
gives one line, never a traceback. The referees are the network in memory, every code vector, and a
fuzzer that flips bytes."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from relrob.domain.network import Arithmetic
from relrob.errors import NetworkError, ShapeError, UsageError
from relrob.networks.fixed.file import fixed_of, parse_fixed, write_fixed
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.files import sha256_bytes
from tests.ball_cases import tricky_network

SEEDS = st.integers(0, 10**9)


def small() -> FixedNetwork:
    first = FixedLayer(np.array([[3, -1], [1, 2]]), np.array([0, 1]), 1, 2, 0, 15)
    return FixedNetwork(
        (first, FixedLayer(np.array([[2, 1], [-3, 1]]), np.array([1, 0]), 0, 1, -8, 7)), 0, 255
    )


def arrays(network: FixedNetwork, folder: Path) -> dict[str, Any]:
    """The entries of its file."""
    write_fixed(network, folder / "net.npz")
    with np.load(folder / "net.npz") as held:
        return dict(held)


def packed(entries: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    np.savez(held, **entries)
    return held.getvalue()


@settings(max_examples=60)
@given(SEEDS)
def test_what_is_written_is_read_and_its_bytes_depend_on_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    network, path = tricky_network(seed), tmp_path_factory.getbasetemp() / "fixed.npz"
    write_fixed(network, path)
    data = path.read_bytes()
    os.utime(path, (0, 0))
    write_fixed(tricky_network(seed), path)
    assert path.read_bytes() == data
    found = parse_fixed("net", data)
    codes = np.random.default_rng(seed).integers(
        network.low, network.high + 1, (20, network.inputs)
    )
    assert np.array_equal(found.evaluate(codes), network.evaluate(codes))
    assert (found.low, found.high, found.pixel_scale) == (
        network.low,
        network.high,
        network.pixel_scale,
    )
    for one, two in zip(found.layers, network.layers, strict=True):
        assert np.array_equal(one.weights, two.weights)
        assert np.array_equal(one.bias, two.bias)
        assert (one.bias_shift, one.shift, one.low, one.high) == (
            two.bias_shift,
            two.shift,
            two.low,
            two.high,
        )
    again = path.with_name("again.npz")
    write_fixed(found, again)
    assert again.read_bytes() == data


def test_a_loaded_file_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    write_fixed(small(), path)
    network = load_network(path, image_shape=(1, 2, 1), classes=2)
    assert (network.format, network.runtime, network.scheme, network.arithmetic) == (
        "fixed",
        "fixed",
        "fixed",
        Arithmetic.INTEGER,
    )
    assert (network.dense, network.sha256) == (None, sha256_bytes(path.read_bytes()))
    images = np.random.default_rng(1).random((50, 2), dtype=np.float32)
    assert np.array_equal(open_network(network, batch=1).outputs(images), small().outputs(images))
    with pytest.raises(ShapeError):
        load_network(path, image_shape=(1, 3, 1), classes=2)
    for classes in (1, 3):
        with pytest.raises(ShapeError, match="2 outputs"):
            load_network(path, image_shape=(1, 2, 1), classes=classes)
    with pytest.raises(UsageError, match="fixed"):
        load_network(path, image_shape=(1, 2, 1), classes=2, runtime="xnnpack")


def test_a_file_that_changed_after_loading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    write_fixed(small(), path)
    network = load_network(path, image_shape=(1, 2, 1), classes=2)
    write_fixed(tricky_network(3), path)
    with pytest.raises(NetworkError):
        open_network(network)
    with pytest.raises(NetworkError):
        fixed_of(network)


class _Bomb:
    """A pickle that would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def _huge_header(shape: str) -> bytes:
    """An entry whose header promises more than any memory holds."""
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}"
    head = text + " " * (63 - (len(text) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


def zipped(entries: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return held.getvalue()


def raw(entries: dict[str, Any]) -> dict[str, bytes]:
    found = {}
    for name, array in entries.items():
        held = io.BytesIO()
        npy.write_array(held, np.asarray(array), allow_pickle=False)
        found[f"{name}.npy"] = held.getvalue()
    return found


EMPTY = {"weights_0": (2, 0), "bias_0": (0,), "weights_1": (0, 2)}


def hostile_files(folder: Path) -> dict[str, bytes]:
    good, head = arrays(small(), folder), [1, 2, 0, 255, 255]
    whole, pickled = (
        (folder / "net.npz").read_bytes(),
        np.array([_Bomb(folder / "owned")], dtype=object),
    )
    found = {
        f"cut at {end}": whole[:end]
        for end in (4, 30, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1)
    }
    wrong = {
        "a head of pickles": {"relrob_fixed": pickled},
        "weights of pickles": {"weights_0": pickled},
        "float weights": {"weights_0": good["weights_0"] * 1.0},
        "NaN": {"weights_0": np.full((2, 2), np.nan)},
        "float bias": {"bias_1": good["bias_1"] * 0.5},
        "text": {"weights_1": np.array([["a", "b"], ["c", "d"]])},
        "booleans": {"weights_1": np.ones((2, 2), np.bool_)},
        "unsigned beyond 64 bits": {"weights_1": np.full((2, 2), 2**64 - 1, np.uint64)},
        "small integers": {"weights_1": good["weights_1"].astype(np.int8)},
        "the least int64": {"weights_1": np.full((2, 2), -(2**63))},
        "a bias of the least int64": {"bias_1": np.full(2, -(2**63))},
        "three dimensions": {"weights_0": np.ones((2, 2, 1), np.int64)},
        "no dimensions": {"weights_0": np.int64(3)},
        "a bias too long": {"bias_0": np.ones(3, np.int64)},
        "layers that do not fit": {"weights_1": np.ones((5, 2), np.int64)},
        "no neurons": {name: np.ones(shape, np.int64) for name, shape in EMPTY.items()},
        "no inputs": {"weights_0": np.ones((0, 2), np.int64)},
        "no classes": {"weights_1": np.ones((2, 0), np.int64), "bias_1": np.ones(0, np.int64)},
        "a float form": {"form_0": good["form_0"] * 1.0},
        "a shift of 63": {"form_0": np.array([1, 63, 0, 15])},
        "a negative shift": {"form_0": np.array([1, -1, 0, 15])},
        "an empty range": {"form_0": np.array([1, 2, 15, 15])},
        "outputs that no float32 holds": {
            "form_1": np.array([0, 0, -(2**40), 2**40]),
            "bias_1": np.array([2**25, 0]),
        },
        "a short head": {"relrob_fixed": np.array(head[:4])},
        "another version": {"relrob_fixed": np.array([2, *head[1:]])},
        "no layers": {"relrob_fixed": np.array([1, 0, *head[2:]])},
        "a million layers": {"relrob_fixed": np.array([1, 10**6, *head[2:]])},
        "three layers of two": {"relrob_fixed": np.array([1, 3, *head[2:]])},
        "no codes": {"relrob_fixed": np.array([1, 2, 255, 255, 255])},
        "a scale of nothing": {"relrob_fixed": np.array([1, 2, 0, 255, 0])},
        "sums beyond 64 bits": {"weights_0": np.full((2, 2), 2**61)},
    }
    for name, changes in wrong.items():
        held = io.BytesIO()
        np.savez(held, allow_pickle=True, **{**good, **changes})
        found[name] = held.getvalue()
    entries = raw(good)
    found["nothing inside"] = zipped({})
    found["text files inside"] = zipped(dict.fromkeys(entries, b"hello"))
    found["a text file for a head"] = zipped({**entries, "relrob_fixed.npy": b"hello"})
    found["a text file for weights"] = zipped({**entries, "weights_0.npy": b"hello"})
    found["text without a suffix"] = zipped(
        {**{n: d for n, d in entries.items() if "weights_0" not in n}, "weights_0": b"hello"}
    )
    for shape in (
        "(10000000000000, 2)",
        "(-1, 2)",
        "(2, 2, ",
        "(4611686018427387904, 4)",
        "'x'",
        f"({'(' * 90}",
    ):
        found[f"a header of shape {shape}"] = zipped(
            {**entries, "weights_0.npy": _huge_header(shape) + bytes(64)}
        )
    found["pickle"] = pickle.dumps(_Bomb(folder / "owned"))
    found["pickle in a zip"] = zipped(
        {"relrob_fixed.npy": pickle.dumps(_Bomb(folder / "owned")), **{}}
    )
    found["a plain array"] = io.BytesIO(raw(good)["weights_0.npy"]).getvalue()
    found["another program's arrays"] = packed({"images": np.ones(3), "labels": np.ones(3)})
    return found


def test_hostile_files_give_one_line(tmp_path: Path) -> None:
    path = tmp_path / "hostile.npz"
    for name, data in hostile_files(tmp_path).items():
        with pytest.raises(NetworkError) as caught:
            parse_fixed(str(path), data)
        assert "\n" not in str(caught.value), name
        assert str(path) in str(caught.value), name
        path.write_bytes(data)
        with pytest.raises(NetworkError):
            load_network(path, image_shape=(1, 2, 1), classes=2)
    assert not (tmp_path / "owned").exists()


@settings(max_examples=200)
@given(st.data())
def test_any_damage_gives_the_same_network_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes flipped, cut out or put in, compressed or not."""
    folder = tmp_path_factory.getbasetemp()
    write_fixed(small(), folder / "f.npz")
    whole = (
        packed(arrays(small(), folder))
        if data.draw(st.booleans())
        else (folder / "f.npz").read_bytes()
    )
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            broken[at] = data.draw(st.integers(0, 255))
        elif kind == 1:
            del broken[at : at + data.draw(st.integers(1, 40))]
        else:
            broken[at:at] = data.draw(st.binary(max_size=8))
        if not broken:
            return
    try:
        found = parse_fixed("net", bytes(broken))
    except NetworkError as error:
        assert "\n" not in str(error)
        return
    codes = np.random.default_rng(0).integers(0, 256, (10, 2))
    if (found.inputs, found.low, found.high) == (2, 0, 255):
        found.evaluate(codes)


def test_wide_outputs_are_refused_because_float32_would_make_them_tie() -> None:
    """2^24 and 2^24 + 1 are the same float32: the label of the outputs would not be that of the
    integers."""
    for extra, fine in ((0, True), (1, False)):
        layer = FixedLayer(
            np.array([[2**24, 2**24 + extra]]), np.array([0, 0]), 0, 0, -(2**40), 2**40
        )
        network = FixedNetwork((layer,), 0, 1)
        assert int(network.evaluate(np.array([[1]])).argmax()) == extra
        entries = {
            "relrob_fixed": np.array([1, 1, 0, 1, 1]),
            "weights_0": layer.weights,
            "bias_0": layer.bias,
            "form_0": np.array([0, 0, -(2**40), 2**40]),
        }
        if fine:
            parse_fixed("net", packed(entries))
        else:
            with pytest.raises(NetworkError, match="float32"):
                parse_fixed("net", packed(entries))


def test_json_and_other_suffixes_are_told_apart(tmp_path: Path) -> None:
    write_fixed(small(), tmp_path / "net.keras")
    with pytest.raises(NetworkError):
        load_network(tmp_path / "net.keras", image_shape=(1, 2, 1), classes=2)
    (tmp_path / "net.npz").write_text(json.dumps({"a": 1}), encoding="utf-8")
    with pytest.raises(NetworkError, match="is named"):
        load_network(tmp_path / "net.npz", image_shape=(1, 2, 1), classes=2)
