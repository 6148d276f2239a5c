"""The images that a run was asked for, as text that `--images` takes: "0:100", or "3,17,4"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relrob.errors import StoreError


def spelled(indices: Sequence[int]) -> str:
    """A slice where they are one, else a list.

    >>> spelled(range(100)), spelled([3, 17, 4]), spelled([7])
    ('0:100', '3,17,4', '7')
    """
    first, count = indices[0], len(indices)
    if count > 1 and all(index == first + place for place, index in enumerate(indices)):
        return f"{first}:{first + count}"
    return ",".join(map(str, indices))


def asked(header: Mapping[str, Any]) -> Sequence[int] | None:
    """The images that a summary's header speaks of, in their order; None where it does not say.
    Raises StoreError.

    >>> asked({"dataset": {"indices": "3:6"}})
    range(3, 6)
    """
    text = header["dataset"].get("indices")
    if text is None:
        return None
    try:
        first, colon, end = text.partition(":")
        return range(int(first), int(end)) if colon else [int(index) for index in text.split(",")]
    except (ValueError, AttributeError) as error:
        raise StoreError(f"a summary of the images {text!r}", "such as 0:100 or 3,17,4") from error
