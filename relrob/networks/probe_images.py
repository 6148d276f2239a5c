"""Images on which a model is compared with its runtime: plain and extreme ones, and some that drive
single neurons."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.networks.accuracy import as_floats
from relrob.networks.enclosure import EnclosedLayer, Enclosure

CLEAN: Final = 48
# Neurons of the first layer, each driven to both ends.
FIRST: Final = 40
# Neurons of each later layer, each driven to both ends.
DEEPER: Final = 20
# Images of one pixel.
SINGLE: Final = 24


def plain_images(inputs: int, clean: NDArray[Any] | None, count: int = 144) -> Floats:
    """At least `count` seeded images (n, inputs), float32 in [0, 1].

    They are black, white, of one grey level or of a single pixel, and noise that is uniform, dark,
    sparse or of 8-bit levels. `CLEAN` of the images `clean` (n, ...) join them.
    """
    rng = np.random.default_rng(11)
    levels = np.repeat(
        np.array([0, 1, 1 / 2, 1e-6, 0.2, 0.8, 127 / 255, 128 / 255], np.float32)[:, None],
        inputs,
        axis=1,
    )
    single = np.zeros((min(SINGLE, inputs), inputs), np.float32)
    single[np.arange(len(single)), np.linspace(0, inputs - 1, len(single)).astype(int)] = 1
    single[::2] *= rng.random((len(single[::2]), 1), dtype=np.float32)
    found = [levels, single]
    if clean is not None and len(clean):
        chosen = np.unique(np.linspace(0, len(clean) - 1, CLEAN).astype(int))
        found.append(as_floats(clean[chosen]))
    left = max(count - sum(map(len, found)), 48)
    noise = rng.random((left, inputs), dtype=np.float32)
    noise[0::4] *= np.float32(0.1)
    noise[1::4] *= rng.random((len(noise[1::4]), inputs)) < 0.1
    noise[2::4] = rng.integers(0, 256, noise[2::4].shape).astype(np.float32) / np.float32(255)
    return np.concatenate([*found, noise])


def driving_images(enclosure: Enclosure) -> Floats:
    """Images (n, inputs) of 0 and 1, two for each of many neurons, that drive its pre-activation to
    its ends.

    The ends are exact in the first layer. In later layers the signs of products of the weights,
    then those of two gradients, choose the pixels.
    """
    layers = enclosure.layers
    neurons = _telling(layers[0], FIRST)
    found = [*_ends(layers[0].weights[:, neurons], layers[0].bias[neurons])]
    for depth in range(1, len(layers)):
        neurons = _telling(layers[depth], DEEPER)
        for sign in (1.0, -1.0):
            found.append(_driven(layers[: depth + 1], neurons, sign).astype(np.float32))
    return np.concatenate(found)


def _ends(weights: Doubles, bias: Doubles) -> list[Floats]:
    """The two ends of each neuron, (n, inputs) each, and both sides of the point where it opens on
    the way from black to its upper end.

    A neuron whose grid is coarser than the model's opens elsewhere.
    """
    up, down = (weights > 0).T.astype(np.float32), (weights < 0).T.astype(np.float32)
    slope = (up * weights.T).sum(axis=1)
    level = np.clip(np.where(bias < 0, -bias, 0.3 * slope) / np.maximum(slope, 1e-12), 0.0, 1.0)[
        :, None
    ]
    near = [np.clip(level * (1 + off), 0.0, 1.0) for off in (-0.02, 0.02)]
    return [up, down, *(np.asarray(up * at, np.float32) for at in near)]


def _telling(layer: EnclosedLayer, count: int) -> Ints:
    """Neurons of a layer that are driven: those that reach furthest up and down, and others evenly
    spread."""
    up = np.maximum(layer.weights, 0).sum(axis=0) + layer.bias
    down = np.minimum(layer.weights, 0).sum(axis=0) + layer.bias
    ends = [
        np.argsort(-up, kind="stable")[: count // 4],
        np.argsort(down, kind="stable")[: count // 4],
    ]
    spread = np.linspace(0, len(up) - 1, count).astype(np.int64)
    chosen = np.concatenate([*ends, spread])
    _, first = np.unique(chosen, return_index=True)
    return chosen[np.sort(first)][:count]


def _driven(layers: tuple[EnclosedLayer, ...], neurons: Ints, sign: float) -> NDArray[np.bool_]:
    """Images (len(neurons), inputs) of 0 and 1."""
    goal: Doubles = sign * layers[-1].weights[:, neurons].T
    pull = goal
    for layer in reversed(layers[:-1]):
        pull = pull @ layer.weights.T
    for _ in range(2):
        values: Doubles = (pull > 0).astype(np.float64)
        on = []
        for layer in layers[:-1]:
            values = values @ layer.weights + layer.bias
            on.append((values > 0) & (values < layer.cap))
            values = np.clip(values, 0.0, layer.cap)
        pull = goal
        for layer, open_ones in zip(reversed(layers[:-1]), reversed(on), strict=True):
            pull = (pull * open_ones) @ layer.weights.T
    return pull > 0
