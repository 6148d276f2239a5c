"""A class by its number, and by its name where it has one."""

from __future__ import annotations

from collections.abc import Sequence


def class_name(label: int, names: Sequence[str]) -> str:
    """A class as a reader knows it.

    >>> class_name(1, ("cat", "dog")), class_name(7, ()), class_name(-1, ())
    ('1 dog', '7', 'none')
    """
    if label < 0:
        return "none"
    return f"{label} {names[label]}" if label < len(names) else str(label)
