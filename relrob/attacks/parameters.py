"""Checks of an attack's parameters, and an attack from its text."""

from __future__ import annotations

from dataclasses import fields
from operator import index
from typing import Any, Final, get_type_hints

from relrob.attacks.attack import Attack
from relrob.attacks.table import ATTACKS
from relrob.domain.region import Norm
from relrob.errors import UsageError
from relrob.registry import find, load, load_extra

_MOST: Final = 1e15


def positive(name: str, value: float, most: float = float("inf")) -> None:
    """Raise UsageError unless 0 < value <= most and value is at most 1e15, which float32 and its
    squares hold."""
    most = min(most, _MOST)
    if not 0 < value <= most:
        raise UsageError(f"{name} {value:g}", f"above 0, up to {most:g}")


def within(name: str, value: float, least: float, most: float) -> None:
    """Raise UsageError unless least <= value <= most."""
    if not least <= value <= most:
        raise UsageError(f"{name} {value:g}", f"{least:g} to {most:g}")


def whole(name: str, value: int, least: int = 1) -> None:
    """Raise UsageError unless value >= least."""
    if value < least:
        raise UsageError(f"{name} {value}", f"a whole number, {least} or more")


def whole_number(name: str, value: Any, least: int, hint: str) -> int:
    """A number that stands alone in Python, NumPy's too, as an int. Raises UsageError for a value
    of another kind, a bool among them, and for one below `least`.

    >>> whole_number("seed", 3, 0, "seed=0")
    3
    """
    try:
        found = None if isinstance(value, bool) else index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise UsageError(f"{name} {value}", f"a whole number, {least} or more", hint)
    return found


def among(name: str, value: str, words: tuple[str, ...]) -> None:
    """Raise UsageError unless value is one of the words."""
    if value not in words:
        raise UsageError(f"{name} {value!r}", ", ".join(words))


def named(text: str, **options: Any) -> tuple[str, Attack]:
    """(the full text, the attack) of "name:parameter=value:..."; `options`: parameters that stand
    apart from the text. The full text has every parameter, so that it is the same however the
    attack was asked for.

    Raises UsageError that lists the attacks, or the attack's parameters: none is ignored.

    >>> named("fgsm:eps=0.25")[0]
    'fgsm:eps=0.25'
    """
    name, *parts = text.split(":")
    if name == "art" and parts:
        name, parts = f"art:{parts[0]}", parts[1:]
    entry = find(ATTACKS, name, "attack")
    made = load_extra(entry.target, entry.extra) if entry.extra else load(entry.target)
    hints = get_type_hints(made)
    accepted = [field.name for field in fields(made)]
    given = {key: str(value) for key, value in options.items() if value is not None}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{part!r} in attack {text!r}", "parameter=value", f"{name}:eps=0.1")
        key = key.replace("-", "_")
        if key in given:
            raise UsageError(f"attack {text!r} with {key} twice", f"one {key}")
        given[key] = value
    for key in given:
        if key not in accepted:
            raise UsageError(
                f"attack {name} has no parameter {key!r}", ", ".join(accepted) or "none"
            )
    attack: Attack = made(**{key: _read(key, value, hints[key]) for key, value in given.items()})
    words = [f"{key}={getattr(attack, key)}" for key in accepted]
    return ":".join([name, *words]), attack


def _read(key: str, value: str, kind: Any) -> Any:
    """The value of a parameter from its text: a float ("8/255" too), a whole number, a word."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if kind is int:
            return int(value)
        if kind is float:
            above, _, below = value.partition("/")
            return float(above) / float(below or 1)
        if kind is Norm:
            return Norm(value)
    except (ValueError, KeyError, ZeroDivisionError):
        words = {
            bool: "true or false",
            int: "a whole number",
            float: "a number, such as 8/255",
            Norm: ", ".join(Norm),
        }
        raise UsageError(f"{key} {value!r}", words[kind]) from None
    return value
