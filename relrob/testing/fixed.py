"""Small fixed-point networks for cases, their codes as fractions, and the label of every code."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Ball, Norm
from relrob.networks.fixed.file import write_fixed
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.testing.questions import Options, combined, measured, nearest, room_of


def lively_network(seed: int) -> FixedNetwork:
    """The tricky network with the most even labels of a few: most give one label everywhere."""
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
        # Twins: ties everywhere.
        if last and rng.random() < 0.3:
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


def layer_by_layer(network: FixedNetwork, codes: Ints) -> list[tuple[Ints, Ints]]:
    """(accumulators with the offset, outputs) of every layer, for codes (n, d)."""
    found, values = [], codes
    for layer in network.layers:
        sums = values @ layer.weights + layer.offset
        values = np.clip(sums >> layer.shift, layer.low, layer.high)
        found.append((sums, values))
    return found


def labels_of(network: FixedNetwork, images: Floats) -> Ints:
    """The labels of images (n, d), without the network's code: codes in fractions, 64-bit sums."""
    known = {value: code_of(network, value) for value in np.unique(images)}
    codes = np.array([[known[value] for value in row] for row in images], np.int64)
    said: Ints = layer_by_layer(network, codes)[-1][1].argmax(axis=1)
    return said


def close_image(network: FixedNetwork, rng: np.random.Generator) -> NDArray[Any]:
    """One of 20 images (1, d, 1), levels or floats: mostly the one whose best two outputs are
    closest, if rarely equal."""
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


def coded_ball(
    rng: np.random.Generator, network: FixedNetwork, base: Floats, label: int, norm: Norm
) -> tuple[Ball, Floats]:
    """A ball around `base` (d,), and of every code vector that it has the nearest image (n, d). Its
    radius is mostly the distance of the nearest wrong image, or the last one before."""
    points, limit = _around(network, base, norm)
    costs = [measured(point, base, norm) for point in points]
    order = sorted({cost for cost in costs if cost > 0}) or [limit]
    wrong = labels_of(network, points) != label
    first = min(
        (cost for cost, bad in zip(costs, wrong, strict=True) if bad and cost > 0),
        default=order[-1],
    )
    kind = rng.random()
    before = [cost for cost in order if cost < first]
    room = (
        first
        if kind < 0.45 or not before
        else before[-1]
        if kind < 0.75
        else order[int(rng.integers(len(order)))]
    )
    ball = _of_room(norm, room, exactly=kind < 0.9)
    kept = [point for point, cost in zip(points, costs, strict=True) if cost <= room_of(ball)]
    return ball, np.array(kept, np.float32)


def _around(network: FixedNetwork, base: Floats, norm: Norm) -> tuple[Floats, Fraction]:
    """The nearest image (n, d) of every code vector within some distance, and that distance as
    `measured` has it."""
    codes = code_of(network, np.float32(1)) - code_of(network, np.float32(0)) + 1
    if norm is Norm.L0:
        pixels = 2 if codes <= 17 else 1
        options = [_nearest_of_codes(network, pixel, codes) for pixel in base]
        return combined(options, Ball(norm, Fraction(pixels))), Fraction(pixels)
    steps = {2: 12, 3: 4, 4: 2}[len(base)]
    options = [_nearest_of_codes(network, pixel, steps + 1) for pixel in base]
    beyond = [
        distance
        for pixel, found in zip(base, options, strict=True)
        for value, distance in found.items()
        if abs(code_of(network, value) - code_of(network, pixel)) > steps
    ]
    far = min(beyond, default=Fraction(1)) * Fraction(1023, 1024)
    return combined(options, Ball(norm, far)), room_of(Ball(norm, far))


def _of_room(norm: Norm, room: Fraction, exactly: bool) -> Ball:
    """The ball that just reaches this far, as `measured` has it, or misses it by a hair."""
    if norm is Norm.L0:
        return Ball(norm, room)
    hair = Fraction(1, 1 << 60)
    if norm is not Norm.L2:
        return Ball(norm, room if exactly else room * (1 - hair))
    root = Fraction(isqrt(room.numerator * room.denominator << 160), room.denominator << 80)
    while root**2 < room:
        root += Fraction(1, 1 << 80)
    return Ball(norm, root if exactly else root * (1 - hair))


def _nearest_of_codes(network: FixedNetwork, pixel: np.float32, steps: int) -> Options:
    """Each code that a pixel in [0, 1] can have, up to `steps` from that of `pixel`, as the nearest
    float32 that has it, and how far that is; the pixel itself comes first."""
    start = code_of(network, pixel)
    found: Options = {np.float32(pixel): Fraction(0)}
    least, most = code_of(network, np.float32(0)), code_of(network, np.float32(1))
    for code in range(max(start - steps, least), min(start + steps, most) + 1):
        value = _entered(network, code, upwards=code > start)
        if code != start and code_of(network, value) == code:
            found[value] = abs(Fraction(float(value)) - Fraction(float(pixel)))
    return found


def _entered(network: FixedNetwork, code: int, upwards: bool) -> np.float32:
    """The first float32 that has a code, coming from below (`upwards`) or from above."""
    edge = (code + Fraction(-1 if upwards else 1, 2)) / network.pixel_scale
    value, end = nearest(min(max(edge, Fraction(0)), Fraction(1))), np.float32(2 if upwards else -1)
    while Fraction(float(value)) < edge if upwards else Fraction(float(value)) >= edge:
        value = np.nextafter(value, end)
    return value
