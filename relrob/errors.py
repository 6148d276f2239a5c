"""One tree of errors. A message names the mistake, the accepted values and a remedy."""

from __future__ import annotations

import json
from typing import Final

# The most characters of each part of a message, whose both ends are kept.
LONGEST: Final = 400


def printable(text: str, keep: str = "") -> str:
    """The text with every character escaped, as in JSON, that a terminal could obey or would not
    show (controls, direction, zero width). Characters in `keep` stay.

    >>> printable("a\x1b[2J\u202eb")
    'a\\u001b[2J\\u202eb'
    """
    if text.isprintable():
        return text
    return "".join(
        each if each in keep or each.isprintable() else json.dumps(each)[1:-1] for each in text
    )


def capped(text: str, longest: int = LONGEST) -> str:
    """The text, or its two ends with the number of characters left out between them."""
    if len(text) <= longest:
        return text
    kept = longest - 40
    head, tail = text[: kept * 2 // 3], text[-(kept - kept * 2 // 3) :]
    return f"{head} [... {len(text) - kept:,} characters ...] {tail}"


def how_many(count: int, thing: str) -> str:
    """A number of things, with the thing in the singular where there is one.

    >>> how_many(1, "image"), how_many(1200, "image"), how_many(2, "pass")
    ('1 image', '1,200 images', '2 passes')
    """
    return f"{count:,} {thing}{'' if count == 1 else 'es' if thing.endswith('s') else 's'}"


class RelrobError(Exception):
    """A mistake that the user can mend; the command line prints its one line and exits with
    `exit_code`."""

    exit_code = 2

    def __init__(self, given: str, accepted: str = "", hint: str = "") -> None:
        """A line of printable characters. `given`: the mistake; `accepted`: the values that would
        be right; `hint`: a remedy. Text that a file gave is escaped, and each part is capped."""
        self.parts = tuple(_part(text) for text in (given, accepted, hint))
        said, right, mend = self.parts
        super().__init__(
            "; ".join(
                [
                    said,
                    *([f"accepted: {right}"] if right else []),
                    *([f"try: {mend}"] if mend else []),
                ]
            )
        )

    def __reduce__(self) -> tuple[type[RelrobError], tuple[str, ...]]:
        """The class and the parts, from which another process makes the error again."""
        return type(self), self.parts


def _part(text: str) -> str:
    return capped(printable(capped(" ".join(text.split()).rstrip("."), 10 * LONGEST)))


class UsageError(RelrobError):
    """An option or argument has no meaning here."""


class DatasetError(RelrobError):
    """Images or labels cannot be read, or are not images and labels."""


class ChecksumError(DatasetError):
    """A file is not the one that its manifest names."""


class NetworkError(RelrobError):
    """A network file cannot be read, or holds an operation that relrob does not run."""


class UnsupportedLayerError(NetworkError):
    """A layer or operator outside the supported set; the message names it and its position."""


class ShapeError(NetworkError):
    """A network does not fit the images or the classes."""


class ClassCountError(ShapeError):
    """A network has another number of outputs than the data have classes."""


class QuantiseError(RelrobError):
    """A network cannot be quantised in the scheme asked for."""


class TrainingError(RelrobError):
    """A training came to nothing: its loss is no number."""


class RegionError(RelrobError):
    """A region of perturbed images is not well defined, or too large for the operation."""


class CertificateError(RelrobError):
    """A file is no certificate that this version reads, or the network that it speaks of is not
    there."""


class StoreError(RelrobError):
    """A run directory cannot be used: another configuration, a full disk, not a run directory."""


class AlarmError(RelrobError):
    """A run of a network contradicts a proof: a bug of relrob's, or of the machine. Nothing is
    pronounced."""

    exit_code = 4
