"""The integer encoding of fixed-point networks against every code vector of the box, on z3 and on
cvc5."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.codes import code_box, coded
from relrob.branching.z3_text import Z3, Said
from relrob.deciding.decide import decide
from relrob.domain.arrays import Ints
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.errors import UsageError
from relrob.networks.fixed.file import write_fixed
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob.testing.fixed import tricky_network
from tests.networks.fixed.test_network import random_network
from tests.solvers.test_smt_ladder import cvc5_says


def every_code(low: Ints, high: Ints) -> Ints:
    """All code vectors of a box, (n, d)."""
    return np.array(
        list(product(*(range(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))))
    )


def small(seed: int) -> tuple[FixedNetwork, Ints, Ints]:
    """A network with few pixels, saturating now and then, and a box of codes."""
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(2, 5))
    sizes = [(3, 4, 3), (4, 3, 2), (3, 2), (2, 4, 3, 3)][seed % 4]
    network = random_network(seed, bits, sizes)
    centre = rng.integers(0, 2**bits, sizes[0])
    reach = int(rng.integers(0, 3))
    return network, np.maximum(centre - reach, 0), np.minimum(centre + reach, 2**bits - 1)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_cvc5_finds_the_text_satisfiable_exactly_when_some_code_is_wrong(seed: int) -> None:
    network, low, high = small(seed)
    said = network.evaluate(every_code(low, high)).argmax(axis=1)
    for label in range(network.classes):
        text = integer_smtlib(network, low, high, label)
        assert cvc5_says(text) == ("sat" if (said != label).any() else "unsat"), (seed, label)


def opened(network: FixedNetwork, path: Path) -> Opened:
    """The network as a file, opened."""
    write_fixed(network, path)
    found = load_network(path, image_shape=(1, network.inputs, 1), classes=network.classes)
    return Opened(found, network, network)


@pytest.mark.parametrize("seed", range(60))
def test_z3_agrees_with_every_code(seed: int, tmp_path: Path) -> None:
    network, _, _ = small(seed)
    rng = np.random.default_rng(seed)
    image = rng.random((1, network.inputs, 1), dtype=np.float32)
    ball = ball_set(Ball(Norm.LINF, Fraction(int(rng.integers(1, 40)), 100)), image)
    low, high = code_box(network, ball)
    said = network.evaluate(every_code(low, high)).argmax(axis=1)
    label = int(network.evaluate(network.codes(ball.base[None, :])).argmax())
    problem = Query(ball, Label(label), (opened(network, tmp_path / "n.npz"),), Budget(600))
    verdict = decide(problem, "smt").verdicts[0]
    assert verdict.solver == "smt"
    if (said == label).all():
        assert verdict.status is Status.ROBUST
    else:
        assert verdict.status is Status.NOT_ROBUST
        assert verdict.witness is not None
        assert ball.contains(verdict.witness.image)


def test_a_code_box_holds_the_codes_of_every_image_of_the_ball() -> None:
    rng = np.random.default_rng(0)
    network = random_network(1, 4, (5, 2))
    for _ in range(200):
        image = rng.random((1, 5, 1), dtype=np.float32)
        radius = Fraction(int(rng.integers(1, 200)), 255)
        ball = ball_set(Ball(Norm.LINF, radius), image)
        low, high = code_box(network, ball)
        for _ in range(20):
            point = ball.point(rng.uniform(-float(radius), float(radius), 5))
            if point is not None:
                codes = network.codes(point[None, :])[0]
                assert ((low <= codes) & (codes <= high)).all()
        for corner in (low, high):  # the ends are reached
            image_of = coded(network, ball, corner)
            assert image_of is not None
            assert (network.codes(image_of[None, :])[0] == corner).all()


def test_a_box_of_one_code_is_decided_without_unknowns() -> None:
    layer = FixedLayer(np.array([[1, -1]]), np.array([0, 0]), 0, 0, -8, 7)
    network = FixedNetwork((layer,), 0, 7, 7)
    one = np.array([3])
    assert "declare" not in integer_smtlib(network, one, one, 0)
    assert cvc5_says(integer_smtlib(network, one, one, 0)) == "unsat"
    assert cvc5_says(integer_smtlib(network, one, one, 1)) == "sat"


def test_ties_go_to_the_lower_class() -> None:
    layer = FixedLayer(np.array([[0, 0]]), np.array([1, 1]), 0, 0, -8, 7)
    network, low, high = FixedNetwork((layer,), 0, 7, 7), np.array([0]), np.array([7])
    assert cvc5_says(integer_smtlib(network, low, high, 0)) == "unsat"
    assert cvc5_says(integer_smtlib(network, low, high, 1)) == "sat"


def test_a_text_that_can_be_met_is_not_proved_otherwise(tmp_path: Path) -> None:
    """z3's solver for QF_LIA proved this robust where shifts were written as `div`: codes
    (0, 1, 0, 0) and (0, 1, 0, 1) have label 0."""
    layer = FixedLayer(
        np.array([[0, -4, 0, -7], [-1, 1, -2, -7], [-8, -7, 6, -8], [-2, 6, -1, 6]]),
        np.array([-3, -8, -2, -8]),
        *(3, 5),
        low=-8,
        high=7,
    )
    network = FixedNetwork((layer,), 0, 5, 1)
    low, high = np.array([0, 1, 0, 0]), np.array([0, 1, 1, 1])
    assert network.evaluate(every_code(low, high)).argmax(axis=1).tolist() == [0, 0, 2, 2]
    text = integer_smtlib(network, low, high, 2, check=False)
    assert "div" not in text
    z3 = Z3("QF_LIA", text)
    assert z3.ask(60) is Said.MODEL
    assert z3.model_holds()
    assert z3.integers(["x2"]) == [0]
    image = np.array([[[0.0627451], [0.80784315], [0.6117647], [0.4117647]]], np.float32)
    ball = ball_set(Ball(Norm.LINF, Fraction(3750203, 33554432)), image.reshape(1, 4, 1))
    found = Query(ball, Label(2), (opened(network, tmp_path / "n.npz"),), Budget(600))
    assert decide(found, "smt").verdicts[0].status is Status.NOT_ROBUST


@pytest.mark.parametrize("seed", [*range(40), 326, 828])
def test_z3_proves_nothing_of_tricky_networks_that_a_code_refutes(seed: int) -> None:
    """Of the texts with `div` of these, two were proved that are not."""
    rng, network = np.random.default_rng(seed), tricky_network(seed)
    centre = rng.integers(network.low, network.high + 1, network.inputs)
    reach = int(rng.integers(1, 3))
    low, high = np.maximum(centre - reach, network.low), np.minimum(centre + reach, network.high)
    said = network.evaluate(every_code(low, high)).argmax(axis=1)
    for label in range(network.classes):
        z3 = Z3("QF_LIA", integer_smtlib(network, low, high, label, check=False))
        expected = Said.MODEL if (said != label).any() else Said.NONE
        assert z3.ask(60) is expected


def test_other_regions_are_refused_in_one_line(tmp_path: Path) -> None:
    network = random_network(1, 3, (4, 2))
    ball = ball_set(Ball(Norm.L2, Fraction(1)), np.zeros((1, 4, 1), np.float32))
    problem = Query(ball, Label(0), (opened(network, tmp_path / "n.npz"),), Budget(1))
    with pytest.raises(UsageError, match="L-infinity balls only"):
        decide(problem, "smt")


def test_a_model_that_z3_gives_back_wrongly_is_asked_for_again(tmp_path: Path) -> None:
    """The solver for QF_LIA says sat and shows a model that the text refutes."""
    layer = FixedLayer(
        np.array([[1, 0, -2], [-1, 1, 0]]), np.array([-1, -2, -2]), 0, 1, low=-2, high=1
    )
    network = FixedNetwork((layer,), 0, 15, 15)
    low, high = np.array([0, 1]), np.array([1, 1])
    text = integer_smtlib(network, low, high, 1, check=False)
    for logic in ("QF_LIA", None):
        z3 = Z3(logic, text)
        assert z3.ask(60) is Said.MODEL
        if z3.model_holds():
            assert z3.integers(["x0"]) == [1]
    path = tmp_path / "n.npz"
    write_fixed(network, path)
    loaded = load_network(path, image_shape=(1, 2, 1), classes=3)
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 30)), np.array([[[0.04], [0.0745]]], np.float32))
    runs = open_network(loaded)
    said = Query(ball, Label(1), (Opened(loaded, runs, runs),), Budget(600))
    assert [codes.tolist() for codes in code_box(network, ball)] == [[0, 1], [1, 2]]
    assert decide(said, "smt").verdicts[0].status is Status.NOT_ROBUST
