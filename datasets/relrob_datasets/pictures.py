"""A directory of pictures, labelled by `labels.csv` or by one sub-folder a class."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relrob.domain.arrays import Levels
from relrob.errors import DatasetError
from relrob.system.files import readable, sha256_path
from relrob_datasets.dataset import Images
from relrob_datasets.integrity import reading, unsplit
from relrob_datasets.names import Named, labels_of
from relrob_datasets.read_as import AUTO, GIVEN, ReadAs, Reading, ranged
from relrob_datasets.read_as import listed as listed_names
from relrob_datasets.tables import Row, read_table

FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".webp")
MOST_PIXELS = 1 << 22
ACCEPTED = "labels.csv with the columns filename,label, or one sub-folder of pictures a class"

_COLUMNS: Final = {
    "filename": ("filename", "file", "path", "image", "name"),
    "label": ("label", "class", "target", "category", "y"),
}


def load_pictures(folder: Path, split: str, read_as: ReadAs = GIVEN, whole: bool = False) -> Images:
    """Pictures of one size, all grey or all RGB, in the order of labels.csv, or by class and then
    by name.

    Sub-folders in sorted order are the classes 0, 1, ..., or the names that `read_as` gives; their
    names are the labels where all of them are whole numbers. Without labels, all pictures in the
    folder and its sub-folders, by name. Hidden files and files that are no pictures are left alone.
    A folder has no splits: it is "test", and any other one where `whole` is True. Raises
    DatasetError.
    """
    if split != "test" and not whole:
        raise unsplit(folder, split)
    if read_as.layout != AUTO:
        raise DatasetError(f"images layout {read_as.layout} of pictures", "arrays of a .npz")
    with reading(folder):
        table = folder / "labels.csv"
        listed = (
            _from_table(folder, table, read_as)
            if table.is_file()
            else _loose(folder, read_as.classes)
            if read_as.labels == "reference"
            else _from_folders(folder, read_as)
        )
        pixels, scale = ranged(_stack(listed.paths), read_as.range, str(folder))
        digest = sha256_path(folder)
    labels = None if listed.labels is None else np.array(listed.labels, dtype=np.int64)
    return Images(
        readable(folder.resolve().name),
        "test",
        pixels,
        labels,
        listed.classes,
        digest,
        bool(listed.names),
        Reading(
            class_names=listed.names,
            named_by="classes" if read_as.classes else "data",
            labels="data" if labels is not None else "reference",
            range=scale,
            notes=listed.notes,
        ),
    )


@dataclass(frozen=True)
class _Listed:
    """Pictures in order, their labels (None: the reference is to give them), the number of classes
    so far, their names, and what is to be said."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...] | None
    classes: int
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _from_table(folder: Path, table: Path, read_as: ReadAs) -> _Listed:
    """The rows of labels.csv."""
    given = read_as.labels == "given"
    found = read_table(table, _COLUMNS, ("filename", "label") if given else ("filename",))
    paths = tuple(_inside(folder, table, row) for row in found.rows)
    if not paths:
        raise DatasetError(f"{table} lists no picture", ACCEPTED)
    seen = set[Path]()
    for path in paths:
        if path in seen:
            raise DatasetError(f"{table} lists {path.name} twice", "each picture once")
        seen.add(path)
    used = [word for name, word in found.columns.items() if given or name == "filename"]
    notes: tuple[str, ...] = ()
    if found.spare:
        notes = (f"labels.csv: read by its columns {' and '.join(used)}",)
    if not given:
        return _Listed(paths, None, len(read_as.classes) or 1, read_as.classes, notes)
    read = labels_of(
        [row.cells["label"] for row in found.rows],
        read_as.classes,
        lambda at: f"{table} line {found.rows[at].line} has label",
    )
    classes = len(read.names) or max(read.labels) + 1
    return _Listed(paths, read.labels, classes, read.names, notes)


def _inside(folder: Path, table: Path, row: Row) -> Path:
    """The picture of a row. Raises DatasetError for a file outside the folder."""
    parts = PurePosixPath(row.cells["filename"])
    if not row.cells["filename"] or parts.is_absolute() or ".." in parts.parts:
        raise DatasetError(
            f"{table} line {row.line} names {row.cells['filename']!r}",
            "a picture inside the directory",
        )
    return _regular(folder / parts)


def _regular(path: Path) -> Path:
    """The path. Raises DatasetError for a pipe, device or folder: opening one could wait for
    ever."""
    if path.exists() and not path.is_file():
        raise DatasetError(
            f"{path} is not a regular file", f"a picture: {', '.join(FORMATS)}", "leave it out"
        )
    return path


def _pictures(folder: Path, besides: Sequence[Path] = ()) -> list[Path]:
    """The pictures in a folder, by name, but for the folders of classes `besides`."""
    return sorted(
        _regular(path)
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path not in besides
    )


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _loose(folder: Path, classes: tuple[str, ...]) -> _Listed:
    """All pictures of the folder and its sub-folders, without labels."""
    folders = _folders(folder)
    paths = [picture for place in (folder, *folders) for picture in _pictures(place, folders)]
    if not paths:
        raise DatasetError(f"{folder} has no pictures", f"files that end in {', '.join(SUFFIXES)}")
    return _Listed(tuple(paths), None, len(classes) or 1, classes)


