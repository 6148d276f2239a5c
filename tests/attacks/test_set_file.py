"""Adversarial sets as files: what was kept comes back, damage is told, and no pickle is run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.attacks.adversarial_set import AdversarialSet, Origin
from relrob.attacks.selection import Filter
from relrob.attacks.set_file import most_bytes, parse_set, read_set, set_bytes, write_set
from relrob.domain.network import Layout
from relrob.domain.region import Norm
from relrob.errors import DatasetError, RelrobError
from relrob.system.npz import digest_of, packed, unpacked
from relrob_datasets import load

ORIGIN = Origin(
    attack="fgsm:eps=0.1",
    norm=Norm.LINF,
    seed=4,
    network="a.onnx",
    sha256="ab" * 32,
    runtime="onnxruntime",
    scheme="float32",
    contract="",
    dataset="d",
    split="test",
    data_sha256="cd" * 32,
    classes=4,
    classes_known=True,
    filter=Filter.SOURCE_CORRECT,
    version="0.1.0",
)


def made(**changes: Any) -> AdversarialSet:
    rng = np.random.default_rng(2)
    values: dict[str, Any] = {
        "origin": ORIGIN,
        "shape": (2, 3, 1),
        "adversarial": rng.random((5, 6), dtype=np.float32),
        "images": rng.random((5, 6), dtype=np.float32),
        "indices": np.array([9, 3, 4, 1, 0]),
        "labels": np.array([0, 1, 2, 3, 0]),
        "clean": np.array([0, 1, 2, 3, 1]),
        "found": np.array([1, 1, -1, 0, 0]),
        "queries": np.arange(5),
        "gradients": np.arange(5) * 2,
    }
    return AdversarialSet(**{**values, **changes})


FULL = {
    "targets": np.array([1, 2, 3, 0, 1]),
    "delta": np.linspace(-0.5, 0.5, 6, dtype=np.float32),
    "origin": replace(
        ORIGIN, range="-1:1", fitted_on="3 images", classes_known=False, layout=Layout.CHW
    ),
}


@pytest.mark.parametrize("more", [{}, FULL], ids=["plain", "full"])
def test_what_was_kept_comes_back(more: dict[str, Any], tmp_path: Path) -> None:
    kept, path = made(**more), tmp_path / "adv.npz"
    write_set(path, kept)
    found = read_set(path)
    assert (found.origin, found.shape) == (kept.origin, kept.shape)
    for name, values in vars(kept).items():
        if isinstance(values, np.ndarray):
            again = getattr(found, name)
            assert again.dtype == values.dtype and again.tobytes() == values.tobytes(), name
            assert not again.flags.writeable
    assert (found.targets is None, found.delta is None) == (not more, not more)
    assert set_bytes(found) == path.read_bytes() == set_bytes(kept)


def test_the_size_of_a_file_is_bounded_before_it_is_made() -> None:
    """Noise does not compress."""
    rng = np.random.default_rng(0)
    numbers = {name: rng.integers(0, 4, 300) for name in ("labels", "clean", "found", "targets")}
    counts = {name: rng.integers(0, 2**40, 300) for name in ("indices", "queries", "gradients")}
    pixels = {name: rng.random((300, 768), dtype=np.float32) for name in ("adversarial", "images")}
    delta = rng.standard_normal(768).astype(np.float32)
    found = made(shape=(16, 16, 3), **pixels, **numbers, **counts, delta=delta)
    size = len(set_bytes(found))
    assert 0.7 * most_bytes(300, 768) < size <= most_bytes(300, 768)
    assert len(set_bytes(made(**FULL))) <= most_bytes(5, 6)


def test_a_set_that_says_no_layout_is_of_rows_first() -> None:
    def without(arrays: dict[str, NDArray[Any]]) -> None:
        told = json.loads(str(arrays["about"]))
        del told["layout"]
        arrays["about"] = np.array(json.dumps(told, sort_keys=True))

    assert parse_set("adv.npz", edited(without, signed=True)).origin == ORIGIN


def test_success_is_about_the_goal() -> None:
    assert made().success.tolist() == [True, False, True, True, False]
    aimed = made(targets=np.array([1, 2, 3, 1, 1]))
    assert aimed.success.tolist() == [True, False, False, False, False]


def test_the_file_is_a_data_set_of_its_examples(tmp_path: Path) -> None:
    write_set(tmp_path / "adv.npz", made())
    data = load(str(tmp_path / "adv.npz"), "test")
    assert (data.image_shape, data.classes, data.classes_known) == ((2, 3, 1), 4, True)
    assert data.labels.tolist() == made().labels.tolist()
    assert data.images.tobytes() == made().adversarial.tobytes()


def refused(data: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words) as told:
        parse_set("adv.npz", data)
    assert str(told.value).startswith("adv.npz") and "\n" not in str(told.value)


def edited(change: Callable[[dict[str, NDArray[Any]]], Any], signed: bool = False) -> bytes:
    """A file whose arrays were changed; `signed`: with a digest of its own."""
    arrays = unpacked(set_bytes(made()), 1 << 20)
    change(arrays)
    if signed:
        del arrays["digest"]
        arrays["digest"] = np.array(digest_of(arrays))
    return packed(arrays)


def test_every_member_that_is_edited_is_told() -> None:
    for name in unpacked(set_bytes(made()), 1 << 20):
        refused(edited(partial(_change, name)), "damaged or edited")


def _change(name: str, arrays: dict[str, NDArray[Any]]) -> None:
    arrays[name] = _other(arrays[name])


def _other(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "U":
        return np.array(str(array)[::-1])
    return (array + 1).astype(array.dtype)


def about(**changes: Any) -> Callable[[dict[str, NDArray[Any]]], None]:
    def change(arrays: dict[str, NDArray[Any]]) -> None:
        told = {**json.loads(str(arrays["about"])), **changes}
        arrays["about"] = np.array(json.dumps(told, sort_keys=True))

    return change


def put(name: str, values: Any) -> Callable[[dict[str, NDArray[Any]]], None]:
    return lambda arrays: arrays.update({name: np.asarray(values)})


WRONG: list[tuple[Callable[[dict[str, NDArray[Any]]], Any], str]] = [
    (lambda arrays: arrays.pop("clean"), "it holds about"),
    (put("more", 1), "it holds about"),
    (put("images", np.full((5, 2, 3, 1), 2, np.float32)), "no pixels"),
    (put("images", np.full((5, 2, 3, 1), np.nan, np.float32)), "no pixels"),
    (put("clean_images", np.zeros((5, 2, 3, 1))), "float64"),
    (put("images", np.zeros((4, 2, 3, 1), np.float32)), "adversarial of shape"),
    (put("images", np.zeros((5, 6), np.float32)), "images of shape"),
    (put("labels", [0, 1, 2, 4, 0]), "labels from 0 to 4"),
    (put("labels", [0.0, 1, 2, 3, 0]), "whole numbers"),
    (put("labels", np.zeros((5, 1), np.int64)), "whole numbers"),
    (put("indices", [-1, 1, 2, 3, 0]), "indices from -1"),
    (put("found", [-2, 1, 2, 3, 0]), "found from -2"),
    (put("found", [0, 1, 2, 3, 10**9]), "found from 0 to 1000000000"),
    (put("found", [0, 1, 2, 3, 4]), "found from 0 to 4"),
    (put("clean", [4, 1, 2, 3, 0]), "clean from 0 to 4"),
    (put("targets", [4, 1, 2, 3, 0]), "targets from 0 to 4"),
    (put("classes", 5), "classes are not those"),
    (put("classes", np.arange(4.0)), "classes are not those"),
    (lambda arrays: arrays.pop("classes"), "classes are not those"),
    (put("delta", np.zeros(6, np.float32)), "delta"),
    (put("delta", np.full((2, 3, 1), np.inf, np.float32)), "delta"),
    (about(format=2), "format 1"),
    (about(kind="cookbook"), "format 1"),
    (about(seed="4"), "seed is '4'"),
    (about(classes=True), "classes is True"),
    (about(norm="l7"), "l7"),
    (about(filter="some"), "some"),
    (about(layout="whc"), "whc"),
    (about(layout=1), "layout is 1"),
    (about(more=1), "more"),
    (put("about", "[1, 2]"), "adv.npz"),
    (put("about", "{"), "adv.npz"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
def test_values_that_cannot_be_are_refused_whatever_the_digest(
    change: Callable[[dict[str, NDArray[Any]]], Any], words: str
) -> None:
    refused(edited(change, signed=True), words)


def test_damaged_bytes_never_end_in_another_error() -> None:
    whole, rng = set_bytes(made()), np.random.default_rng(8)
    parse_set("adv.npz", whole)
    for number in range(300):
        data = bytearray(whole)
        if number % 3 == 0:
            data = data[: int(rng.integers(len(data)))]
        else:
            at = int(rng.integers(len(data)))
            data[at] ^= int(rng.integers(1, 256))
        try:
            again = parse_set("adv.npz", bytes(data))
        except RelrobError as error:
            assert isinstance(error, DatasetError)
        else:
            # Bytes outside the values, such as a date.
            assert set_bytes(again) == whole


class Evil:
    """An object whose pickle would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (open, (str(self.path), "w"))


