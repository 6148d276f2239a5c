"""A user's own images: NumPy archives and directories of pictures, as NumPy and Pillow write
them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relrob.errors import DatasetError
from relrob_datasets import load

GREY = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2) * 10
RGB = np.random.default_rng(1).integers(0, 256, (4, 3, 2, 3), dtype=np.uint8)
LABELS = np.array([1, 0, 2, 1])


def npz(path: Path, **arrays: Any) -> str:
    np.savez_compressed(path / "mine.npz", **arrays)
    return str(path / "mine.npz")


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (GREY, (3, 2, 1)),
        (RGB, (3, 2, 3)),
        (GREY.reshape(4, 6), (1, 6, 1)),
        (np.zeros((4, 9), dtype=np.uint8), (3, 3, 1)),
        ((GREY / 255).astype(np.float32), (3, 2, 1)),
        (np.asfortranarray(RGB / 255), (3, 2, 3)),
        ((GREY / 255).astype(np.float16), (3, 2, 1)),
    ],
)
def test_npz_in_each_shape_and_type(tmp_path: Path, images: Any, shape: tuple[int, ...]) -> None:
    path = npz(tmp_path, images=images, labels=LABELS[:, None])
    data = load(path)
    assert (data.name, data.split, data.image_shape, data.classes) == (
        "mine",
        "test",
        shape,
        3,
    )
    assert data.images.dtype == (np.uint8 if images.dtype == np.uint8 else np.float32)
    expected = images.astype(np.float32) if images.dtype != np.uint8 else images
    assert np.array_equal(data.images.ravel(), expected.ravel()) and data.labels.tolist() == [
        1,
        0,
        2,
        1,
    ]
    assert data.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_npz_may_say_how_many_classes_there_are(tmp_path: Path) -> None:
    assert (
        load(npz(tmp_path, images=GREY, labels=LABELS, classes=10, more=np.zeros(3))).classes == 10
    )


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": GREY * 1.0, "labels": LABELS}, r"\[0, 230\].*store levels 0\.\.255 as uint8"),
        ({"images": GREY / 255 - 0.5, "labels": LABELS}, "outside|float pixels in"),
        ({"images": np.full((4, 2, 2), np.nan), "labels": LABELS}, "NaN"),
        ({"images": np.full((4, 2, 2), np.inf), "labels": LABELS}, "inf"),
        ({"images": GREY.astype(np.int64), "labels": LABELS}, "int64; accepted: uint8 levels"),
        ({"images": GREY.astype(object), "labels": LABELS}, "allow_pickle"),
        ({"images": GREY[0, 0], "labels": LABELS}, "shape"),
        ({"images": GREY[:0], "labels": LABELS[:0]}, "empty"),
        ({"images": GREY, "labels": np.eye(3)[LABELS] * 0.5}, "argmax"),
        ({"images": GREY, "labels": np.eye(3)[LABELS] * [[1], [1], [1], [0]]}, "argmax"),
        ({"images": GREY, "labels": LABELS + 0.5}, "float64"),
        ({"images": GREY, "labels": LABELS * np.array([1, 1, 1, np.nan])}, "float64"),
        ({"images": GREY, "labels": LABELS * 1e300}, "float64"),
        ({"images": GREY, "labels": np.array(["a", "1", "b", "c"])}, "image 0, has label 'a'"),
        ({"images": GREY, "labels": np.array(["a", "", "b", "c"])}, "image 1, has label ''"),
        ({"images": GREY, "labels": LABELS[:3]}, "4 images"),
        ({"images": GREY, "labels": LABELS, "classes": 2}, "label 2 at image 2"),
        ({"images": GREY, "labels": LABELS, "classes": np.array([3, 3])}, "classes of shape"),
        ({"images": GREY}, "holds images: no labels; accepted.*try: --labels reference"),
        ({"x": GREY, "y": LABELS}, "holds x, y; accepted"),
    ],
)
def test_npz_refuses(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        load(npz(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    whole = Path(npz(tmp_path, images=GREY, labels=LABELS)).read_bytes()
    alone, impostor = io.BytesIO(), io.BytesIO()
    np.save(alone, GREY)
    with zipfile.ZipFile(impostor, "w") as archive:
        archive.writestr("images.npy", b"not an array")
        archive.writestr("labels.npy", b"\x93NUMPY\x01\x00\x10\x00(__import__('os'))")
    flipped = whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]
    for data in (
        b"",
        b"hello",
        whole[:-30],
        whole[:100],
        flipped,
        alone.getvalue(),
        impostor.getvalue(),
    ):
        (tmp_path / "bad.npz").write_bytes(data)
        with pytest.raises(DatasetError, match=r"bad\.npz") as caught:
            load(str(tmp_path / "bad.npz"))
        assert "\n" not in str(caught.value)


def save(path: Path, levels: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path, **options)


def test_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name, levels in (
        ("dog/b.png", GREY[0]),
        ("dog/a.bmp", GREY[1]),
        ("cat/z.png", GREY[2]),
        ("cat/.hidden.png", RGB[0]),
    ):
        save(tmp_path / name, levels)
    (tmp_path / "dog" / "notes.txt").write_text("not a picture")
    (tmp_path / ".git").mkdir()
    data = load(str(tmp_path))
    assert data.labels.tolist() == [0, 1, 1] and data.split == "test" and data.classes == 2
    assert data.reading.class_names == ("cat", "dog") and data.classes_known
    with pytest.raises(DatasetError, match="has no splits: 'mine'"):
        load(str(tmp_path), "mine")
    assert np.array_equal(data.images[..., 0], GREY[[2, 1, 0]]) and data.name == tmp_path.name
    before = data.sha256
    (tmp_path / "dog" / "b.png").rename(tmp_path / "dog" / "c.png")
    assert load(str(tmp_path)).sha256 != before


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([str(n) for n in range(11)], list(range(11))),  # sorted as text, 10 would come before 2
        (["1", "2"], [1, 2]),
        (["0", "2"], [0, 2]),
        (["00", "01"], [0, 1]),
    ],
)
def test_numbered_folders_keep_their_number(
    tmp_path: Path, names: list[str], labels: list[int]
) -> None:
    for name in names:
        save(tmp_path / name / "x.png", np.full((2, 2), int(name), dtype=np.uint8))
    data = load(str(tmp_path))
    assert data.labels.tolist() == labels and data.images[:, 0, 0, 0].tolist() == [
        int(name) for name in names
    ]
    assert not data.classes_known


def test_keras_names_of_a_split_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    np.savez(
        path, x_test=GREY, y_test=np.arange(len(GREY)), x_train=GREY[:1], y_train=np.array([2])
    )
    assert load(str(path)).labels.tolist() == list(range(len(GREY)))
    assert load(str(path), "train").labels.tolist() == [2]
    assert not load(str(path)).classes_known
    with pytest.raises(DatasetError, match=r"x_test.*no split 'validation'; accepted: test, train"):
        load(str(path), "validation")


def test_labels_csv_keeps_its_order(tmp_path: Path) -> None:
    for number, levels in enumerate(RGB):
        save(tmp_path / f"deep/{number}.png", levels)
    table = "\ufefflabel,filename,note\r\n4,deep/2.png,\r\n0, deep/0.png ,x\r\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8", newline="")
    data = load(str(tmp_path))
    assert (
        data.labels.tolist() == [4, 0]
        and data.classes == 5
        and np.array_equal(data.images, RGB[[2, 0]])
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "photo;label\na.png;0\n",
            "has the columns photo, label; accepted: filename/file/path/image/name and label/",
        ),
        ("", "columns none"),
        ("filename,label\n", "lists no picture"),
        ("filename,label\na.png,0\na.png,1\n", "lists a.png twice"),
        ("filename,label\na.png,-1\n", "line 2 has label '-1'"),
        ("filename,label\na.png,1.5\n", "label '1.5'"),
        ("filename,label\na.png\n", "label ''"),
        ("filename,label\n../a.png,0\n", "inside the directory"),
        ("filename,label\n/etc/passwd,0\n", "inside the directory"),
        ("filename,label\nb.png,0\n", "b.png: No such file"),
        ('filename,label\n"a.png,0\n', "cannot read"),
    ],
)
def test_labels_csv_refuses(tmp_path: Path, table: str, words: str) -> None:
    save(tmp_path / "a.png", GREY[0])
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DatasetError) as caught:
        load(str(tmp_path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_kinds_of_pictures(tmp_path: Path) -> None:
    black_white = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    Image.fromarray(black_white).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(RGB[0]).quantize(6).save(tmp_path / "palette.png")
    save(tmp_path / "grey.jpg", np.full((2, 2), 77, dtype=np.uint8), quality=95)
    save(tmp_path / "grey.pgm", black_white)
    read = {}
    for path in list(tmp_path.iterdir()):
        folder = tmp_path / path.stem / path.suffix[1:] / "0"
        folder.mkdir(parents=True)
        path.rename(folder / path.name)
        read[path.name] = load(str(folder.parent)).images[0]
    assert np.array_equal(read["bits.png"][..., 0], black_white) and np.array_equal(
        read["grey.pgm"][..., 0], black_white
    )
    assert np.array_equal(read["palette.png"], RGB[0])
    assert np.array_equal(read["grey.jpg"], np.full((2, 2, 1), 77))


def picture_bytes(levels: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, kind, **options)
    return stream.getvalue()


NOISE = np.random.default_rng(2).integers(0, 256, (32, 32), dtype=np.uint8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot"),
        (b"hello", "cannot identify"),
        (picture_bytes(NOISE, "PNG")[:600], "cannot read"),
        (picture_bytes(NOISE, "JPEG")[:400], "truncated"),
        (picture_bytes(NOISE, "GIF"), "cannot identify"),
        (picture_bytes(np.zeros((3, 2), dtype=np.uint16), "PNG"), "kind I;16"),
        (picture_bytes(np.zeros((3, 2, 4), dtype=np.uint8), "PNG"), "kind RGBA"),
        (picture_bytes(GREY[0], "PNG", transparency=0), "with transparency"),
        (picture_bytes(GREY[0][:2], "PNG"), "is 2x2 grey, a.png is 2x3 grey"),
        (picture_bytes(RGB[0], "PNG"), "is 2x3 RGB, a.png is 2x3 grey"),
        (
            picture_bytes(np.zeros((2049, 2048), dtype=np.uint8), "PNG"),
            "2048x2049 pixels; accepted: 4194304",
        ),
        (b"P5\n100000 100000\n255\n", "far too large"),
        (b"P5\n10000 10000\n255\n", "far too large"),
    ],
)
def test_a_bad_picture_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    save(tmp_path / "0" / "a.png", GREY[0])
    (tmp_path / "0" / "b.png").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        load(str(tmp_path))
    assert (
        words in str(caught.value)
        and "b.png" in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_an_animation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    frames = [Image.fromarray(levels) for levels in GREY[:2]]
    frames[0].save(tmp_path / "0" / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DatasetError, match="animation"):
        load(str(tmp_path))


def test_what_is_no_data_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "cat").mkdir(parents=True)
    for text, words in (
        ("nmist", "no data set 'nmist'; accepted: mnist, fashion-mnist, cifar10, svhn, PATH.npz"),
        ("", "no data set ''"),
        (str(tmp_path / "absent.npz"), "no data set"),
        (str(tmp_path / "model.onnx"), "is not a data set"),
        (str(tmp_path / "empty"), "has no labelled pictures; accepted: labels.csv"),
        (str(tmp_path / "hollow"), "has no pictures"),
        ("x" * 5000, "cannot read|no data set"),
        ("a\0b", "no data set"),
    ):
        with pytest.raises(DatasetError, match=words) as caught:
            load(text)
        assert "\n" not in str(caught.value)
