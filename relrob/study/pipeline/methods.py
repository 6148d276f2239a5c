"""What the options of stages mean: trainings, methods of compression, choices of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from relrob.attacks.selection import Filter
from relrob.compress.in_training.asked import asked_method
from relrob.domain.formats import FixedFormat
from relrob.errors import UsageError
from relrob.training.asked import Training

# The images that an attack takes.
SELECT: Final = {"correct": Filter.SOURCE_CORRECT, "all": Filter.NONE}
_PARTS: Final = ("weights", "activations")


def split_method(text: str) -> tuple[FixedFormat, str]:
    """(the format, "weights", "activations" or "" for both). Raises UsageError.

    >>> split_method("q:4:1:weights")[1]
    'weights'
    """
    kind, *rest = text.split(":")
    numbers = all(part.isascii() and part.isdigit() for part in rest[:2])
    part = rest[2] if len(rest) == 3 else ""
    if kind != "q" or len(rest) not in (2, 3) or not numbers or part not in ("", *_PARTS):
        raise UsageError(f"method {text!r}", "q:W:P, q:W:P:weights, q:W:P:activations", "q:8:2")
    return FixedFormat(int(rest[0]), int(rest[1])), part


def training_of(options: dict[str, Any], start: Path | None = None) -> Training:
    """The training of a stage, from the weights of `start` on; `epochs` and `limit` 0 are the
    recipe's. Raises UsageError."""
    return Training(
        options["arch"],
        options["dataset"],
        options["seed"],
        options["profile"],
        epochs=options["epochs"] or None,
        limit=options["limit"] or None,
        augment=tuple(word for word in options["augment"].split(",") if word),
        start=start,
        compress=asked_method(options["compress"]),
    )
