"""The configuration inside a Keras file, read as one chain of layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from relrob.certificates.checking.reading.facts import NoRulesError

_POLICY: Final = {"module", "class_name", "config", "registered_name", "shared_object_id"}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer; `number`: how many layers of its class come before it."""

    kind: str
    name: str
    settings: dict[str, Any]
    number: int


def model_of(text: str | bytes) -> tuple[list[Layer], list[int]]:
    """The layers in the order of the chain, and the dimensions of the input; open ones -1."""
    try:
        model = json.loads(text)
        kind, config = model["class_name"], model["config"]
        if kind not in ("Sequential", "Functional", "Model") or model.get(
            "registered_name"
        ) not in (
            None,
            kind,
            "Functional",
        ):
            raise NoRulesError("a Keras file that holds no Sequential or Functional model")
        config = {"layers": config} if isinstance(config, list) else config
        check_float32(config)
        entries = config["layers"]
        if kind != "Sequential":
            entries = _chain(entries, config)
        layers, counts = list[Layer](), dict[str, int]()
        for entry in entries:
            settings, name = entry["config"], entry["class_name"]
            if entry.get("module") not in (None, "keras.layers") or entry.get(
                "registered_name"
            ) not in (None, name):
                raise NoRulesError("a layer that is none of Keras's own")
            if set(entry) - {
                "class_name",
                "config",
                "module",
                "registered_name",
                "build_config",
                "name",
                "inbound_nodes",
            }:
                raise NoRulesError("a layer with entries that the checker does not know")
            layers.append(Layer(name, str(settings.get("name", "")), settings, counts.get(name, 0)))
            counts[name] = counts.get(name, 0) + 1
        first = layers[0].settings
        dims = first.get(
            "batch_shape", first.get("batch_input_shape", config.get("build_input_shape"))
        )
        if not isinstance(dims, list):
            raise NoRulesError("a model that does not say what it reads")
        return layers, [-1 if size is None else int(size) for size in dims]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise NoRulesError("a configuration that is not as Keras writes it") from error


def _chain(entries: list[dict[str, Any]], config: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of a functional model from its input to its output, each fed by the one before.
    Keras drops those beside the way, and takes weights in the order of the wires, not of the list.
    """
    feeds: dict[str, str] = {}
    named = {entry["name"]: entry for entry in entries}
    starts, ends = (
        [_end(each) for each in _nested(config[key])] for key in ("input_layers", "output_layers")
    )
    if (
        len(starts) != 1
        or len(ends) != 1
        or len(named) != len(entries)
        or named[starts[0]]["inbound_nodes"]
    ):
        raise NoRulesError("a model with several inputs or outputs, or whose input is fed")
    for name, entry in named.items():
        if entry["config"].get("name", name) != name:
            raise NoRulesError("a layer of two names")
        if name != starts[0]:
            feeds[name] = _feed(entry["inbound_nodes"])
    order = [ends[0]]
    while order[-1] != starts[0] and len(order) <= len(named):
        order.append(feeds[order[-1]])
    if order[-1] != starts[0] or not set(feeds.values()) <= set(named):
        raise NoRulesError("layers that are no chain")
    return [named[name] for name in reversed(order)]


def _nested(ends: Any) -> list[Any]:
    """Keras 3 writes a single end without the list around it."""
    return [ends] if ends and isinstance(ends[0], str) else list(ends)


def _end(given: Any) -> str:
    name, node, tensor = given
    if (node, tensor) != (0, 0):
        raise NoRulesError("a layer that is used twice")
    return str(name)


def _feed(nodes: Any) -> str:
    """The layer that feeds a layer, once, without arguments of its own."""
    (node,) = nodes
    # Keras 3.
    if isinstance(node, dict):
        (tensor,) = node["args"]
        if (
            any(value not in (None, False) for value in node["kwargs"].values())
            or tensor["class_name"] != "__keras_tensor__"
        ):
            raise NoRulesError("a layer that is called with arguments")
        return _end(tensor["config"]["keras_history"])
    ((name, number, tensor, arguments),) = node
    if any(value not in (None, False) for value in arguments.values()):
        raise NoRulesError("a layer that is called with arguments")
    return _end((name, number, tensor))


def check_float32(settings: dict[str, Any]) -> None:
    """Raises NoRulesError for a policy other than float32."""
    policy = settings.get("dtype")
    if isinstance(policy, dict):
        known = set(policy) <= _POLICY and set(policy["config"]) <= {"name"}
        policy = (
            policy["config"].get("name") if policy["class_name"] == "DTypePolicy" and known else ""
        )
    if policy not in (None, "float32"):
        raise NoRulesError("a layer that does not compute in float32")
