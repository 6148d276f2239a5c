"""A method of compression in training as a training takes it, without Keras until it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from relrob.compress.in_training.parse import parse
from relrob.registry import load
from relrob.training.compression import Compression


@final
@dataclass(frozen=True)
class AskedMethod:
    """A method by its `text`, with all its parameters."""

    text: str

    def compression(self) -> Compression:
        """A new object for one training. Its first import takes seconds (Keras)."""
        made: Compression = load("relrob.compress.in_training.named:named")(self.text)
        return made


def asked_method(text: str) -> AskedMethod | None:
    """The method that a user wrote, None for "". Raises UsageError.

    >>> asked_method("dorefa:02")
    AskedMethod(text='dorefa:2')
    """
    return AskedMethod(parse(text)) if text else None
