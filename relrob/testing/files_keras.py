"""Drafts of tiny Keras files, put together by hand as `.keras` archives and as `.h5`."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.testing.drafts import Drawn, Weights

Rng = np.random.Generator
SNAKES: Final = {
    "Dense": "dense",
    "Normalization": "normalization",
    "BatchNormalization": "batch_normalization",
}


@dataclass
class Part:
    """A layer: its class, its settings, its arrays, and how it is called."""

    kind: str
    name: str
    settings: dict[str, Any]
    arrays: list[NDArray[np.float32]] = field(default_factory=list)
    called: dict[str, Any] = field(default_factory=dict)


@dataclass
class KerasDraft(Drawn):
    """`parts` in the order in which they are called; `again`: names of layers called twice in a
    row; `listed`: the order of the configuration's list; `stored`: that of the weights; `end`: the
    layer that gives the output, "" for the last."""

    parts: list[Part] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    functional: bool = True
    again: set[str] = field(default_factory=set)
    listed: list[int] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    end: str = ""
    groups: dict[str, str] = field(default_factory=dict)

    def part(
        self,
        kind: str,
        name: str,
        arrays: tuple[Any, ...] = (),
        at: int | None = None,
        **settings: Any,
    ) -> Part:
        """A new layer at the end, or before place `at`."""
        made = Part(
            kind, name, {"name": name, **settings}, [np.asarray(a, np.float32) for a in arrays]
        )
        self.parts.insert(len(self.parts) if at is None else at, made)
        return made

    def dense(self) -> list[Part]:
        """The dense layers."""
        return [part for part in self.parts if part.kind == "Dense"]

    def data(self) -> bytes:
        """The file."""
        return self._h5() if self.suffix == ".h5" else self._archive()

    def lift(self, neuron: int, amount: float, last: bool) -> bool:
        """On the stored bias."""
        part = self.dense()[-1 if last else 0]
        if len(part.arrays) < 2 or neuron >= part.arrays[1].size:
            return False
        part.arrays[1] = part.arrays[1].copy()
        part.arrays[1][neuron] += np.float32(amount)
        return True

    def _config(self) -> str:
        """The model as JSON."""
        given = {"batch_shape": [None, *self.shape], "dtype": "float32", "name": "given"}
        entries = [self._entry("InputLayer", "given", given, [])]
        at, node = "given", 0
        for part in self.parts:
            calls = [self._call(at, node, part.called)]
            entries.append(self._entry(part.kind, part.name, part.settings, calls))
            at, node = part.name, 0
            # Called once more, on what it gave itself.
            if at in self.again:
                calls.append(self._call(at, 0, {}))
                node = 1
        if self.listed and len(self.listed) == len(self.parts):
            entries = [entries[0], *(entries[1 + n] for n in self.listed)]
        config: dict[str, Any] = {"name": "model", "trainable": True, "layers": entries}
        if self.functional:
            end = self.end or at
            config |= {
                "input_layers": [["given", 0, 0]],
                "output_layers": [[end, int(end in self.again), 0]],
            }
        name = "Functional" if self.functional else "Sequential"
        module, registered = (
            ("keras.src.models.functional", name) if self.functional else ("keras", None)
        )
        return json.dumps(
            {"module": module, "class_name": name, "config": config, "registered_name": registered}
        )

    def _entry(
        self, kind: str, name: str, settings: dict[str, Any], calls: list[Any]
    ) -> dict[str, Any]:
        entry = {
            "module": "keras.layers",
            "class_name": kind,
            "config": settings,
            "registered_name": None,
        }
        return {**entry, "name": name, "inbound_nodes": calls} if self.functional else entry

    def _call(self, at: str, node: int, called: dict[str, Any]) -> dict[str, Any]:
        history = {"shape": [None, 1], "dtype": "float32", "keras_history": [at, node, 0]}
        return {"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": called}

    def _order(self) -> list[Part]:
        """The parts as their weights are stored."""
        order = self.stored if len(self.stored) == len(self.parts) else list(range(len(self.parts)))
        return [self.parts[n] for n in order]

    def _archive(self) -> bytes:
        """A `.keras` archive."""
        held = io.BytesIO()
        with h5py.File(held, "w") as file:
            counts: dict[str, int] = {}
            for part in self._order():
                snake = SNAKES.get(part.kind, part.kind.lower())
                number = counts.get(snake, 0)
                counts[snake] = number + 1
                group = file.create_group(
                    f"layers/{snake}_{number}/vars" if number else f"layers/{snake}/vars"
                )
                group.attrs["name"] = self.groups.get(part.name, part.name)
                for at, array in enumerate(part.arrays):
                    group[str(at)] = array
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr(
                "metadata.json", '{"keras_version": "3.12.0", "date_saved": "2026-01-01@00:00:00"}'
            )
            archive.writestr("config.json", self._config())
            archive.writestr("model.weights.h5", held.getvalue())
        return whole.getvalue()

    def _h5(self) -> bytes:
        """A legacy `.h5` of a whole model."""
        held = io.BytesIO()
        with h5py.File(held, "w") as file:
            file.attrs["backend"], file.attrs["keras_version"] = "tensorflow", "3.12.0"
            file.attrs["model_config"] = self._config()
            top = file.create_group("model_weights")
            names = [self.groups.get(part.name, part.name) for part in self._order()]
            top.attrs["layer_names"] = np.array(["given", *names], dtype="S32")
            top.create_group("given").attrs["weight_names"] = np.array([], dtype="S1")
            for part, name in zip(self._order(), names, strict=True):
                group = top.create_group(name)
                inner = [f"{name}/{at}" for at in range(len(part.arrays))]
                group.attrs["weight_names"] = np.array(inner, dtype="S64")
                for key, array in zip(inner, part.arrays, strict=True):
                    group[key] = array
        return held.getvalue()


def draft(
    rng: Rng, weights: Weights, shape: tuple[int, int, int], seen: Floats, grid: float
) -> KerasDraft:
    """Flatten and dense layers, Sequential or Functional, in either container, on Keras or on the
    default runtime."""
    made = KerasDraft(
        functional=bool(rng.random() < 0.7), suffix=str(rng.choice([".keras", ".h5"]))
    )
    made.runtime = str(rng.choice(["keras", "default"]))
    made.shape = shape if rng.random() < 0.6 else (int(np.prod(shape)),)
    if len(made.shape) > 1:
        made.part("Flatten", "flat")
    for number, (matrix, bias) in enumerate(weights.layers):
        last = number == len(weights.layers) - 1
        activation = "linear" if last else "relu"
        made.part(
            "Dense",
            f"d{number}",
            (matrix, bias),
            units=matrix.shape[1],
            activation=activation,
            use_bias=True,
        )
    made.base = f"{'functional' if made.functional else 'sequential'} {made.suffix}"
    if rng.random() < 0.2:
        made.base += ", softmax"
        made.dense()[-1].settings["activation"] = "softmax"
    return made
