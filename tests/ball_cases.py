"""Small questions about balls with a known answer: random fixed-point networks, every code vector
of a box, sampled images."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.fixed.file import write_fixed
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set

MOST_CODES = 3000


def lively_network(seed: int) -> FixedNetwork:
    """Of a few tricky networks the one with the most even labels: most give one label
    everywhere."""
    rng = np.random.default_rng(seed)
    tries = [tricky_network(int(rng.integers(0, 2**40))) for _ in range(1 if seed % 5 == 0 else 12)]

    def common(network: FixedNetwork) -> int:
        codes = rng.integers(network.low, network.high + 1, (60, network.inputs))
        return int(np.bincount(network.evaluate(codes).argmax(axis=1)).max())

    return min(tries, key=common)


def tricky_network(seed: int) -> FixedNetwork:
    """One to three layers of 2 to 4 bits that tie, saturate, die, and shift by nothing or by too
    much."""
    rng = np.random.default_rng(seed)
    hidden = [int(n) for n in rng.integers(1, 7, int(rng.integers(0, 3)))]
    sizes = [int(rng.integers(2, 5)), *hidden, int(rng.integers(2, 5))]
    bits, layers = int(rng.integers(2, 5)), []
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        half, last = 2 ** (bits - 1), number == len(sizes) - 2
        weights, bias = rng.integers(-half, half, (n_in, n_out)), rng.integers(-half, half, n_out)
        if last and rng.random() < 0.3:  # twins: ties everywhere
            one, two = rng.choice(n_out, 2, replace=False)
            weights[:, one], bias[one] = weights[:, two], bias[two]
        low, high = (-half, half - 1) if last or rng.random() < 0.1 else (0, 2**bits - 1)
        if rng.random() < 0.3:
            high = low + int(rng.integers(1, 4))
        shift = int(rng.integers(0, bits + 2))
        layers.append(FixedLayer(weights, bias, int(rng.integers(0, bits + 1)), shift, low, high))
    top = int(rng.choice([1, 3, 5, 15, 255]))
    low = -2 if rng.random() < 0.1 else 0
    scale = top if rng.random() < 0.8 else int(rng.integers(1, 2 * top + 1))
    return FixedNetwork(tuple(layers), low, top, scale)


def fixed_opened(network: FixedNetwork, folder: Path) -> Opened:
    """Written to a file and loaded as a user's would be."""
    path = folder / "net.npz"
    write_fixed(network, path)
    loaded = load_network(path, image_shape=(1, network.inputs, 1), classes=network.classes)
    return Opened(loaded, network, network)


def ends32(pixel: Fraction, radius: Fraction) -> tuple[np.float32, np.float32]:
    """The smallest and the largest float32 in [0, 1] within `radius` of a pixel, found by
    stepping."""
    low, high = max(pixel - radius, Fraction(0)), min(pixel + radius, Fraction(1))
    small, large = np.float32(float(low)), np.float32(float(high))
    while Fraction(float(small)) < low:
        small = np.nextafter(small, np.float32(2))
    while Fraction(float(large)) > high:
        large = np.nextafter(large, np.float32(-1))
    return small, large


def code_of(network: FixedNetwork, value: np.float32) -> int:
    """floor(pixel * scale + 1/2), cut, in fractions."""
    code = (Fraction(float(value)) * network.pixel_scale + Fraction(1, 2)).__floor__()
    return min(max(code, network.low), network.high)


def every_code(network: FixedNetwork, ball: BallSet) -> Ints:
    """All code vectors (n, d) that float32 images of an L-infinity ball have."""
    sides = []
    for pixel in ball.base:
        small, large = ends32(Fraction(float(pixel)), ball.region.radius)
        sides.append(range(code_of(network, small), code_of(network, large) + 1))
    return np.array(list(product(*sides)), dtype=np.int64)


def box_size(network: FixedNetwork, radius: Fraction) -> int:
    """At least the number of code vectors of a ball."""
    side = int(2 * radius * network.pixel_scale + 2)
    return int(side**network.inputs)


@dataclass(frozen=True, eq=False)
class Question:
    """A ball around an image, a label, and the answer by brute force: `codes` (n, d) and which of
    them are `wrong` (n,)."""

    network: FixedNetwork
    opened: Opened
    image: NDArray[Any]
    ball: BallSet
    label: int
    codes: Ints
    wrong: NDArray[np.bool_]

    @property
    def region(self) -> Ball | Lattice:
        return self.ball.region

    def problem(self, certify: bool = False, seconds: float = 60.0) -> Query[BallSet]:
        return Query(self.ball, Label(self.label), (self.opened,), Budget(seconds), certify=certify)


