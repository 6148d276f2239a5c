"""Calls between the layers of a Functional model, in the form of Keras 3 (dictionaries) and of
Keras 1 and 2 (lists)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

# Arguments of a call beside its input that change nothing when a model is asked for its answer.
_IDLE: dict[str, tuple[Any, ...]] = {"training": (None, False), "mask": (None,)}
_MORE = "arguments other than one tensor"


@dataclass(frozen=True)
class Tensor:
    """An output of a layer: the layer's name, the number of its call, and the number of that call's
    output."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class Call:
    """One call of a layer: the tensors that it reads, and a reason why it is not modelled, or "".

    `listed`: its one argument is a list of tensors, as of layers that merge.
    """

    feeds: tuple[Tensor, ...]
    odd: str = ""
    listed: bool = False


def calls_of(nodes: Any) -> tuple[Call, ...]:
    """The calls of a layer: its `inbound_nodes`."""
    if not isinstance(nodes, list):
        raise TypeError("inbound_nodes that are no list")
    return tuple(_modern(node) if isinstance(node, dict) else _legacy(node) for node in nodes)


def ends_of(value: Any) -> tuple[tuple[Tensor, ...], bool]:
    """The tensors of `input_layers` or `output_layers`, and whether they are one tensor or a list
    of tensors."""
    one = _triple(value)
    if one is not None:
        return (one,), True
    tensors = tuple(_tensors(value))
    flat = (
        isinstance(value, list)
        and len(tensors) == len(value)
        and all(_triple(inner) for inner in value)
    )
    return tensors, flat


def _triple(value: Any) -> Tensor | None:
    """The tensor ["layer", call, output], None for another value."""
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return None
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in value[1:3])
    return Tensor(value[0], value[1], value[2]) if whole else None


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor that a structure names."""
    one = _triple(value)
    if one is not None:
        return [one]
    if isinstance(value, dict):
        history = _triple(value.get("keras_history"))
        return (
            [history]
            if history
            else [found for inner in value.values() for found in _tensors(inner)]
        )
    return (
        [found for inner in value for found in _tensors(inner)] if isinstance(value, list) else []
    )


def _modern(node: dict[str, Any]) -> Call:
    """{"args": [...], "kwargs": {...}}."""
    given, named = node.get("args"), node.get("kwargs")
    feeds = tuple(_tensors(node))
    first = (
        given[0]
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict)
        else {}
    )
    config = first.get("config") if first.get("class_name") == "__keras_tensor__" else None
    history = config.get("keras_history") if isinstance(config, dict) else None
    if _triple(history) is None or set(node) - {"args", "kwargs"}:
        listed = set(node) <= {"args", "kwargs"} and _lists_tensors(given) and not _arguments(named)
        return Call(feeds, _MORE, listed)
    return Call(feeds, _arguments(named))


def _lists_tensors(given: Any) -> bool:
    """Is it [[tensor, tensor, ...]]?"""
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], list):
        return False
    classes = [each.get("class_name") if isinstance(each, dict) else "" for each in given[0]]
    return len(_tensors(given)) == len(classes) == classes.count("__keras_tensor__")


def _legacy(node: Any) -> Call:
    """[["layer", call, output, {...}], ...]."""
    feeds = tuple(_tensors(node))
    if not isinstance(node, list) or len(node) != 1 or _triple(node[0]) is None:
        listed = isinstance(node, list) and all(
            _triple(each) is not None and not _arguments(each[3] if len(each) == 4 else {})
            for each in node
        )
        return Call(feeds, _MORE, listed)
    return Call(feeds, _arguments(node[0][3] if len(node[0]) == 4 else {}))


def _arguments(named: Any) -> str:
    """The first argument by name that is not known to change nothing."""
    for name, value in (named or {}).items():
        if name not in _IDLE or not any(value is idle for idle in _IDLE[name]):
            return f"called with {name}={json.dumps(value)[:40]}"
    return ""
