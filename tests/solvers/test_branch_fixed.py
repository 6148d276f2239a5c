"""Fixed-point networks in L-infinity balls. The referee runs every code vector of the box."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.codes import code_box
from relrob.bounding.fixed import CodeCell, Threat, _best, bound, cell_of, settled, threats
from relrob.branching import fixed_relaxation as staircase_program
from relrob.certificates.checking import fixed as cells
from relrob.certificates.checking.reading.fixed import Layer as Checked
from relrob.deciding.decide import decide
from relrob.domain.arrays import Ints
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Reason, Status
from relrob.errors import NetworkError
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob_solvers.branch_fixed import Staircase
from tests.ball_cases import Question, fixed_opened, layer_by_layer, question, tricky_network

SEEDS = st.integers(0, 10**9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fixed")


def form_values(asked: Question, threat: Threat) -> Ints:
    """(n, forms) of every code vector."""
    stages = layer_by_layer(asked.network, asked.codes)
    last = stages[-2][1] if len(stages) > 1 else asked.codes
    return np.stack([last @ form.coefficients + form.constant for form in threat.forms], axis=1)


@settings(max_examples=100)
@given(SEEDS)
def test_the_verdict_is_that_of_every_code_vector(folder: Path, seed: int) -> None:
    asked = question(seed, folder)
    decision = decide(asked.problem(), "branch")
    verdict = decision.verdicts[0]
    assert verdict.status is (Status.NOT_ROBUST if asked.wrong.any() else Status.ROBUST)
    assert verdict.disagreements == 0
    if verdict.witness is not None:
        assert asked.ball.contains(verdict.witness.image)
        codes = asked.network.codes(verdict.witness.image[None, :])[0]
        assert asked.wrong[(asked.codes == codes).all(axis=1)].all()


@settings(max_examples=100)
@given(SEEDS)
def test_the_box_of_codes_is_that_of_the_ball(folder: Path, seed: int) -> None:
    asked = question(seed, folder)
    low, high = code_box(asked.network, asked.ball)
    assert (low.tolist(), high.tolist()) == (
        asked.codes.min(axis=0).tolist(),
        asked.codes.max(axis=0).tolist(),
    )


@settings(max_examples=100)
@given(SEEDS)
def test_threats_cover_every_misclassified_code_vector(folder: Path, seed: int) -> None:
    asked = question(seed, folder)
    outputs = asked.network.evaluate(asked.codes)
    for label in range(asked.network.classes):
        every = threats(asked.network, label)
        met = np.stack([(form_values(asked, threat) >= 0).all(axis=1) for threat in every])
        rivals = np.array([threat.rival for threat in every])
        said = outputs.argmax(axis=1)
        for number in np.flatnonzero(said != label):
            assert met[rivals == said[number], number].any()


def some_cell(network: FixedNetwork, low: Ints, high: Ints, seed: int) -> CodeCell:
    """A cell a few random splits below a box."""
    rng, cell = np.random.default_rng(seed), cell_of(network, low, high)
    for _ in range(int(rng.integers(0, 5))):
        wide = [
            (at, int(n))
            for at in range(len(cell.low))
            for n in np.flatnonzero(cell.low[at] < cell.high[at])
        ]
        if wide:
            at, neuron = wide[int(rng.integers(len(wide)))]
            value = int(rng.integers(cell.low[at][neuron], cell.high[at][neuron]))
            halves = cell.split(network, at, neuron, value)
            cell = halves[int(rng.integers(len(halves)))] if halves else cell
    return cell


def in_cell(cell: CodeCell, stages: list[Ints]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which code vectors take the path to the cell. `stages`: codes, then the outputs of each
    hidden layer, (n, width) each."""
    found = np.ones(len(stages[0]), dtype=np.bool_)
    for at, neuron, value, side in cell.path:
        found &= (stages[at][:, neuron] > value) if side else (stages[at][:, neuron] <= value)
    return found