def question(seed: int, folder: Path) -> Question:
    """A random network and image; the radius, on the codes, between them, or nothing of the kind,
    is mostly the last one at which the network is robust, or the first at which it is not: both are
    hard."""
    network, rng = lively_network(seed), np.random.default_rng(seed + 1)
    image = _image(network, rng)
    radii = [radius for radius in _radii(network, rng) if box_size(network, radius) <= MOST_CODES]
    balls = [
        ball_set(Ball(Norm.LINF, radius), image)
        for radius in radii or [Fraction(1, 2 * network.pixel_scale)]
    ]
    clean = int(network.outputs(balls[0].base[None, :]).argmax())
    label = clean if rng.random() < 0.85 else int(rng.integers(0, network.classes))
    around = [every_code(network, ball) for ball in balls]
    wrong = [network.evaluate(codes).argmax(axis=1) != label for codes in around]
    edge = next((number for number, each in enumerate(wrong) if each.any()), len(balls) - 1)
    chosen = (
        int(rng.integers(len(balls)))
        if rng.random() < 0.3
        else max(edge - int(rng.integers(0, 2)), 0)
    )
    return Question(
        network,
        fixed_opened(network, folder),
        image,
        balls[chosen],
        label,
        around[chosen],
        wrong[chosen],
    )


def _image(network: FixedNetwork, rng: np.random.Generator) -> NDArray[Any]:
    """Of 20 images one whose best two outputs are close, if rarely equal."""
    found: NDArray[Any] = rng.random((20, network.inputs), dtype=np.float32)
    if rng.random() < 0.5:
        found = rng.integers(0, 256, found.shape).astype(np.uint8)
    levels = found.dtype == np.uint8
    outputs = np.sort(
        network.outputs(found.astype(np.float32) / np.float32(255) if levels else found), axis=1
    )
    lead = outputs[:, -1] - outputs[:, -2]
    best = int(np.where(lead == 0, 1.5, lead).argmin()) if rng.random() < 0.8 else 0
    chosen: NDArray[Any] = found[best].reshape(1, -1, 1)
    return chosen


def _radii(network: FixedNetwork, rng: np.random.Generator) -> list[Fraction]:
    """Some radii, ascending."""
    scale = network.pixel_scale
    found = [Fraction(k, scale) for k in range(1, 5)] + [
        Fraction(2 * k + 1, 2 * scale) for k in range(3)
    ]
    found += [Fraction(float(rng.random()) * 4 / scale) for _ in range(3)]
    return sorted([*found, *(Fraction(int(rng.integers(1, 400)), 100 * scale) for _ in range(3))])


def layer_by_layer(network: FixedNetwork, codes: Ints) -> list[tuple[Ints, Ints]]:
    """(accumulators with the offset, outputs) of every layer, for codes (n, d)."""
    found, values = [], codes
    for layer in network.layers:
        sums = values @ layer.weights + layer.offset
        values = np.clip(sums >> layer.shift, layer.low, layer.high)
        found.append((sums, values))
    return found


def sampled(ball: BallSet, seed: int, count: int) -> Floats:
    """Images (n, d) of a ball: its far corners and faces, points between, a single pixel moved, and
    the clean image."""
    rng, found = np.random.default_rng(seed), [ball.base]
    size, reach = len(ball.base), float(ball.region.radius)
    for _ in range(4 * count):
        signs, weights = rng.choice([-1.0, 1.0], size), rng.random(size)
        few = weights * (rng.random(size) < rng.choice([2 / size, 0.5, 1.0]))
        if ball.norm is Norm.LINF:
            moves = signs * reach * (1 if rng.random() < 0.5 else weights)
        elif ball.norm is Norm.L0:
            chosen = rng.choice(size, min(int(reach), size), replace=False)
            moves = np.zeros(size)
            moves[chosen] = (signs * (1 if rng.random() < 0.5 else weights))[chosen]
        else:
            power = 2 if ball.norm is Norm.L2 else 1
            moves = signs * few * reach / max(float((few**power).sum()) ** (1 / power), 1e-9)
        room = np.where(moves > 0, 1.0 - ball.base, ball.base)
        image = ball.point(np.sign(moves) * np.minimum(np.abs(moves), room) * (1 - 1e-9))
        if image is not None:
            found.append(image)
        if len(found) > count:
            break
    return np.stack(found)
