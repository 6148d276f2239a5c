"""A `.tflite` file in reals: what its own integers stand for, and nothing rounded on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.reals import in_reals, open_in_reals, reals_inside
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.weighted import weights_of
from tests.audit.pairs import dense, images, int8
from tests.audit.stacks import SHAPE, built
from tests.litert_edits import second_graph, sparse
from tests.make_litert import edited
from tests.make_networks import convert


def loaded(data: bytes, folder: Path, classes: int = 10) -> Network:
    """The network of a file."""
    path = folder / "network.tflite"
    path.write_bytes(data)
    return load_network(path, image_shape=SHAPE, classes=classes)


def output_of(data: bytes) -> bytes:
    """The name of the output of a file."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    return bytes(graph.tensors[int(graph.outputs[0])].name)


def stack() -> Any:
    """Layers of several kinds, with zeros around some, and steps that stand between them."""
    return built(
        lambda k: [
            *(k.Conv2D(8, 3, padding="same", activation="relu"), k.BatchNormalization()),
            *(k.MaxPooling2D(2), k.DepthwiseConv2D(2), k.LeakyReLU(), k.Flatten()),
            *(k.Dense(12, activation="tanh"), k.Rescaling(0.5)),
        ]
    )


@pytest.mark.parametrize("scheme", ["int8", "int16x8", "dynamic", "float16", "float32"])
def test_a_file_in_reals_follows_the_float_network(tmp_path: Path, scheme: str) -> None:
    model, shown = stack(), images()
    right = np.asarray(model(shown.reshape(-1, *SHAPE)))
    network = loaded(convert(model, scheme), tmp_path, 5)
    found = open_in_reals(network, 1).outputs(shown)
    assert output_of(in_reals(Path(network.path).read_bytes())) == output_of(
        Path(network.path).read_bytes()
    )
    spread = right.std()
    assert np.abs(found - right).max() < (1e-5 if scheme == "float32" else 0.03) * spread
    if scheme == "int8":
        rounded = open_network(network).outputs(shown)
        assert np.abs(rounded - right).mean() > 2 * np.abs(found - right).mean()


def test_the_values_inside_are_those_of_the_codes_without_rounding(tmp_path: Path) -> None:
    network = loaded(int8(dense(), images()), tmp_path)
    first = weights_of(network)[0]
    assert first.bias is not None
    found = reals_inside(network, [first.tensor], images())
    by_hand = np.maximum(images() @ first.values.T + first.bias, 0)
    np.testing.assert_allclose(found[first.tensor], by_hand, atol=1e-5)


@pytest.mark.parametrize("change", [second_graph, sparse])
def test_a_file_without_such_a_form_is_refused(
    tmp_path: Path, change: Callable[[Any, Any], None]
) -> None:
    data = int8(dense(), images())
    with pytest.raises(NotModelledError):
        in_reals(edited(data, change))
    with pytest.raises(NetworkError, match="is not computed in reals"):
        open_in_reals(loaded(edited(data, change), tmp_path), 1)
