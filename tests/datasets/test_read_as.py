"""How data are read: ranges, layouts, one-hot rows, data without labels or splits. Pixels are
compared with exact fractions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from relrob.errors import DatasetError, UsageError
from relrob_datasets import ReadAs, load, load_images, select
from relrob_datasets.first import check, load_image_guarded, load_images_guarded
from relrob_datasets.read_as import Range, mapped, ranged
from relrob_datasets.select import clipped

RNG = np.random.default_rng(4)
TABLE = RNG.normal(0, 3, (6, 5)).astype(np.float32)
LABELS = np.array([1, 0, 2, 1, 0, 2])
RGB = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path / "mine.npz", **arrays)
    return str(path / "mine.npz")


def test_a_range_makes_pixels_and_back(tmp_path: Path) -> None:
    path = npz(tmp_path, images=TABLE, labels=LABELS)
    data = load(path, read_as=ReadAs(range="-16:16"))
    assert data.image_shape == (1, 5, 1) and data.images.dtype == np.float32
    for value, pixel in zip(TABLE.ravel().tolist(), data.images.ravel().tolist(), strict=True):
        exact = (Fraction(value) + 16) / 32
        assert abs(Fraction(pixel) - exact) <= Fraction(1, 2**25)
    assert data.reading.json() == {"range": "-16:16"} == data.reading.identity()
    assert "units of the range" in data.reading.sentences[0]


def test_auto_is_the_range_of_all_splits(tmp_path: Path) -> None:
    path = npz(tmp_path, x_test=TABLE, y_test=LABELS, x_train=TABLE * 2, y_train=LABELS)
    data = load(path, read_as=ReadAs(range="auto"))
    found = data.reading.range
    assert found is not None and data.reading.splits == ("test", "train")
    ends = 2 * float(TABLE.min()), 2 * float(TABLE.max())
    assert ends[0] * (1 + 1e-5) <= found.low <= ends[0] < ends[1] <= found.high
    assert found.high <= ends[1] * (1 + 1e-5) and len(found.text) <= 17
    train = load(path, "train", ReadAs(range=found.text)).images
    assert 0 <= train.min() < 1e-5 and 1 - 1e-5 < train.max() <= 1
    assert np.array_equal(train, load(path, "train", ReadAs(range="auto")).images)


def test_values_too_small_for_an_end() -> None:
    for low, high, text in (
        (1e-12, 1, "0:1"),
        (-1, -1e-12, "-1:0"),
        (-1e-12, 1, "-1/1073741824:1"),
    ):
        _, found = ranged(np.array([low, high]), "auto", "it")
        assert found is not None and found.text == text and Range.of(text) == found


def test_many_rows_are_turned_alike(tmp_path: Path) -> None:
    rows = RNG.normal(0, 1, (2500, 3))
    data = load(
        npz(tmp_path, images=rows, labels=np.zeros(2500, int)), read_as=ReadAs(range="-9:9")
    )
    assert np.array_equal(data.images.reshape(2500, 3), ((rows + 9) / 18).astype(np.float32))


def test_levels_stay_levels_and_integers_are_numbers(tmp_path: Path) -> None:
    path = npz(tmp_path, images=RGB, labels=LABELS)
    levels = load(path, read_as=ReadAs(range="0:255"))
    assert levels.images.dtype == np.uint8 and np.array_equal(levels.images, RGB)
    wide = load(path, read_as=ReadAs(range="0:510"))
    assert np.array_equal(wide.images, (RGB / np.float64(510)).astype(np.float32))
    whole = npz(tmp_path, images=RGB.astype(np.int64) * 1000 - 7, labels=LABELS)
    assert load(whole, read_as=ReadAs(range="auto")).images.max() == 1


@pytest.mark.parametrize(
    ("values", "asked", "words"),
    [
        (TABLE, None, "try: --range "),
        (np.abs(np.rint(TABLE)), None, "store levels 0..255 as uint8, or --range 0:255"),
        (TABLE.astype(np.int64), None, "--range LO:HI"),
        (TABLE, "0:1", "has values in [-"),
        (np.full((6, 5), 300.0), "0:255", "values in the range 0:255; try: --range 0:300"),
        (np.full((6, 5), np.nan), "auto", "NaN"),
        (np.full((6, 5), np.inf), "0:1", "infinite"),
        (np.full((6, 5), 3.0), "auto", "the one value 3"),
        (np.zeros((6, 5), dtype=bool), "0:1", "values of type bool"),
        (TABLE * 1e30, "auto", "2^30"),
    ],
)
def test_ranges_that_do_not_fit(tmp_path: Path, values: Any, asked: str | None, words: str) -> None:
    with pytest.raises((DatasetError, UsageError)) as caught:
        load(npz(tmp_path, images=values, labels=LABELS), read_as=ReadAs(range=asked))
    assert words in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:",
        ":1",
        "a:b",
        "1:0",
        "0:0",
        "nan:1",
        "0:inf",
        "1/0:2",
        "0:1e99",
        "0:1:2",
        "0:1e999999999",
        "٣:4",
        "0:1e20",
    ],
)
def test_no_range(text: str) -> None:
    for each in (text, text + "9" * 200):
        with pytest.raises(UsageError, match="range"):
            ReadAs(range=each)


@given(st.floats(-1e6, 1e6, width=32), st.floats(0.125, 1e6, width=32))
def test_the_text_of_a_range_is_the_range(low: float, width: float) -> None:
    values = np.array([low, low + width])
    if values[0] < values[1] and all(v == 0 or abs(v) > 1e-8 for v in values):
        pixels, found = ranged(values, "auto", "it")
        assert found is not None and Range.of(found.text) == found
        assert found.low <= Fraction(values[0]) and Fraction(values[1]) <= found.high
        span = (found.high - found.low) / Fraction(values[1] - values[0])
        assert 1 <= span <= 1 + Fraction(abs(low) + width) / Fraction(width) / 10**4
        assert 0 <= pixels[0] <= pixels[1] <= 1


@pytest.mark.parametrize(("layout", "turned"), [("auto", True), ("chw", True), ("hwc", False)])
def test_channels_first(tmp_path: Path, layout: str, turned: bool) -> None:
    path = npz(tmp_path, images=RGB.transpose(0, 3, 1, 2), labels=LABELS)
    data = load(path, read_as=ReadAs(layout=layout))
    assert (data.image_shape, data.reading.layout) == (
        ((4, 5, 3), "chw") if turned else ((3, 4, 5), "hwc")
    )
    assert not turned or np.array_equal(data.images, RGB)
    assert bool(data.reading.notes) == turned
    assert data.reading.identity() == ({"layout": "chw"} if turned else {})


@pytest.mark.parametrize("shape", [(6, 3, 5, 3), (6, 1, 7, 1), (6, 4, 5, 3), (6, 4, 5, 7)])
def test_what_may_be_hwc_is_hwc(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = load(npz(tmp_path, images=np.zeros(shape, np.uint8), labels=LABELS))
    assert data.image_shape == shape[1:] and data.reading.notes == ()


def test_layouts_of_what_has_none(tmp_path: Path) -> None:
    Image.fromarray(RGB[0]).save(tmp_path / "a.png")
    for path in ("mnist", str(tmp_path)):
        with pytest.raises(DatasetError, match="images layout chw"):
            load_images(path, "test", ReadAs(layout="chw", labels="reference"))
    with pytest.raises(DatasetError, match=r"\(n, C, H, W\)"):
        load(npz(tmp_path, images=TABLE * 0, labels=LABELS), read_as=ReadAs(layout="chw"))
    with pytest.raises(UsageError, match="images layout 'nchw'; accepted: auto, hwc, chw"):
        ReadAs(layout="nchw")


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32])
def test_one_hot_rows(tmp_path: Path, kind: Any) -> None:
    data = load(npz(tmp_path, images=RGB, labels=np.eye(5)[LABELS].astype(kind)))
    assert data.labels.tolist() == LABELS.tolist()
    assert (data.classes, data.classes_known) == (5, True)
    assert "one-hot rows of 5" in data.reading.notes[0]


def test_whole_floats_are_labels(tmp_path: Path) -> None:
    data = load(npz(tmp_path, images=RGB, labels=LABELS.astype(np.float32)[:, None]))
    assert data.labels.tolist() == LABELS.tolist() and not data.classes_known


def test_without_labels_there_is_no_data_set_yet(tmp_path: Path) -> None:
    path = npz(tmp_path, images=RGB)
    with pytest.raises(DatasetError, match=r"no labels; accepted.*try: --labels reference"):
        load(path)
    images = load_images(path, "test", ReadAs(labels="reference"))
    assert images.labels is None and images.reading.labels == "reference"
    with pytest.raises(DatasetError, match=r"has no labels.*--labels reference"):
        images.dataset()
    with pytest.raises(DatasetError, match="labels are the reference's"):
        select(images, "per-class:1")
    assert select(images, "0:2") == (0, 1)
    data = images.labelled(np.array([2, 2, 0, 0, 1, 1]), 7)
    assert (data.classes, data.classes_known, data.reading) == (7, True, images.reading)
    with pytest.raises(UsageError, match="labels 'own'; accepted: given, reference"):
        ReadAs(labels="own")


def test_labels_that_are_there_are_not_looked_at(tmp_path: Path) -> None:
    for path in (npz(tmp_path, images=RGB, labels=LABELS * 0.3), "mnist"):
        assert load_images(path, "test", ReadAs(labels="reference")).labels is None


def test_loose_pictures(tmp_path: Path) -> None:
    for name, levels in (("b.png", RGB[0]), ("a.png", RGB[1]), ("deep/c.png", RGB[2])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(levels).save(tmp_path / name)
    images = load_images_guarded(str(tmp_path), "test", None, ReadAs(labels="reference"))
    assert np.array_equal(images.images, RGB[[1, 0, 2]]) and images.labels is None
    assert load(str(tmp_path)).reading.notes == (
        "pictures beside the folders of classes, left out: 2",
    )
    both = ReadAs(("ant", "bee"), "reference")
    assert load_images(str(tmp_path), "test", both).classes == 2
    (tmp_path / "labels.csv").write_text("file\nb.png\n")
    listed = load_images(str(tmp_path), "test", ReadAs(labels="reference"))
    assert np.array_equal(listed.images, RGB[:1])
    with pytest.raises(DatasetError, match="has the columns file; accepted"):
        load(str(tmp_path))
    flat = tmp_path / "flat"
    flat.mkdir()
    (tmp_path / "a.png").rename(flat / "a.png")
    with pytest.raises(DatasetError, match=r"1 pictures without labels.*--labels reference"):
        load(str(flat))


def test_splits_of_data_that_have_none(tmp_path: Path) -> None:
    path = npz(tmp_path, images=RGB, labels=LABELS)
    for split in ("train", "foo"):
        with pytest.raises(DatasetError, match=f"has no splits: '{split}'"):
            load(path, split)
        assert load(path, split, whole=True).split == "test"
    assert load(path).reading.splits == () and load("mnist").reading.splits == ("train", "test")
    with pytest.raises(DatasetError, match="has no splits: 'train'"):
        check(path, "train")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0:6", ""),
        ("all", ""),
        ("-6:", ""),
        ("0:7", "images 0:7: the set has 6, 6 are taken"),
        ("4:2000", "images 4:2000: the set has 6, 2 are taken"),
        ("-7:2", "images -7:2: the set has 6, 2 are taken"),
    ],
)
def test_a_slice_beyond_the_set_is_said(tmp_path: Path, text: str, told: str) -> None:
    assert clipped(load(npz(tmp_path, images=RGB, labels=LABELS)), text) == told


def test_one_image_in_a_range_or_channels_first(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", RGB[0].transpose(2, 0, 1))
    data = load_image_guarded(tmp_path / "one.npy")
    assert np.array_equal(data.images[0], RGB[0]) and data.reading.layout == "chw"
    np.save(tmp_path / "row.npy", TABLE[0])
    row = load_image_guarded(tmp_path / "row.npy", read_as=ReadAs(range="auto"))
    assert 0 <= row.images.min() < 1e-4 and 1 - 1e-4 < row.images.max() <= 1


def test_many_classes_are_cut_in_a_line() -> None:
    names = [f"n{number}" for number in range(1000)]
    assert mapped(names).endswith("19 n19 and 980 more")
