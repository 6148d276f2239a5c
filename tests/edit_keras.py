"""Keras files with their configuration or weights edited, for tests that hold relrob's reading
against Keras's own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Config = dict[str, Any]
Edit = Callable[[Config, np.random.Generator], None]


def edited(
    path: Path,
    change: Callable[[Config], Any],
    out: Path,
    weights: Callable[[Any], Any] | None = None,
) -> Path:
    """A copy of a `.keras` or `.h5` file with its configuration, and its open HDF5 file,
    changed."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        change(config)
        parts["config.json"] = json.dumps(config).encode()
        if weights is not None:
            buffer = io.BytesIO(parts["model.weights.h5"])
            with h5py.File(buffer, "r+") as file:
                weights(file)
            parts["model.weights.h5"] = buffer.getvalue()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
        return out
    out.write_bytes(path.read_bytes())
    with h5py.File(out, "r+") as file:
        text: Any = file.attrs["model_config"]
        config = json.loads(text)
        change(config)
        file.attrs["model_config"] = json.dumps(config)
        if weights is not None:
            weights(file)
    return out


def entries(config: Config) -> list[Config]:
    """The list of layers."""
    found: list[Config] = config["config"]["layers"]
    return found


def named(config: Config, name: str) -> Config:
    """The layer of that name."""
    return next(entry for entry in entries(config) if entry["config"]["name"] == name)


def renamed(config: Config, names: dict[str, str]) -> None:
    """Every name replaced, in the list, the wiring and the ends, all at once."""

    def walk(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {inner: walk(value, inner) for inner, value in node.items()}
        if isinstance(node, list):
            return [walk(value, key) for value in node]
        wired = key in (
            "name",
            "inbound_nodes",
            "keras_history",
            "input_layers",
            "output_layers",
            "args",
        )
        return names.get(node, node) if wired and isinstance(node, str) else node

    config["config"] = walk(config["config"])


def rewire(config: Config, layer: str, source: str) -> None:
    """Let `layer` read what `source` gives, in its first call."""
    node = named(config, layer)["inbound_nodes"][0]
    triple = node["args"][0]["config"]["keras_history"] if isinstance(node, dict) else node[0]
    triple[0] = source
