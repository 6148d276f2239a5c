"""Edits of hand-made Keras files: layers put between, shared, renamed, reordered, retyped.

An edit changes a draft in place and says whether it could.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from relrob.testing.files_keras import KerasDraft, Part, Rng


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
    """A bias moved by a little, or by much."""
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
