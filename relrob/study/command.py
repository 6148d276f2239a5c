"""The command line that asks for a run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from relrob.study.options import spelled
from relrob.study.request import Request
from relrob.system.files import readable

_PLACES: Final = ("reference", "quantised")
# Options that are typed once for each of their values.
_REPEATED: Final = ("allow",)


def verify_command(request: Request) -> str:
    """`relrob verify` with the options that are not their defaults.

    >>> verify_command(Request("20", "1/4", images="0:5"))
    'relrob verify --radius 20 --step 1/4 --images 0:5'
    """
    typed = {
        field.name: getattr(request, field.name)
        for field in fields(Request)
        if getattr(request, field.name) != field.default
    }
    return command("verify", typed)


def command(name: str, typed: Mapping[str, Any]) -> str:
    """A command with what was typed: networks first, then options.

    >>> command("audit", {"quantised": "q.tflite", "reference": "a b.keras", "allow": ["x", "y"]})
    "relrob audit 'a b.keras' q.tflite --allow x --allow y"
    """
    words = ["relrob", name, *(str(typed[place]) for place in _PLACES if place in typed)]
    for option, value in typed.items():
        if option in _PLACES or value is None:
            continue
        if isinstance(value, bool):
            words.append(spelled(option, value))
        elif option in _REPEATED:
            words += [word for each in value for word in (spelled(option), str(each))]
        elif isinstance(value, list | tuple):
            words += [spelled(option), ",".join(map(str, value))]
        else:
            words += [spelled(option), str(value)]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """A word as a shell reads it. Bytes that are no UTF-8 stand in the quotes of bash that take
    escapes.

    >>> _quoted("n\\udcff.tflite")
    "$'n\\\\xff.tflite'"
    """
    if not any("\ud800" <= letter <= "\udfff" for letter in word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{readable(escaped)}'"
