"""A directory of pictures, labelled by `labels.csv` or by one sub-folder a class."""

from __future__ import annotations

import csv
import struct
import warnings
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relrob.domain.arrays import Levels
from relrob.errors import DatasetError
from relrob.system.files import readable, sha256_path
from relrob_datasets.dataset import Dataset
from relrob_datasets.integrity import reading

FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".webp")
MOST_PIXELS = 1 << 22
ACCEPTED = "labels.csv with the columns filename,label, or one sub-folder of pictures a class"


def load_pictures(folder: Path, split: str) -> Dataset:
    """Pictures of one size, all grey or all RGB, in the order of labels.csv, or by class and then
    by name.

    Sub-folders in sorted order are the classes 0, 1, ...; their names are the labels where all of
    them are whole numbers. Hidden files and files that are no pictures are left alone. Raises
    DatasetError.
    """
    with reading(folder):
        table = folder / "labels.csv"
        listed = _from_table(folder, table) if table.is_file() else _from_folders(folder)
        images = _stack([path for path, _ in listed])
        digest = sha256_path(folder)
    labels = np.array([label for _, label in listed], dtype=np.int64)
    named = not table.is_file() and not _numbered(sorted({path.parent.name for path, _ in listed}))
    return Dataset(
        readable(folder.resolve().name),
        split,
        images,
        labels,
        int(labels.max()) + 1,
        digest,
        classes_known=named,
    )


def _from_table(folder: Path, table: Path) -> list[tuple[Path, int]]:
    """(picture, label) for each row of labels.csv."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if not {"filename", "label"} <= set(rows.fieldnames or ()):
                raise DatasetError(
                    f"{table} has the columns {', '.join(rows.fieldnames or ()) or 'none'}",
                    "filename,label",
                )
            listed = [_row(folder, table, rows.line_num, row) for row in rows]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(
            f"cannot read {table}: {error}", "a comma-separated table in UTF-8"
        ) from error
    if not listed:
        raise DatasetError(f"{table} lists no picture", ACCEPTED)
    names = [path for path, _ in listed]
    if len(set(names)) < len(names):
        twice = next(path for place, path in enumerate(names) if path in names[:place])
        raise DatasetError(f"{table} lists {twice.name} twice", "each picture once")
    return listed


def _row(folder: Path, table: Path, line: int, row: dict[str, Any]) -> tuple[Path, int]:
    """(picture, label) of one row. Raises DatasetError for a file outside the folder, or a label
    below 0."""
    name, label = (str(row[column] or "").strip() for column in ("filename", "label"))
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts:
        raise DatasetError(f"{table} line {line} names {name!r}", "a picture inside the directory")
    if not (label.isascii() and label.isdigit() and len(label) < 10):
        raise DatasetError(f"{table} line {line} has label {label!r}", "a whole number from 0 on")
    return _regular(folder / parts), int(label)


def _regular(path: Path) -> Path:
    """The path. Raises DatasetError for a pipe, device or folder: opening one could wait for
    ever."""
    if path.exists() and not path.is_file():
        raise DatasetError(
            f"{path} is not a regular file", f"a picture: {', '.join(FORMATS)}", "leave it out"
        )
    return path


def _from_folders(folder: Path) -> list[tuple[Path, int]]:
    """(picture, class) for each picture of each sub-folder."""
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    names = [path.name for path in classes]
    labels = [int(name) for name in names] if _numbered(names) else list(range(len(names)))
    listed = []
    for label, path in sorted(zip(labels, classes, strict=True)):
        pictures = sorted(
            p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
        if not pictures:
            raise DatasetError(
                f"class folder {path} has no pictures", f"files that end in {', '.join(SUFFIXES)}"
            )
        listed += [(_regular(picture), label) for picture in pictures]
    if not listed:
        raise DatasetError(f"{folder} has no labelled pictures", ACCEPTED)
    return listed


def _numbered(names: list[str]) -> bool:
    """True where the names are whole numbers and no two are equal."""
    digits = all(name.isascii() and name.isdigit() and len(name) < 10 for name in names)
    return digits and len({int(name) for name in names}) == len(names)


def _stack(paths: list[Path]) -> Levels:
    """(n, H, W, C) uint8. Raises DatasetError for a picture of another size or kind than the
    first."""
    first = read_picture(paths[0])
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for place, path in enumerate(paths):
        picture = read_picture(path)
        if picture.shape != first.shape:
            raise DatasetError(
                f"{path} is {_size(picture)}, {paths[0].name} is {_size(first)}",
                "pictures of one size and kind",
            )
        images[place] = picture
    images.flags.writeable = False
    return images


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