def _from_folders(folder: Path, read_as: ReadAs) -> _Listed:
    """The pictures of each sub-folder, with its class."""
    folders = _folders(folder)
    loose = _pictures(folder, folders)
    names = [path.name for path in folders]
    if loose and not folders:
        raise DatasetError(
            f"{folder} has {len(loose)} pictures without labels", ACCEPTED, "--labels reference"
        )
    classes = _labels_of_folders(folder, names, read_as.classes)
    listed = [
        (picture, label)
        for label, path in sorted(zip(classes.labels, folders, strict=True))
        for picture in _pictures(path)
    ]
    if not listed and folders:
        raise DatasetError(
            f"{folder} has no pictures in its folders {listed_names(names)}",
            f"files that end in {', '.join(SUFFIXES)}",
        )
    if not listed:
        raise DatasetError(f"{folder} has no labelled pictures", ACCEPTED)
    there = {label for _, label in listed}
    every = enumerate(classes.names) if classes.names else zip(classes.labels, names, strict=True)
    empty = [name for label, name in every if label not in there]
    notes = [f"classes without pictures: {listed_names(empty)}"] if empty else []
    if loose:
        notes.append(f"pictures beside the folders of classes, left out: {len(loose)}")
    count = len(classes.names) or max(classes.labels) + 1
    paths, labels = zip(*listed, strict=True)
    return _Listed(paths, labels, count, classes.names, tuple(notes))


def _labels_of_folders(folder: Path, names: list[str], classes: tuple[str, ...]) -> Named:
    """The label of each folder."""
    if _numbered(names) and not (classes and set(names) <= set(classes)):
        return Named(tuple(int(name) for name in names), classes)
    if not classes:
        return Named(tuple(range(len(names))), tuple(names))
    return labels_of(names, classes, lambda at: f"{folder} has the folder")


def _numbered(names: list[str]) -> bool:
    """True where the names are whole numbers and no two are equal."""
    digits = all(name.isascii() and name.isdigit() and len(name) < 10 for name in names)
    return digits and len({int(name) for name in names}) == len(names)


def _stack(paths: Sequence[Path]) -> Levels:
    """(n, H, W, C) uint8. Raises DatasetError for pictures of more than one size or kind."""
    first = read_picture(paths[0])
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for place, path in enumerate(paths):
        picture = read_picture(path)
        if picture.shape != first.shape:
            raise _odd_one(paths)
        images[place] = picture
    images.flags.writeable = False
    return images


def _odd_one(paths: Sequence[Path]) -> DatasetError:
    """The error that names a picture of another size or kind than most, the first where as many
    have each."""
    sizes = [_size(read_picture(path)) for path in paths]
    usual = Counter(sizes).most_common(1)[0][0]
    odd = [place for place, size in enumerate(sizes) if size != usual]
    return DatasetError(
        f"{paths[odd[0]]} is {sizes[odd[0]]}, {paths[sizes.index(usual)].name} is {usual}",
        "pictures of one size and kind",
        f"{len(odd):,} of {len(paths):,} differ from most: convert them or leave them out",
    )


def read_picture(path: Path) -> Levels:
    """One picture as (H, W, C) levels, C = 1 for grey and 3 for RGB. Raises DatasetError that names
    it."""
    try:
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                return _levels(path, picture)
    except (SyntaxError, ValueError, struct.error, OverflowError, IndexError) as error:
        raise DatasetError(
            f"cannot read {path}: {error}", f"a picture: {', '.join(FORMATS)}"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(
            f"{path} is far too large: {error}", f"{MOST_PIXELS} pixels at most"
        ) from error


def _levels(path: Path, picture: Image.Image) -> Levels:
    """The levels of a picture. A palette becomes RGB, black-and-white becomes grey.

    Raises DatasetError for transparency, deep colour, animations and too many pixels.
    """
    if picture.width * picture.height > MOST_PIXELS:
        raise DatasetError(
            f"{path} has {picture.width}x{picture.height} pixels", f"{MOST_PIXELS} pixels at most"
        )
    if getattr(picture, "n_frames", 1) > 1:
        raise DatasetError(f"{path} is an animation", "one still picture a file")
    target = {"L": "L", "1": "L", "RGB": "RGB", "P": "RGB"}.get(picture.mode)
    if target is None or "transparency" in picture.info:
        mode = f"{picture.mode} with transparency" if target else picture.mode
        raise DatasetError(
            f"{path} has pixels of kind {mode}", "8-bit grey or RGB", "save it without transparency"
        )
    levels: NDArray[np.uint8] = np.asarray(picture.convert(target), dtype=np.uint8)
    return levels[..., np.newaxis] if levels.ndim == 2 else levels


def _size(picture: Levels) -> str:
    height, width, channels = picture.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
