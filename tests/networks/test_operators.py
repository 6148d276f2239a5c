"""Chains of operators against the same operators run one by one in float64; what an MLP cannot hold
is named."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from relrob.domain.arrays import Doubles
from relrob.errors import NetworkError, RelrobError, ShapeError
from relrob.networks.operators import NotDenseError, OperatorChain
from tests.make_networks import forward

RNG = np.random.default_rng(11)
FIRST, SECOND, THIRD = (
    RNG.normal(size=size).astype(np.float32) for size in ((12, 5), (5, 4), (4, 3))
)
BIASES = [RNG.normal(size=size).astype(np.float32) for size in (5, 4, 3)]
CHANNEL = np.array([0.5, 2.0, -1.0])
Operator = tuple[Callable[[OperatorChain], None], Callable[[Doubles], Doubles]]


def scaled(scale: Doubles | float, shift: Doubles | float = 0.0) -> Operator:
    return lambda chain: chain.affine(scale, shift), lambda x: x * scale + shift


def viewed(*dims: int) -> Operator:
    return lambda chain: chain.reshape(dims), lambda x: x.reshape(len(x), *dims)


def turned(*axes: int) -> Operator:
    return lambda chain: chain.transpose(axes), lambda x: x.transpose(0, *(a + 1 for a in axes))


def full(number: int) -> Operator:
    weights, bias = (FIRST, SECOND, THIRD)[number], BIASES[number]
    return lambda chain: chain.dense(weights, bias), lambda x: x @ weights.astype(np.float64) + bias


RELU: Operator = (lambda chain: chain.relu(), lambda x: np.maximum(x, 0))
FLAT = viewed(12)

CHAINS: dict[str, tuple[tuple[int, ...], list[Operator], int, bool]] = {
    "plain": ((12,), [full(0), RELU, full(1)], 2, False),
    "one layer": ((12,), [full(0)], 1, False),
    "an image made flat": ((2, 2, 3), [FLAT, full(0), RELU, full(1)], 2, False),
    "-1 for the rest": ((2, 2, 3), [viewed(4, -1), FLAT, full(0)], 1, False),
    "channels last to first": (
        (2, 2, 3),
        [turned(2, 0, 1), FLAT, full(0), RELU, full(1)],
        2,
        False,
    ),
    "two turns": ((2, 2, 3), [turned(1, 0, 2), turned(2, 1, 0), FLAT, full(0)], 1, False),
    "a turn between views": ((12,), [viewed(3, 4), turned(1, 0), viewed(12), full(0)], 1, False),
    "a scale a channel": (
        (2, 2, 3),
        [scaled(CHANNEL, 0.25), FLAT, full(0), RELU, full(1)],
        2,
        True,
    ),
    "a scale a channel, then a turn": (
        (2, 2, 3),
        [scaled(CHANNEL), turned(2, 0, 1), FLAT, full(0)],
        1,
        True,
    ),
    "a turn, then a scale": (
        (2, 2, 3),
        [turned(2, 1, 0), scaled(np.array([1.0, 3.0])), FLAT, full(0)],
        1,
        True,
    ),
    "two scales in a row": ((12,), [scaled(2.0, 1.0), scaled(0.5, -3.0), full(0)], 1, True),
    "no scale at all": ((12,), [scaled(1.0, 0.0), full(0), RELU, scaled(1.0), full(1)], 2, False),
    "a scale after a ReLU": ((12,), [full(0), RELU, scaled(0.5, 2.0), full(1)], 2, True),
    "a scale before a ReLU": (
        (12,),
        [full(0), scaled(np.linspace(-1, 1, 5)), RELU, full(1)],
        2,
        True,
    ),
    "a scale of the logits": ((12,), [full(0), RELU, full(1), scaled(0.1, -0.5)], 2, True),
    "two layers without a ReLU": ((12,), [full(0), full(1), RELU, full(2)], 2, True),
    "three, scaled": ((12,), [full(0), scaled(3.0, 1.0), full(1), scaled(2.0), full(2)], 1, True),
    "a view of logits": ((12,), [full(0), viewed(5, 1), viewed(5)], 1, False),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_computes_what_its_operators_compute(name: str) -> None:
    dims, operators, layers, folded = CHAINS[name]
    chain, images = OperatorChain(dims), np.random.default_rng(1).random((20, 12))
    value: Doubles = images.reshape(20, *dims)
    for build, apply in operators:
        build(chain)
        value = np.asarray(apply(value))
        assert chain.shape == value.shape[1:]
    dense = chain.finish()
    assert (len(dense.layers), chain.folded, dense.softmax) == (layers, folded, False)
    np.testing.assert_allclose(forward(dense, images), value.reshape(20, -1), rtol=1e-5, atol=1e-5)


def test_a_bias_of_its_own_folds_nothing() -> None:
    """MatMul and Add: the layer's weights and bias are the file's to the bit; a second Add is
    folded."""
    chain = OperatorChain((12,))
    chain.dense(FIRST, np.zeros(5, np.float32))
    chain.affine(1.0, BIASES[0])
    assert np.array_equal(chain.finish().layers[0].bias, BIASES[0])
    assert not chain.folded
    chain = OperatorChain((12,))
    chain.dense(FIRST, BIASES[0])
    chain.affine(1.0, BIASES[0])
    assert np.array_equal(chain.finish().layers[0].bias, BIASES[0] * 2)
    assert chain.folded


@pytest.mark.parametrize(
    ("scale", "shift", "folded"),
    [(1.0, 0.0, False), (1.0, 0.5, True), (2.0, 0.0, True), (np.ones(5), np.zeros(5), False)],
)
def test_a_constant_after_a_bias_is_folded_unless_it_does_nothing(
    scale: Doubles | float, shift: Doubles | float, folded: bool
) -> None:
    chain = OperatorChain((12,))
    chain.dense(FIRST, np.zeros(5, np.float32))
    chain.affine(1.0, BIASES[0])
    chain.affine(scale, shift)
    layer = chain.finish().layers[0]
    assert chain.folded is folded
    np.testing.assert_allclose(layer.bias, BIASES[0].astype(np.float64) * scale + shift, rtol=1e-6)
    np.testing.assert_allclose(layer.weights, FIRST.astype(np.float64) * scale, rtol=1e-6)


def test_a_softmax_ends_the_chain() -> None:
    chain = OperatorChain((12,))
    chain.dense(FIRST, BIASES[0])
    chain.softmax()
    chain.reshape((5, 1))
    assert chain.finish().softmax
    after: list[tuple[Callable[[], None], str]] = [
        (lambda: chain.affine(2.0), "a scale or an offset"),
        (lambda: chain.dense(SECOND, BIASES[1]), "a dense layer"),
        (chain.relu, "a ReLU"),
        (chain.softmax, "a second softmax"),
    ]
    for operator, what in after:
        with pytest.raises(NotDenseError, match=f"^{what} after the softmax$"):
            operator()


WRONG: dict[str, tuple[type[Exception], str, list[Callable[[OperatorChain], object]]]] = {
    "a ReLU of pixels": (NotDenseError, "before the first dense", [lambda c: c.relu()]),
    "nothing": (NotDenseError, "no dense layer", [lambda c: c.finish()]),
    "a ReLU at the end": (
        NotDenseError,
        "a ReLU after the last",
        [full(0)[0], RELU[0], lambda c: c.finish()],
    ),
    "a scale after the last ReLU": (
        NotDenseError,
        "between a ReLU and the next",
        [full(0)[0], RELU[0], scaled(2.0)[0], lambda c: c.finish()],
    ),
    "a softmax of pixels": (NotDenseError, "not over a dense layer's outputs", [lambda c: c.softmax()]),
    "a softmax over one axis": (
        NotDenseError,
        "not over a dense layer's outputs",
        [full(0)[0], lambda c: c.reshape((5, 1)), lambda c: c.softmax()],
    ),
    "a turn of neurons": (
        NotDenseError,
        "a transpose after a dense layer",
        [full(0)[0], full(1)[0], lambda c: c.reshape((2, 2)), lambda c: c.transpose((1, 0))],
    ),
    "a dense layer over a last axis": (
        NotDenseError,
        r"over the last axis of \(3, 4\)",
        [viewed(3, 4)[0], lambda c: c.dense(THIRD, BIASES[2])],
    ),
    "a constant that is too large": (NotDenseError, "larger than the value", [lambda c: c.affine(np.ones((2, 12)))]),
    "a scale of 1e200": (NotDenseError, "beyond 2\\^60", [scaled(1e200)[0]]),
    "a scale of 1e18 twice": (NotDenseError, "beyond 2\\^100", [scaled(1e18)[0], scaled(1e18)[0]]),
    "a NaN": (NotDenseError, "NaN", [lambda c: c.affine(1.0, np.nan)]),
    "other widths": (ShapeError, "of 5 inputs is fed 12 values; accepted: equal numbers", [full(1)[0]]),
    "a bias of another width": (
        NetworkError,
        r"weights \(12, 5\) and bias \(4,\)",
        [lambda c: c.dense(FIRST, BIASES[1])],
    ),
    "infinite weights": (
        NetworkError,
        "NaN or infinite weights.*try: train or export again",
        [lambda c: c.dense(FIRST * np.inf, BIASES[0])],
    ),
    "values near the end of float32": (
        NotDenseError,
        r"beyond 2\^100",
        [lambda c: c.affine(1e18), lambda c: c.dense(FIRST * np.float32(1e13), BIASES[0])],
    ),
    "a view of another size": (ShapeError, r"from \(12,\) to \(5, -1\); accepted: as many", [viewed(5, -1)[0]]),
    "a turn by no permutation": (ShapeError, "a permutation of its axes", [viewed(3, 4)[0], lambda c: c.transpose((0, 0))]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_what_is_no_mlp_is_named(name: str) -> None:
    error, words, operators = WRONG[name]
    chain = OperatorChain((12,))
    *before, last = operators
    for operator in before:
        operator(chain)
    with pytest.raises(error, match=words) as caught:
        last(chain)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, RelrobError) == (error is not NotDenseError)
    assert not re.search(r"  |\.\.|; *$", str(caught.value))
