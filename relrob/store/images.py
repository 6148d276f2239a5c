"""The selection of images of a run, as text that `--images` takes: "0:100", or "3,17,4"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relrob.errors import StoreError


def spelled(indices: Sequence[int]) -> str:
    """The indices as a slice where they are consecutive, else as a list.

    >>> spelled(range(100)), spelled([3, 17, 4]), spelled([7])
    ('0:100', '3,17,4', '7')
    """
    first, count = indices[0], len(indices)
    if count > 1 and all(index == first + place for place, index in enumerate(indices)):
        return f"{first}:{first + count}"
    return ",".join(map(str, indices))


def asked(header: Mapping[str, Any]) -> Sequence[int] | None:
    """The indices that the header of a summary names, in their order; None where it names none.
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
