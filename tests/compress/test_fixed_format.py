"""MLPs in Q(w, p) as exact integers: against fractions, against Keras with the same layers, and
proved on the runtime `fixed`."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.compress.build import quantised_bytes
from relrob.compress.source import ended, form_of
from relrob.deciding.decide import decide
from relrob.domain.arrays import Ints
from relrob.domain.formats import FixedFormat
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.errors import QuantiseError
from relrob.networks.fixed.file import parse_fixed
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob.registry import load
from tests import make_networks
from tests.support import random_dense

SHAPE = (3, 4, 1)
LEVELS = np.random.default_rng(0).integers(0, 256, (60, 12))
IMAGES = (LEVELS / 255).astype(np.float32)
FORMATS = [(4, 1), (8, 2), (10, 4), (16, 4), (6, 6)]


def network(dense: Dense, path: str = "m.onnx") -> Network:
    return Network(path, "0" * 64, "onnx", "numpy", 12, dense.classes, SHAPE, dense=dense)


def made(dense: Dense, form: tuple[int, int]) -> FixedNetwork:
    scheme = f"q-integer:{form[0]}:{form[1]}"
    return parse_fixed("q.npz", quantised_bytes(network(dense), scheme, None, SHAPE))


def exact(dense: Dense, width: int, point: int, levels: Ints) -> list[list[Fraction]]:
    """Logits in fractions: weights and biases on the grid, pixels k/255, hidden values rounded with
    halves up, clipped, rectified."""
    step = Fraction(1, 2 ** (width - point))
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1

    def grid(value: Any) -> Fraction:
        code: int = min(max(round(Fraction(float(value)) / step), low), high)
        return code * step

    values = [[Fraction(int(k), 255) for k in row] for row in levels]
    for layer in dense.layers:
        weights = [[grid(w) for w in row] for row in layer.weights]
        bias = [grid(b) for b in layer.bias]
        sums = [
            [
                sum((v * w[n] for v, w in zip(row, weights, strict=True)), bias[n])
                for n in range(len(bias))
            ]
            for row in values
        ]
        if layer is dense.layers[-1]:
            return sums
        least = 0 if layer.relu else low
        values = [
            [min(max(Fraction(floor(s / step + Fraction(1, 2))), least), high) * step for s in row]
            for row in sums
        ]
    return values


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("sizes", [(12, 3), (12, 8, 3), (12, 8, 6, 3)])
def test_every_output_is_that_of_fractions(form: tuple[int, int], sizes: tuple[int, ...]) -> None:
    dense = random_dense(sum(sizes), sizes)
    found = made(dense, form).evaluate(LEVELS)
    unit = Fraction(1, 255 * 2 ** (form[0] - form[1]))
    if len(sizes) > 2:
        unit = Fraction(1, 4 ** (form[0] - form[1]))
    wanted = exact(dense, *form, LEVELS)
    shift = made(dense, form).layers[-1].shift
    for row, exact_row in zip(found.tolist(), wanted, strict=True):
        for value, logit in zip(row, exact_row, strict=True):
            assert value == floor(logit / unit / 2**shift + (Fraction(1, 2) if shift else 0))


def test_the_division_by_255_is_exact_at_its_closest_calls() -> None:
    """One weight, all pixels, sums next to every half-way point that a bias can make."""
    for weight, bias in product((-128, -1, 1, 85, 127), (-3, 0, 5)):
        dense = Dense(
            (
                Layer(
                    np.array([[weight / 64]], np.float32),
                    np.array([bias / 64], np.float32),
                    relu=True,
                ),
                Layer(np.array([[1.0, 0.5]], np.float32), np.array([0, 0], np.float32), relu=False),
            )
        )
        alone = Network("m.onnx", "0" * 64, "onnx", "numpy", 1, 2, (1, 1, 1), dense=dense)
        data = quantised_bytes(alone, "q-integer:8:2", None, (1, 1, 1))
        fixed = parse_fixed("q.npz", data)
        levels = np.arange(256)[:, None]
        hidden = [
            min(max(floor(Fraction(weight * k, 255) + bias + Fraction(1, 2)), 0), 127)
            for k in range(256)
        ]
        assert (fixed.evaluate(levels)[:, 0] == np.array(hidden) * 64).all()


def test_keras_with_the_same_layers_gives_the_same_numbers() -> None:
    """TensorFlow's float32 holds every sum of 8 bits here; halves up on both sides."""
    keras, dense, form = make_networks.keras(), random_dense(5, (12, 10, 8, 3)), FixedFormat(8, 2)
    own = load("relrob.networks.keras.own_layers:LAYERS")["relrob>FixedPoint"]
    parts: list[Any] = [keras.Input((12,))]
    for layer in dense.layers:
        size = layer.weights.shape[1]
        parts.append(keras.layers.Dense(size, "relu" if layer.relu else None))
        parts += [own(8, 2, halves="up")] if layer.relu else []
    model = keras.Sequential(parts)
    model.set_weights(
        [form.quantised(v) for layer in dense.layers for v in (layer.weights, layer.bias)]
    )
    found = made(dense, (8, 2)).outputs(IMAGES)
    assert np.array_equal(model(IMAGES).numpy() * 2.0**12, found)


@pytest.mark.parametrize("form", [(4, 1), (8, 2)])
def test_balls_are_proved_and_the_proofs_are_those_of_every_code(
    form: tuple[int, int], tmp_path: Path
) -> None:
    dense = random_dense(8, (6, 5, 3))
    path = tmp_path / "q.npz"
    small = Network("m.onnx", "0" * 64, "onnx", "numpy", 6, 3, (2, 3, 1), dense=dense)
    path.write_bytes(quantised_bytes(small, f"q-integer:{form[0]}:{form[1]}", None, (2, 3, 1)))
    loaded = load_network(path, image_shape=(2, 3, 1), classes=3)
    opened = Opened(loaded, open_network(loaded, 1), open_network(loaded, 1, batch=1))
    fixed = parse_fixed("q.npz", path.read_bytes())
    seen = set()
    for number in range(8):
        levels = np.random.default_rng(number).integers(20, 230, 6)
        image = (levels / 255).astype(np.float32)
        label = int(fixed.evaluate(levels[None])[0].argmax())
        around = np.array(list(product(*(range(k - 2, k + 3) for k in levels))))
        wrong = (fixed.evaluate(around).argmax(axis=1) != label).any()
        points = ball_set(Ball(Norm.LINF, Fraction(2, 255)), image)
        query = Query(points, Label(label), (opened,), Budget(20.0))
        verdict = decide(query, "branch").verdicts[0]
        assert verdict.status is (Status.NOT_ROBUST if wrong else Status.ROBUST)
        seen.add(verdict.status)
    assert Status.ROBUST in seen


def test_formats_whose_sums_are_too_long_are_refused() -> None:
    wide = Dense(
        (
            Layer(np.full((12, 4), 7.9, np.float32), np.zeros(4, np.float32), relu=True),
            Layer(np.ones((4, 3), np.float32), np.zeros(3, np.float32), relu=False),
        )
    )
    with pytest.raises(QuantiseError, match="in the first layer"):
        made(wide, (32, 4))


def test_the_form_of_mlps_stands_in() -> None:
    mlp = network(random_dense(1, (12, 3)))
    assert form_of(mlp, "q:8:2") == "q-integer:8:2"
    assert form_of(mlp, "q:8:2", "keras") == "q:8:2"
    assert form_of(mlp, "int8") == "int8"
    assert (ended("q:8:2", ".npz"), ended("q:8:2", ".keras")) == ("q-integer:8:2", "q:8:2")
