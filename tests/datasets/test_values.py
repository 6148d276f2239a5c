"""The data set as a value, the selection of images, and the embedded MNIST."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.errors import ChecksumError, DatasetError
from relrob_datasets import Dataset, load, load_known, select
from relrob_datasets.manifest import MANIFESTS, MNIST, File

LEVELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
LABELS = np.array([1, 0])


def make(images: Any = LEVELS, labels: Any = LABELS, classes: int = 2) -> Dataset:
    return Dataset("toy", "test", images, labels, classes, "")


def test_a_data_set_is_read_only_and_knows_its_shape() -> None:
    data = make()
    assert (len(data), data.image_shape, data.labels.dtype.name) == (2, (3, 2, 2), "int64")
    for array in (data.images, data.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    LEVELS_COPY = LEVELS.copy()
    mine = make(LEVELS_COPY)
    LEVELS_COPY[:] = 0
    assert np.array_equal(mine.images, LEVELS)


def test_every_level_becomes_the_float32_nearest_to_k_over_255() -> None:
    data = make(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), np.array([0]))
    pixels = data.pixels([0])
    assert pixels.dtype == np.float32 and pixels.shape == (1, 256)
    for k, value in enumerate(pixels[0]):
        exact = Fraction(k, 255)
        error = abs(Fraction(float(value)) - exact)
        for toward in (-1, 2):
            assert error <= abs(Fraction(float(np.nextafter(value, np.float32(toward)))) - exact)


def test_pixels_are_flat_in_hwc_order_and_floats_stay_as_they_are() -> None:
    data = make()
    assert np.array_equal(
        np.round(data.pixels([1, 0, 1]) * 255), np.stack([LEVELS[i].ravel() for i in (1, 0, 1)])
    )
    floats = np.linspace(0, 1, 24, dtype=np.float32).reshape(LEVELS.shape)
    assert np.array_equal(make(floats).pixels((0, 1)).ravel(), floats.ravel())
    assert data.pixels([]).shape == (0, 12)
    for index in (-1, 2):
        with pytest.raises(DatasetError, match=rf"image {index} .*0\.\.1"):
            data.pixels([index])


def spoiled(value: float) -> np.ndarray[Any, Any]:
    floats = np.zeros(LEVELS.shape, dtype=np.float32)
    floats[1, 0, 1, 0] = value
    return floats


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": spoiled(np.nan)}, "NaN"),
        ({"images": spoiled(np.inf)}, r"\[0, inf\]"),
        ({"images": spoiled(-1e-6)}, r"\[-1e-06, 0\]; accepted: float pixels in \[0, 1\]"),
        ({"images": spoiled(255)}, "store levels 0..255 as uint8"),
        ({"images": LEVELS[0]}, "shape"),
        ({"images": LEVELS.astype(np.int64)}, "int64"),
        ({"images": LEVELS[:0], "labels": LABELS[:0]}, "empty"),
        ({"images": LEVELS[:, :0]}, "empty"),
        ({"labels": LABELS[:1]}, "2 images and labels of shape"),
        ({"labels": LABELS.astype(float)}, "float64"),
        ({"labels": np.array([0, 2])}, r"label 2 at image 1; accepted: 0\.\.1"),
        ({"labels": np.array([-1, 0])}, "label -1 at image 0"),
        ({"labels": np.array([2**64 - 1, 0], dtype=np.uint64)}, "label 18446744073709551615"),
        ({"classes": 0}, "0 classes"),
    ],
)
def test_an_illegal_data_set_cannot_exist(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


TEN = Dataset(
    "ten",
    "test",
    np.zeros((10, 1, 1, 1), dtype=np.uint8),
    np.array([2, 0, 1, 0, 2, 1, 0, 0, 0, 1]),
    3,
    "",
)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("0:3", (0, 1, 2)),
        (":2", (0, 1)),
        ("8:", (8, 9)),
        ("8:999", (8, 9)),
        ("0:10:4", (0, 4, 8)),
        ("-2:", (8, 9)),
        (":", tuple(range(10))),
        ("all", tuple(range(10))),
        ("3,7,4", (3, 7, 4)),
        (" 3, 7 ", (3, 7)),
        ("5", (5,)),
        ("per-class:1", (0, 1, 2)),
        ("per-class:2", (0, 1, 2, 3, 4, 5)),
    ],
)
def test_select(text: str, chosen: tuple[int, ...]) -> None:
    assert select(TEN, text) == chosen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "accepted: a slice 0:100"),
        ("first ten", "accepted: a slice"),
        ("1,", "accepted: a slice"),
        ("1.5", "accepted: a slice"),
        ("٣", "accepted: a slice"),
        ("9" * 5000, "accepted: a slice"),
        ("0:1:2:3", "accepted: a slice"),
        ("10:20", "is empty: 'ten' (test) has 10 images"),
        ("5:5", "is empty"),
        ("0:5:0", "step 0"),
        ("::-1", "step -1"),
        ("3,10", "image 10 in selection"),
        ("-1", "image -1 in selection"),
        ("3,7,3", "image 3 twice"),
        ("per-class:0", "is empty"),
        ("per-class:3", "class 2 has 2 images in 'ten'; accepted: per-class:2 at most"),
        ("per-class:x", "accepted: a slice"),
    ],
)
def test_select_refuses(text: str, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        select(TEN, text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


SMALL = st.one_of(st.none(), st.integers(-15, 15))


@given(SMALL, SMALL, st.one_of(st.none(), st.integers(1, 4)))
def test_a_slice_is_pythons(start: int | None, stop: int | None, step: int | None) -> None:
    expected = tuple(range(10)[start:stop:step])
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    if expected:
        assert select(TEN, text) == expected
    else:
        with pytest.raises(DatasetError, match="is empty"):
            select(TEN, text)


def test_the_embedded_mnist_is_mnist() -> None:
    test = load("mnist")
    # the published label counts of the test set
    assert np.bincount(test.labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert (test.image_shape, test.images.dtype.name, test.classes, test.name, test.split) == (
        (28, 28, 1),
        "uint8",
        10,
        "mnist",
        "test",
    )
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(load("mnist", "train")) == 60000
    chosen = select(test, "per-class:3")
    assert np.bincount(test.labels[list(chosen)]).tolist() == [3] * 10 and list(chosen) == sorted(
        chosen
    )


def test_the_test_split_needs_no_training_file_and_damage_is_seen(tmp_path: Path) -> None:
    assert MNIST.embedded is not None
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes((MNIST.embedded / name).read_bytes())
    moved = replace(MNIST, embedded=tmp_path)
    assert np.array_equal(load_known(moved, "test").images, load("mnist").images)
    with pytest.raises(DatasetError, match="get mnist"):
        load_known(moved, "train")
    with pytest.raises(DatasetError, match="no split 'dev'; accepted: train, test"):
        load_known(moved, "dev")
    damaged = bytearray((tmp_path / name).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(ChecksumError, match="t10k-labels"):
        load_known(moved, "test")


def test_loading_mnist_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.path[:0] = ['.', 'datasets']; import relrob_datasets;"
        "relrob_datasets.load('mnist');"
        "heavy = ('scipy', 'PIL', 'tensorflow', 'keras', 'onnx', 'click');"
        "print([name for name in heavy if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_manifests_are_whole() -> None:
    with pytest.raises(DatasetError, match="no checksum"):
        File("x", ("test",))
    for manifest in MANIFESTS:
        assert len(manifest.classes) == 10 and all(url.endswith("/") for url in manifest.urls)
        for form in manifest.forms:
            assert all(form.of(split) for split, _ in manifest.splits)
            sums = [total for file in form.files for total in (file.md5, file.sha256) if total]
            assert len(set(sums)) == len(sums) and {len(total) for total in sums} <= {32, 64}