def test_no_pickle_is_run(tmp_path: Path) -> None:
    held = io.BytesIO()
    np.lib.format.write_array(
        held, np.array([Evil(tmp_path / "owned")], dtype=object), allow_pickle=True
    )
    buffer = io.BytesIO(set_bytes(made()))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("targets.npy", held.getvalue())
    refused(buffer.getvalue(), "Object arrays")
    assert not (tmp_path / "owned").exists()


def test_a_bomb_is_not_unpacked() -> None:
    data = packed({"images": np.zeros((1 << 20,), np.float32)})
    with pytest.raises(ValueError, match="when unpacked"):
        unpacked(data, 1 << 20)
    assert len(data) < 1 << 15


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, data in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DatasetError, match="no adversarial set"):
            read_set(tmp_path / name)
    with pytest.raises(RelrobError, match="cannot read"):
        read_set(tmp_path / "nowhere.npz")


def test_an_illegal_set_cannot_be_made() -> None:
    for changes in (
        {"shape": (2, 3)},
        {"shape": (2, 2, 1)},
        {"images": np.zeros((5, 6))},
        {"targets": np.array([1])},
        {"delta": np.zeros(5, np.float32)},
        {"adversarial": -made().adversarial},
    ):
        with pytest.raises(DatasetError):
            made(**changes)
