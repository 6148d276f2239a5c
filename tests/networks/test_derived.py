"""Whatever a network derives from its file is computed once, belongs to that one value, and never
outlives a change of it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.derived import Derived
from relrob.domain.network import Arithmetic, Dense, Layer, Network
from relrob.errors import NetworkError
from relrob.networks import enclose
from relrob.networks.enclose import dynamic_layers, enclosure_of, row_quantiser
from relrob.networks.fixed.file import fixed_of, write_fixed
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.kept import kept
from relrob.networks.litert import file as litert
from relrob.networks.litert.emulate import emulator
from relrob.networks.litert.file import litert_file
from relrob.networks.load import load_network
from tests.make_litert import FILES

SHAPE = (4, 5, 1)
Copy = Callable[[Network], Network]
COPIES: dict[str, Copy] = {
    "replaced": replace,
    "pickled": lambda network: pickle.loads(pickle.dumps(network)),
    "deeply copied": copy.deepcopy,
}


@pytest.fixture
def dynamic(tmp_path: Path) -> Network:
    path = tmp_path / "n.tflite"
    path.write_bytes(FILES["dynamic"])
    return load_network(path, image_shape=SHAPE, classes=5, runtime="builtin")


def onnx(scale: float) -> Network:
    """Weights that no file holds: nothing below opens one."""
    dense = Dense((Layer(np.full((20, 5), scale, np.float32), np.zeros(5, np.float32), False),))
    return Network("n.onnx", "0" * 64, "onnx", "onnxruntime", 20, 5, SHAPE, dense=dense)


def test_a_derivation_is_made_once_and_an_error_again() -> None:
    calls: list[Network] = []

    @kept
    def count(network: Network) -> int | None:
        calls.append(network)
        if len(calls) == 1:
            raise NetworkError("not yet")
        return None

    one, other = onnx(1), onnx(1)
    with pytest.raises(NetworkError, match="not yet"):
        count(one)
    assert count(one) is count(one) is None
    assert calls == [one, one], "None is a value, too"
    count(other)
    assert calls == [one, one, other], "equal networks are two"


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_derives_for_itself(change: str, dynamic: Network) -> None:
    first = [enclosure_of(dynamic), dynamic_layers(dynamic), row_quantiser(dynamic)]
    assert None not in first
    other = COPIES[change](dynamic)
    assert vars(other).get("derived", Derived()).__dict__ == Derived().__dict__
    assert other.derived is not dynamic.derived
    again = [enclosure_of(other), dynamic_layers(other), row_quantiser(other)]
    assert None not in again
    assert not any(one is two for one, two in zip(first, again, strict=True))
    assert first == [enclosure_of(dynamic), dynamic_layers(dynamic), row_quantiser(dynamic)]


def test_no_enclosure_survives_a_change_of_the_network(dynamic: Network) -> None:
    """A stale one would be sound for another runtime, or for weights that are not run."""
    builtin = enclosure_of(dynamic)
    assert builtin is not None
    boxed = replace(dynamic, black_box="planted")
    assert (enclosure_of(boxed), dynamic_layers(boxed), row_quantiser(boxed)) == (None,) * 3
    taken = enclosure_of(replace(dynamic, runtime="xnnpack"))
    assert taken is not None
    assert builtin.layers[0].share < 0.5 / 126
    assert taken.layers[0].share < 0.5 / 254 < builtin.layers[0].share, "rows of another kernel"
    network, other = onnx(1), onnx(2)
    assert enclosure_of(network) is not None
    heavier = enclosure_of(replace(network, dense=other.dense))
    assert heavier is not None
    assert (heavier.layers[0].weights == 2).all()
    real = enclosure_of(replace(network, runtime="real", arithmetic=Arithmetic.REAL))
    assert real is not None
    plain = enclosure_of(network)
    assert plain is not None
    assert real.layers[0].terms < plain.layers[0].terms, "reals do not round"


def test_no_fixed_network_survives_a_change_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "n.npz"
    networks = []
    for weight in (1, 2):
        layer = FixedLayer(np.full((20, 2), weight), np.zeros(2, int), 0, 0, -128, 127)
        write_fixed(FixedNetwork((layer,), 0, 1), path)
        networks.append(load_network(path, image_shape=SHAPE, classes=2))
    assert fixed_of(networks[1]) is fixed_of(networks[1]) is not None
    with pytest.raises(NetworkError, match="changed"):
        fixed_of(replace(networks[1], sha256=networks[0].sha256))


def test_the_file_of_a_network_is_read_once(
    dynamic: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(litert, name)

        def read(*given: Any) -> Any:
            reads.append(name)
            return real(*given)

        return read

    parts = ("read_flat", "read_graph", "kernels_on_xnnpack")
    for name in parts:
        monkeypatch.setattr(litert, name, counted(name))
    network = replace(dynamic, runtime="xnnpack")
    enclosure_of(network)
    dynamic_layers(network)
    emulator(network)
    emulator(network, FILES["dynamic"])
    assert sorted(reads) == sorted(parts)
    assert litert_file(network) is litert_file(network, FILES["dynamic"])
    with pytest.raises(NetworkError, match="changed"):
        litert_file(network, FILES["int8"])
    Path(network.path).write_bytes(FILES["int8"])
    with pytest.raises(NetworkError, match="changed"):
        litert_file(network)


def test_no_module_keeps_what_belongs_to_a_network() -> None:
    """`functools` caches at the level of a module hold networks, and files, beyond their use."""
    source = Path(enclose.__file__).parent
    held = [path for path in source.rglob("*.py") if "lru_cache" in path.read_text("utf-8")]
    assert held == []