@settings(max_examples=100)
@given(SEEDS)
def test_cells_hold_the_code_vectors_of_their_paths_and_halves_part_them(
    folder: Path, seed: int
) -> None:
    asked = question(seed, folder)
    network = asked.network
    cell = some_cell(network, asked.codes.min(axis=0), asked.codes.max(axis=0), seed)
    layers = layer_by_layer(network, asked.codes)[:-1]
    stages = [asked.codes, *(outputs for _, outputs in layers)]
    mine = in_cell(cell, stages)
    for at, values in enumerate(stages):
        assert ((cell.low[at] <= values[mine]) & (values[mine] <= cell.high[at])).all()
        if at:
            for least, most in (cell.sums[at - 1], cell.natural[at - 1]):
                assert (
                    (least <= layers[at - 1][0][mine]) & (layers[at - 1][0][mine] <= most)
                ).all()
    label = settled(network, cell)
    assert label is None or (network.evaluate(asked.codes[mine]).argmax(axis=1) == label).all()
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(stages)))
    neuron = int(rng.integers(stages[at].shape[1]))
    value = int(rng.integers(cell.low[at][neuron] - 1, cell.high[at][neuron] + 1))
    halves = [in_cell(half, stages) for half in cell.split(network, at, neuron, value)]
    total = np.sum(halves, axis=0) if halves else np.zeros(len(asked.codes), dtype=np.int64)
    assert np.array_equal(total, mine * 1), "no code vector is lost, none is in both"


