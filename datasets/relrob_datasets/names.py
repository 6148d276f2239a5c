"""Classes by name: the file of `--classes`, and the labels that texts and folders stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relrob.errors import ClassCountError, DatasetError
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.integrity import reading
from relrob_datasets.read_as import listed
from relrob_datasets.tables import read_table, text_of

ACCEPTED: Final = (
    "one class name a line in the order of the network's outputs, "
    "or a .csv, .tsv or .json of name,label"
)
# The most bytes of a file of class names, classes, and characters of a name.
LARGEST: Final = 1 << 22
MOST: Final = 100_000
LONGEST: Final = 200
_COLUMNS: Final = {
    "name": ("name", "classname", "class", "category", "folder"),
    "label": ("label", "index", "number", "output", "id"),
}


@dataclass(frozen=True)
class Named:
    """Labels that texts stand for. `names`: the classes in the order of labels, () where the texts
    are the numbers."""

    labels: tuple[int, ...]
    names: tuple[str, ...] = ()


def whole(text: str) -> int | None:
    """The whole number from 0 on that a text is, 3.0 too, else None.

    >>> whole("07"), whole("3.0"), whole("3.5"), whole("cat")
    (7, 3, None, None)
    """
    digits, mark, rest = text.partition(".")
    if mark and (not rest or rest.strip("0")):
        return None
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def labels_of(texts: Sequence[str], classes: tuple[str, ...], where: Callable[[int], str]) -> Named:
    """The labels of some texts: names among `classes` (those of --classes), whole numbers, or names
    of which the sorted ones are the classes 0, 1, ...

    `where`: words that name the text of a place. Raises DatasetError.
    """
    numbers = [whole(text) for text in texts]
    if classes and set(texts) <= set(classes):
        place = {name: label for label, name in enumerate(classes)}
        return Named(tuple(place[text] for text in texts), classes)
    if classes and any(number is None for number in numbers):
        odd = next(at for at, text in enumerate(texts) if text not in classes)
        raise DatasetError(
            f"{where(odd)} {texts[odd]!r}, which is not in --classes", listed(classes)
        )
    if all(number is not None for number in numbers):
        return Named(tuple(int(number) for number in numbers if number is not None), classes)
    mixed = any(number is not None for number in numbers)
    for at, text in enumerate(texts):
        if numbers[at] is None and (mixed or not text or _number(text)):
            raise DatasetError(f"{where(at)} {text!r}", "a whole number from 0 on, or names alone")
    names = sorted(set(texts))
    place = {name: label for label, name in enumerate(names)}
    return Named(tuple(place[text] for text in texts), tuple(names))


def _number(text: str) -> bool:
    """Is the text a number, whole or not?"""
    try:
        float(text[:100])
    except ValueError:
        return False
    return True


def read_classes(path: Path) -> tuple[str, ...]:
    """The names of a file, in the order of labels. Raises DatasetError."""
    with reading(path):
        suffix = path.suffix.lower()
        if suffix == ".json":
            names = _from_json(path)
        elif suffix in (".csv", ".tsv"):
            names = _from_table(path)
        else:
            names = [line.strip() for line in text_of(path, LARGEST).splitlines()]
            while names and not names[-1]:
                names.pop()
    return _checked(path, names)


def _checked(path: Path, names: list[str]) -> tuple[str, ...]:
    if not 0 < len(names) <= MOST:
        raise DatasetError(f"{path} has {len(names):,} class names", f"1 to {MOST:,}: {ACCEPTED}")
    for label, name in enumerate(names):
        if not name or len(name) > LONGEST:
            what = f"a name of {len(name):,} characters" if name else "an empty name"
            raise DatasetError(f"{path} has {what} for class {label}", ACCEPTED)
    seen: dict[str, int] = {}
    for label, name in enumerate(names):
        if name in seen:
            raise DatasetError(
                f"{path} names {name!r} for the classes {seen[name]} and {label}", "each name once"
            )
        seen[name] = label
    return tuple(names)


def _from_table(path: Path) -> list[str]:
    table = read_table(path, _COLUMNS, ("name",))
    if "label" not in table.columns:
        return [row.cells["name"] for row in table.rows]
    return _in_order(path, [(row.cells["name"], row.cells["label"]) for row in table.rows])


def _from_json(path: Path) -> list[str]:
    """A list of names, or an object of name: label or of label: name."""
    try:
        found: Any = json.loads(text_of(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"cannot read {path}: {error}", ACCEPTED) from error
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [name.strip() for name in found]
    if isinstance(found, dict) and all(type(value) in (str, int) for value in found.values()):
        pairs = [(str(key), str(value)[:LONGEST]) for key, value in found.items()]
        by_label = all(whole(key.strip()) is not None for key, _ in pairs)
        return _in_order(path, [(name, key) for key, name in pairs] if by_label else pairs)
    raise DatasetError(f"{path} holds no class names", ACCEPTED)


def _in_order(path: Path, pairs: list[tuple[str, str]]) -> list[str]:
    """The names by their labels, which are 0, 1, ..., each once."""
    found: dict[int, str] = {}
    for name, text in pairs:
        label = whole(text.strip())
        if label is None or label in found or label >= len(pairs):
            what = "twice" if label is not None and label in found else f"of {len(pairs)} names"
            raise DatasetError(f"{path} has label {text!r} {what}", "labels 0, 1, ..., each once")
        found[label] = name.strip()
    return [found[label] for label in range(len(found))]


@contextmanager
def naming(data: Images | Dataset) -> Iterator[None]:
    """Say, in the error of a network with another number of outputs, which names were found and
    that --classes gives all of them."""
    try:
        yield
    except ClassCountError as error:
        given, names = data.reading.named_by == "classes", data.reading.class_names
        if not names:
            raise
        what = "in --classes" if given else "found"
        hint = (
            f"--classes FILE with a name for each output, in their order ({what}: {listed(names)})"
        )
        raise ClassCountError(error.parts[0], error.parts[1], hint) from error
