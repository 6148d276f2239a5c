"""What a file is, how its shape relates to images, and the accuracy on real data that we did not
produce."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relrob_datasets
from relrob.domain.network import Layout
from relrob.errors import NetworkError, ShapeError, UsageError
from relrob.networks.accuracy import accuracy, as_floats, clean_labels
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.operators import NotDenseError, OperatorChain
from relrob.networks.shapes import decide_layout, raster, without_batch
from tests.make_networks import forward, write_keras1, write_onnx
from tests.support import random_dense, shared_data

RGB = (32, 32, 3)
GREY = (28, 28, 1)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("absent.onnx", None, "no network file at"),
        ("n.keras", b"", "is empty"),
        (
            "n.h5",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "Git LFS pointer.*try: git lfs pull",
        ),
        ("n.pb", b"PK\x03\x04", r"suffix '\.pb'; accepted: a \.keras"),
        ("n.keras", b"\x89HDF\r\n\x1a\n....", "named .keras but looks like an HDF5 file"),
        ("n.h5", b"not a network", "named .h5 but starts with other bytes"),
        ("n.tflite", b"\x1c\0\0\0TFL2", "named .tflite but starts with other bytes"),
        ("network", b"%PDF-1.4", "does not start like a network file"),
        ("n.keras", b"PK\x03\x04" + bytes(40), "not a whole Keras archive"),
        ("n.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "not a whole HDF5 file"),
        ("n.onnx", b"\x08\x08\x12\xff\xff", "not a whole ONNX file"),
        ("n.onnx", b"\x08\x08", "holds no operators"),
        ("n.tflite", b"\x1c\0\0\0TFL3", r"not a whole \.tflite file"),
    ],
)
def test_what_is_no_network_gets_one_line(
    name: str, data: bytes | None, message: str, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(tmp_path / name, image_shape=GREY, classes=10)
    assert "\n" not in str(caught.value)


def test_a_directory_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"directory without saved_model\.pb"):
        load_network(tmp_path, image_shape=GREY, classes=10)


def test_truncated_weights_are_refused_at_every_length(tmp_path: Path) -> None:
    whole = write_keras1(random_dense(1, (12, 5, 3)), tmp_path / "n.h5").read_bytes()
    for cut in range(8, len(whole), 97):
        (tmp_path / "n.h5").write_bytes(whole[:cut])
        with pytest.raises(NetworkError):
            load_network(tmp_path / "n.h5", image_shape=(2, 2, 3), classes=3)


def test_loading_imports_no_tensorflow(tmp_path: Path) -> None:
    path = write_onnx(random_dense(1, (12, 5, 3)), tmp_path / "n.onnx")
    code = (
        "import sys; from relrob.networks.load import load_network; from relrob.networks.open import open_network\n"
        f"open_network(load_network({str(path)!r}, image_shape=(2, 2, 3), classes=3))\n"
        "sys.exit(sum(m in sys.modules for m in ('tensorflow', 'keras', 'ai_edge_litert', 'h5py')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("dims", "shape", "layout", "inherit", "expected"),
    [
        ((32, 32, 3), RGB, "auto", None, "hwc"),
        ((3, 32, 32), RGB, "auto", None, "chw"),
        ((32, 32, 3), RGB, "auto", Layout.CHW, "hwc"),
        ((3072,), RGB, "auto", None, "hwc"),
        ((3072,), RGB, "auto", Layout.CHW, "chw"),
        ((1, 3072, 1), RGB, "chw", None, "chw"),
        ((1, 28, 28), GREY, "auto", None, "hwc"),
        ((784,), GREY, "chw", Layout.CHW, "hwc"),
        ((28, 28), GREY, "auto", None, "hwc"),
        ((3, 3, 3), (3, 3, 3), "auto", None, "hwc"),
        ((3, 3, 3), (3, 3, 3), "chw", None, "chw"),
        ((3, 32, 32), RGB, "hwc", None, "UsageError"),
        ((32, 3, 32), RGB, "auto", None, "ShapeError"),
        ((48, 64), RGB, "auto", None, "ShapeError"),
        ((3073,), RGB, "auto", None, "ShapeError"),
        ((-1, 32, 3), RGB, "auto", None, "ShapeError"),
    ],
)
def test_layouts(
    dims: tuple[int, ...],
    shape: tuple[int, int, int],
    layout: str,
    inherit: Layout | None,
    expected: str,
) -> None:
    if expected.endswith("Error"):
        with pytest.raises((ShapeError, UsageError)) as caught:
            decide_layout("n", dims, shape, layout, inherit)
        assert caught.type.__name__ == expected
    else:
        assert decide_layout("n", dims, shape, layout, inherit).value == expected


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        ((1, 3072), ((3072,), True)),
        ((-1, 32, 32, 3), ((32, 32, 3), True)),
        ((-1, -1, -1, 3), ((32, 32, 3), True)),
        ((8, 3, 32, 32), ((3, 32, 32), True)),
        ((3, 32, 32), ((3, 32, 32), False)),
        ((3072,), ((3072,), False)),
        ((1, 3072, 1), ((3072, 1), True)),
        ((-1, 5, -1), ((5, -1), True)),
    ],
)
def test_batch_dimensions(dims: tuple[int, ...], expected: tuple[tuple[int, ...], bool]) -> None:
    assert without_batch(dims, RGB) == expected


def test_rows_are_put_in_raster_order() -> None:
    image = np.arange(24).reshape(2, 4, 3)
    chw = np.ascontiguousarray(image.transpose(2, 0, 1)).reshape(-1)
    assert np.array_equal(image.reshape(-1)[raster(Layout.CHW, (2, 4, 3))], chw)
    assert np.array_equal(raster(Layout.HWC, (2, 4, 3)), np.arange(24))


def test_chains_keep_float32_weights_to_the_bit_and_fold_in_float64() -> None:
    dense = random_dense(2, (6, 5, 4))
    plain, scaled = OperatorChain((3, 2)), OperatorChain((6,))
    scaled.affine(1 / 3, 0.25)
    plain.reshape((6,))
    for number, layer in enumerate(dense.layers):
        for chain in (plain, scaled):
            chain.dense(layer.weights, layer.bias)
            if number == 0:
                chain.relu()
    for got, given in zip(plain.finish().layers, dense.layers, strict=True):
        assert np.array_equal(got.weights, given.weights)
        assert np.array_equal(got.bias, given.bias)
    images = np.random.default_rng(0).random((9, 6))
    np.testing.assert_allclose(
        forward(scaled.finish(), images), forward(dense, images / 3 + 0.25), rtol=1e-5, atol=1e-6
    )
    assert (plain.folded, scaled.folded) == (False, True)
    with pytest.raises(NotDenseError, match="after the softmax"):
        plain.softmax()
        plain.relu()


def test_levels_become_the_nearest_float32() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    assert np.array_equal(as_floats(levels)[:, 0], (np.arange(256) / 255).astype(np.float32))


def test_labels_do_not_depend_on_the_chunk(tmp_path: Path) -> None:
    dense = random_dense(4, (12, 8, 3))
    evaluator = open_network(
        load_network(write_onnx(dense, tmp_path / "n.onnx"), image_shape=(2, 2, 3), classes=3)
    )
    pixels = np.random.default_rng(1).integers(0, 256, (25, 2, 2, 3), dtype=np.uint8)
    expected = forward(dense, pixels.reshape(25, 12) / 255).argmax(axis=1)
    seen: list[int] = []
    assert np.array_equal(clean_labels(evaluator, pixels, chunk=10, progress=seen.append), expected)
    assert seen == [10, 20, 25]
    truth = expected.copy()
    truth[:5] = (truth[:5] + 1) % 3
    assert accuracy(evaluator, pixels, truth) == 0.8
    assert clean_labels(evaluator, pixels[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "right"), [("mnist_weights_keras1", 9827), ("mnist_weights4_keras1", 9814)]
)
def test_the_authors_mnist_networks_are_as_accurate_as_they_should_be(
    name: str, right: int
) -> None:
    network = load_network(shared_data(f"duncan2020/{name}.h5"), image_shape=GREY, classes=10)
    data = relrob_datasets.load("mnist", "test")
    assert (network.layout, network.dense is not None) == (Layout.HWC, True)
    assert int((clean_labels(open_network(network, 2), data.images) == data.labels).sum()) == right


def test_the_authors_cifar_networks_are_as_accurate_as_they_should_be() -> None:
    with np.load(shared_data("cifar10/cifar10_test.npz")) as file:
        pixels, truth = file["x_test"], file["y_test"].reshape(-1)
    full = load_network(
        shared_data("duncan2020/cifar10_weights_keras1.h5"), image_shape=RGB, classes=10
    )
    assert full.layout is Layout.CHW
    assert accuracy(open_network(full, 2), pixels, truth) == pytest.approx(0.4107)
    for runtime in ("xnnpack", "builtin"):
        small = load_network(
            shared_data("duncan2020/converted_model_cifar.tflite"),
            image_shape=RGB,
            classes=10,
            runtime=runtime,
            inherit=full.layout,
        )
        assert (small.scheme, small.layout) == ("dynamic", Layout.CHW)
        assert abs(accuracy(open_network(small, 2), pixels, truth) - 0.4107) < 0.001


@pytest.mark.parametrize("size", ["256x2", "256x4"])
def test_vnncomp_networks_are_read(size: str) -> None:
    path = shared_data(f"vnncomp2022_mnist_fc/onnx/mnist-net_{size}.onnx")
    network = load_network(path, image_shape=GREY, classes=10)
    images = as_floats(relrob_datasets.load("mnist", "test").images[:200])
    assert network.dense is not None
    np.testing.assert_allclose(
        open_network(network).outputs(images), forward(network.dense, images), atol=1e-4
    )
