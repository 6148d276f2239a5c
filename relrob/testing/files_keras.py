"""Tiny Keras files put together by hand, as `.keras` archives and as `.h5`, as drafts that edits
change."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
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
            if at in self.again:  # called once more, on what it gave itself
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
    """Flatten and dense layers, Sequential or Functional, in either container; Keras runs it, or
    what relrob takes for it."""
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


def _first(made: KerasDraft) -> tuple[int, int]:
    """The place of the first dense layer, and how many values it reads."""
    part = made.dense()[0]
    return made.parts.index(part), len(part.arrays[0])


def _pair(made: KerasDraft) -> tuple[Part, Part] | None:
    """Two dense layers of one shape."""
    found: dict[tuple[int, ...], Part] = {}
    for part in made.dense():
        other = found.setdefault(part.arrays[0].shape, part)
        if other is not part:
            return other, part
    return None


def renamed(made: KerasDraft, rng: Rng) -> bool:
    """Two layers of one shape have each other's names in the configuration, not in the weights."""
    pair = _pair(made)
    if pair is None:
        return False
    first, second = (part.name for part in pair)
    made.groups = {first: second, second: first}
    return True


def stored_otherwise(made: KerasDraft, rng: Rng) -> bool:
    """The weights are listed in another order than the layers."""
    pair = _pair(made)
    order = list(range(len(made.parts)))
    if pair is None or rng.random() < 0.3:
        order = [int(n) for n in rng.permutation(len(order))]
    else:
        a, b = (made.parts.index(part) for part in pair)
        order[a], order[b] = b, a
    made.stored = order
    return True


def listed_otherwise(made: KerasDraft, rng: Rng) -> bool:
    """The configuration lists the layers in another order than they are called."""
    if not made.functional:
        return False
    made.listed = [int(n) for n in rng.permutation(len(made.parts))]
    return True


def output_early(made: KerasDraft, rng: Rng) -> bool:
    """A layer follows the one that gives the output."""
    if not made.functional:
        return False
    end = made.parts[-1]
    units = made.dense()[-1].arrays[0].shape[1]
    made.part(
        "Dense",
        "extra",
        (rng.standard_normal((units, units)), np.zeros(units)),
        units=units,
        activation="linear",
    )
    made.end = end.name
    return True


def dropout(made: KerasDraft, rng: Rng) -> bool:
    """A Dropout, sometimes called in training."""
    part = made.part("Dropout", "drop", at=int(rng.integers(1, len(made.parts) + 1)), rate=0.5)
    if made.functional and rng.random() < 0.5:
        part.called = {"training": True}
    return True


def normalised(made: KerasDraft, rng: Rng) -> bool:
    """A Normalization adapted to data, some of whose values never changed."""
    at, width = _first(made)
    variance = rng.uniform(0.05, 0.2, width)
    variance[rng.random(width) < rng.choice([0, 0.3])] = rng.choice([0.0, 1e-14, 1e-8])
    arrays = (rng.random(width), variance, np.array(1))
    made.part("Normalization", "norm", arrays, at=at, axis=[-1], invert=bool(rng.random() < 0.1))
    return True


def rescaled(made: KerasDraft, rng: Rng) -> bool:
    """A Rescaling, or two."""
    scale, offset = (
        float(rng.choice([1 / 255, 255.0, 2.0, 1.0, 1e-7])),
        float(rng.choice([0.0, -1.0, 0.5, 1e7])),
    )
    at = int(rng.integers(0, _first(made)[0] + 1))
    made.part("Rescaling", "scaled", at=at, scale=scale, offset=offset)
    if rng.random() < 0.4:
        made.part("Rescaling", "back", at=at + 1, scale=1 / scale, offset=-offset / scale)
    return True