@settings(max_examples=80)
@given(SEEDS, st.sampled_from([1, 1000, 2**20, 2**40, 2**58]))
def test_the_bound_is_above_every_code_vector_for_any_multipliers(
    folder: Path, seed: int, size: int
) -> None:
    """Multipliers of 2^58 leave 64 bits: Python's integers take over, and the answer is the same
    multiple."""
    asked = question(seed, folder)
    network, rng = asked.network, np.random.default_rng(seed)
    cell = some_cell(network, asked.codes.min(axis=0), asked.codes.max(axis=0), seed)
    layers = layer_by_layer(network, asked.codes)[:-1]
    mine = in_cell(cell, [asked.codes, *(outputs for _, outputs in layers)])
    threat = threats(network, asked.label)[int(rng.integers(len(threats(network, asked.label))))]
    forms = rng.integers(0, 10, len(threat.forms)).astype(object) * size
    sums = tuple(
        rng.integers(-10, 11, len(layer.offset)).astype(object) * size
        for layer in network.layers[:-1]
    )
    values = form_values(asked, threat)[mine].astype(object) @ forms
    found = bound(
        network, cell, threat, forms.astype(np.int64), tuple(s.astype(np.int64) for s in sums)
    )
    assert all(value <= found for value in values.tolist())
    small = bound(
        network,
        cell,
        threat,
        (forms // size).astype(np.int64),
        tuple((s // size).astype(np.int64) for s in sums),
    )
    assert found == small * size


@settings(max_examples=200)
@given(SEEDS)
def test_the_best_accumulator_of_a_neuron_is_that_of_trying_all(seed: int) -> None:
    """The bound's step and the checker's corners, both exact: neither more nor less than the
    largest value."""
    rng = np.random.default_rng(seed)
    low, shift = int(rng.choice([0, 0, -3])), int(rng.integers(0, 4))
    layer = FixedLayer(
        np.zeros((1, 1), np.int64),
        np.zeros(1, np.int64),
        0,
        shift,
        low,
        low + int(rng.integers(1, 9)),
    )
    least = int(rng.integers(-40, 60))
    most = least + int(rng.integers(0, 60))
    gain, pull = (int(rng.integers(-30, 31)) for _ in range(2))

    def passed(a: int) -> int:
        return min(max(a >> shift, layer.low), layer.high)

    best = max(gain * passed(a) - pull * a for a in range(least, most + 1))
    ends = (np.array([value]) for value in (gain, pull, passed(least), passed(most), least, most))
    assert _best(layer, *ends).tolist() == [best]
    checker = cells._Layer(
        Checked(layer.weights, layer.bias, layer.bias_shift, layer.shift, layer.low, layer.high)
    )
    assert max(gain * passed(a) - pull * a for a in cells._corners(checker, least, most)) == best
    assert all(least <= a <= most for a in cells._corners(checker, least, most))


@settings(max_examples=40)
@given(SEEDS)
def test_a_relaxation_is_above_every_code_vector_and_a_split_is_always_possible(
    folder: Path, seed: int
) -> None:
    """Neither is needed for soundness: without them the search would be blind, or endless."""
    asked = question(seed, folder)
    network = asked.network
    cell = some_cell(network, asked.codes.min(axis=0), asked.codes.max(axis=0), seed)
    layers = layer_by_layer(network, asked.codes)[:-1]
    mine = in_cell(cell, [asked.codes, *(outputs for _, outputs in layers)])
    for threat in threats(network, asked.label):
        found = staircase_program.relax(network, cell, threat, 60.0)
        assert found is not None
        values = form_values(asked, threat)
        met = mine & (values[:, 1:] >= 0).all(axis=1)
        assert not met.any() or values[met, 0].max() <= found.value + 1e-6 * (1 + abs(found.value))
        for guide in (found, None):
            layer, neuron, value = staircase_program.loosest(network, cell, guide, threat)
            if layer < 0:
                assert all(
                    (low == high).all() for low, high in zip(cell.low, cell.high, strict=True)
                )
            else:
                assert cell.low[layer][neuron] <= value < cell.high[layer][neuron]


def test_no_time_is_unknown_for_lack_of_time(folder: Path) -> None:
    reasons = set()
    for seed in range(60):
        asked = question(seed, folder)
        verdict = decide(asked.problem(seconds=1e-9), "branch").verdicts[0]
        if verdict.status is Status.UNKNOWN:
            reasons.add(verdict.reason)
        else:
            assert (verdict.status is Status.NOT_ROBUST) == asked.wrong.any()
    assert reasons == {Reason.TIME}


def test_the_table_has_all_kinds_of_questions(folder: Path) -> None:
    """Robust and not, closed by the first bound and by branching."""
    steps = set()
    for seed in range(80):
        finding = decide(question(seed, folder).problem(), "branch").each[0]
        steps.add((finding.proved, finding.step))
    assert steps == {(True, "bounds"), (True, "branch"), (False, "witness")}


def extreme_network(weight: int, shift: int) -> FixedNetwork:
    """Weights and accumulators as large as 64 bits allow."""
    first = FixedLayer(np.array([[1, 1], [1, -1]]), np.array([0, 1]), 0, 0, 0, 1)
    last = FixedLayer(
        np.array([[weight, -weight], [1, 1]]), np.array([0, 0]), 0, shift, -(2**20), 2**20
    )
    return FixedNetwork((first, last), 0, 1, 1)


@pytest.mark.parametrize("weight", [2**40, 2**55, 2**61, 2**62 - 5])
@pytest.mark.parametrize("shift", [0, 40, 61])
def test_numbers_at_the_edge_of_64_bits_do_not_wrap(folder: Path, weight: int, shift: int) -> None:
    network = extreme_network(weight, shift)
    opened = fixed_opened(network, folder)
    for image in ([0, 0], [255, 0], [0, 255], [255, 255]):
        for radius in ("1/4", "3/4"):
            ball = ball_set(Ball(Norm.LINF, Fraction(radius)), np.array([[image]], np.uint8))
            low, high = code_box(network, ball)
            codes = np.array(
                [[a, b] for a in range(low[0], high[0] + 1) for b in range(low[1], high[1] + 1)]
            )
            said = network.evaluate(codes).argmax(axis=1)
            for label in (0, 1):
                refusal = Staircase().accepts(ball.region, (opened.network,))
                assert refusal is None
                verdict = decide(
                    Query(ball, Label(label), (opened,), Budget(600)), "branch"
                ).verdicts[0]
                assert (verdict.status is Status.ROBUST) == (said == label).all()


def test_weights_whose_differences_leave_64_bits_are_no_network() -> None:
    with pytest.raises(NetworkError, match="weight of 63 bits; accepted: at most 62"):
        extreme_network(2**62, 61)


def test_other_regions_and_networks_are_refused(folder: Path) -> None:
    opened = fixed_opened(tricky_network(1), folder)
    for norm in (Norm.L1, Norm.L2, Norm.L0):
        refusal = Staircase().accepts(Ball(norm, Fraction(1)), (opened.network,))
        assert refusal == "it takes L-infinity balls only"
    fine = FixedNetwork(tricky_network(1).layers, 0, 2**21, 2**21)
    assert (
        Staircase().accepts(Ball(Norm.LINF, Fraction(1)), (fixed_opened(fine, folder).network,))
        is not None
    )
