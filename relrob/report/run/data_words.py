"""How the data of a run were read, in words for table.md and the terminal."""

from __future__ import annotations

from typing import Final

from relrob.errors import capped
from relrob.errors import printable as escaped
from relrob.store.header import DatasetHeader

# The most classes that are listed, and characters of a name.
MOST: Final = 20
LONGEST: Final = 60


def data_facts(data: DatasetHeader) -> list[tuple[str, str]]:
    """(name, text) of class names, labels of the reference, a range and notes, where there are any.

    >>> data_facts(DatasetHeader(classes=("cat", "dog")))
    [('classes', '0 cat, 1 dog, in sorted order; --classes FILE gives another')]
    """
    told = []
    if data.classes:
        how = (
            "as --classes gives them"
            if data.named_by == "classes"
            else "in sorted order; --classes FILE gives another"
        )
        told.append(("classes", f"{_mapped(data.classes)}, {how}"))
    if data.labels == "reference":
        told.append(
            ("labels", "the reference's own, so that accuracies are agreement with the reference")
        )
    if data.range:
        told.append(
            (
                "range",
                f"values {escaped(str(data.range))} are pixels 0 to 1; radius and step are in "
                "units of the range",
            )
        )
    return [*told, *(("data", escaped(note)) for note in data.notes)]


def _mapped(names: tuple[str, ...]) -> str:
    """Label and name of each class, cut where there are many."""
    shown = [f"{label} {capped(escaped(name), LONGEST)}" for label, name in enumerate(names[:MOST])]
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(shown) + more