def batch_norm(made: KerasDraft, rng: Rng) -> bool:
    """A BatchNormalization before or after the first dense layer."""
    at, width = _first(made)
    if rng.random() < 0.5:
        at, width = at + 1, made.parts[at].arrays[0].shape[1]
    variance = rng.uniform(0.1, 2, width) * rng.choice([1, 1e-6, 1e6])
    arrays = (
        rng.uniform(0.5, 1.5, width),
        rng.normal(0, 0.2, width),
        rng.normal(0, 0.5, width),
        variance,
    )
    part = made.part(
        "BatchNormalization",
        "bn",
        arrays,
        at=at,
        axis=-1,
        epsilon=float(rng.choice([1e-3, 1e-7, 0.1])),
    )
    if made.functional and rng.random() < 0.2:
        part.called = {"training": True}
    return True


def shared(made: KerasDraft, rng: Rng) -> bool:
    """A square layer called twice."""
    square = [part for part in made.dense() if part.arrays[0].shape[0] == part.arrays[0].shape[1]]
    if not made.functional or not square:
        return False
    made.again.add(square[0].name)
    return True


def activations(made: KerasDraft, rng: Rng) -> bool:
    """A ReLU layer with a cap, a slope or a threshold; another activation; none."""
    part = made.dense()[int(rng.integers(len(made.dense())))]
    if rng.random() < 0.5:
        part.settings["activation"] = str(
            rng.choice(["relu6", "tanh", "linear", "leaky_relu", "sigmoid", "softmax", "relu"])
        )
        return True
    part.settings["activation"] = "linear"
    more: dict[str, Any] = [{"max_value": 6.0}, {"negative_slope": 0.1}, {"threshold": 0.2}, {}][
        int(rng.integers(4))
    ]
    made.part("ReLU", "relu", at=made.parts.index(part) + 1, **more)
    return True


def no_bias(made: KerasDraft, rng: Rng) -> bool:
    """A layer without."""
    part = made.dense()[int(rng.integers(len(made.dense())))]
    part.settings["use_bias"] = False
    part.arrays = part.arrays[:1]
    return True


def bias_moved(made: KerasDraft, rng: Rng) -> bool:
    """By a little, or by much."""
    part = made.dense()[int(rng.integers(len(made.dense())))]
    if len(part.arrays) < 2:
        return False
    part.arrays[1] = (part.arrays[1] + rng.uniform(-0.5, 0.5, part.arrays[1].shape)).astype(
        np.float32
    )
    return True


def pixels_turned(made: KerasDraft, rng: Rng) -> bool:
    """A Permute, or a Reshape, before the Flatten; or channels first."""
    if len(made.shape) == 1 or made.parts[0].kind != "Flatten":
        return False
    if rng.random() < 0.3:
        made.parts[0].settings["data_format"] = "channels_first"
    elif rng.random() < 0.6:
        made.part("Permute", "turn", at=0, dims=(1 + rng.permutation(3)).tolist())
    else:
        made.part("Reshape", "form", at=0, target_shape=[-1, 1])
    return True


def missing(made: KerasDraft, rng: Rng) -> bool:
    """A layer's weights have another name than any layer."""
    made.groups[made.dense()[-1].name] = "elsewhere"
    return True


def other_type(made: KerasDraft, rng: Rng) -> bool:
    """A layer of halves or doubles."""
    part = made.parts[int(rng.integers(len(made.parts)))]
    part.settings["dtype"] = str(rng.choice(["float16", "float64", "mixed_float16"]))
    return True


EDITS: Final[dict[str, tuple[Callable[[KerasDraft, Rng], bool], bool]]] = {
    "renamed": (renamed, False),
    "weights in another order": (stored_otherwise, False),
    "layers in another order": (listed_otherwise, False),
    "output early": (output_early, False),
    "Dropout": (dropout, False),
    "Normalization": (normalised, False),
    "Rescaling": (rescaled, False),
    "BatchNormalization": (batch_norm, False),
    "shared": (shared, False),
    "activation": (activations, False),
    "no bias": (no_bias, True),
    "bias moved": (bias_moved, True),
    "pixels turned": (pixels_turned, False),
    "weights missing": (missing, False),
    "type": (other_type, False),
}
