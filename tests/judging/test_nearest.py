"""Dynamic-range networks judged on a ladder (nearest.py): what is promised of every kernel, kept by
LiteRT's own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from relrob.bounding.ladder import LadderBounds
from relrob.deciding.decide import decide
from relrob.domain.arrays import Bools, Doubles, Floats
from relrob.domain.network import Network
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status
from relrob.judging import judges as tally_module
from relrob.judging.judges import NearestJudge, RuntimeJudge, nearest_judge
from relrob.judging.nearest import NearestDense
from relrob.networks.enclose import dynamic_layers, enclosure_of, row_quantiser
from relrob.networks.evaluator import Evaluator, labels, margins
from relrob.networks.litert.dynamic import qd8, shifted, symmetric
from relrob.networks.litert.layers import DynamicFull
from relrob.networks.litert.probes import hostile_images
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import whole
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests.make_kernels import Full, Kind, write

SHAPE = (8, 8, 1)
RUNTIMES = ("xnnpack", "builtin", "reference")
CASES = [(runtime, asymmetric) for runtime in RUNTIMES for asymmetric in (False, True)]


def a_file(
    folder: Path, seed: int, sizes: tuple[int, ...] = (64, 72, 70, 5), asymmetric: bool = False
) -> Path:
    """A random dynamic-range file: one scale a tensor or one an output, neurons that are always
    off, and two equal classes."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (given, out) in enumerate(pairwise(sizes)):
        weights = rng.integers(-127, 128, size=(out, given), dtype=np.int8)
        scales = (rng.uniform(0.5, 2, out if seed % 2 else 1) / 500).astype(np.float32)
        bias = rng.normal(0, 0.1, out).astype(np.float32)
        last = number == len(sizes) - 2
        if last and seed % 3 == 0:
            weights[1], bias[1], scales = weights[0], bias[0], scales[:1]
        elif not last:
            bias[:9] = -50
        layers.append(Full(weights, bias, scales, relu=not last, asymmetric=asymmetric))
    path = folder / f"{seed}-{asymmetric}.tflite"
    path.write_bytes(write(sizes[0], Kind(), [*layers]))
    return path


def opened_file(path: Path, runtime: str, classes: int = 5) -> Opened:
    network = load_network(path, image_shape=SHAPE, classes=classes, runtime=runtime)
    return Opened(network, open_network(network), open_network(network, batch=1))


def rungs_of(seed: int, step: str = "1/4", top: int = 256, white: int = 0) -> RungSet:
    """A few hundred points, with largest pixels that vary from one to the next."""
    image = np.random.default_rng(seed).integers(0, top, size=(8, 8), dtype=np.uint8)
    image.flat[:white] = 255
    return rung_set(Ladder(Fraction(9), Fraction(step), 9, 4), image)


def every_mask(rungs: RungSet) -> Bools:
    return rungs.knapsack.masks(0, rungs.count)


def nearest(network: Network, rungs: RungSet, label: int, looked_up: bool = True) -> NearestDense:
    layers, enclosure = dynamic_layers(network), enclosure_of(network)
    assert layers is not None and enclosure is not None
    bounds = LadderBounds(enclosure, rungs, label).neurons(whole(rungs))
    highest = [each.high for each in bounds[:-1]] + [
        np.maximum(np.abs(bounds[-1].low), np.abs(bounds[-1].high))
    ]
    levels = 255 if network.runtime == "xnnpack" or layers[0].asymmetric else 127
    quantiser = row_quantiser(network) if looked_up else None
    return NearestDense(layers, levels, rungs, Label(label), highest, quantiser=quantiser)


@pytest.mark.parametrize(("runtime", "asymmetric"), CASES)
def test_the_runtime_keeps_what_is_promised_of_it(
    tmp_path: Path, runtime: str, asymmetric: bool
) -> None:
    sure = total = 0
    for seed, step, top in (
        (1, "1/4", 256),
        (2, "1/2", 256),
        (3, "1/8", 251),
        (4, "1", 255),
        (5, "1/2", 129),
    ):
        opened = opened_file(a_file(tmp_path, seed, asymmetric=asymmetric), runtime)
        rungs = rungs_of(seed, step, top=top)
        masks = every_mask(rungs)
        outputs = opened.evaluator.outputs(rungs.images(masks))
        for label in (0, int(outputs[0].argmax())):
            near = nearest(opened.network, rungs, label).judge(masks)
            assert (np.abs(near.margins - margins(outputs, label)) <= near.error).all()
            assert (near.labels == labels(outputs))[near.sure].all()
            sure, total = sure + int(near.sure.sum()), total + len(masks)
            if seed == 3 and label < 2:  # equal classes are never told apart
                assert not near.sure[labels(outputs) < 2].any()
    assert sure > total / 3


def other_kernel(
    layers: tuple[DynamicFull, ...], images: Floats, top: int, rng: np.random.Generator
) -> Doubles:
    """Another kernel that rounds to the nearest level: in float64 up to the last float32 bits,
    halves to any side."""
    values = images.astype(np.float64)
    for layer in layers:
        largest = values.max(axis=1, keepdims=True)
        exact = values * (top / largest) * (1 + rng.uniform(-1, 1, values.shape) * 2.0**-23)
        levels = np.floor(exact + 0.5 + rng.uniform(-1, 1, values.shape) * 2.0**-30)
        values = (
            levels @ layer.weights.astype(np.float64) * (largest / top) * layer.scales + layer.bias
        )
        values = values * (1 + rng.uniform(-1, 1, values.shape) * 2.0**-24)
        values = np.maximum(values, 0) if layer.relu else values
    return values


def test_other_kernels_that_round_to_the_nearest_level_keep_it_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    doubtful = 0
    for seed in range(8):
        opened = opened_file(a_file(tmp_path, seed), "xnnpack")
        rungs, layers = rungs_of(seed), dynamic_layers(opened.network)
        assert layers is not None
        masks = every_mask(rungs)
        near = nearest(opened.network, rungs, 0, looked_up=False).judge(masks)
        outputs = other_kernel(layers, rungs.images(masks), 255, rng).astype(np.float32)
        assert (np.abs(near.margins - margins(outputs, 0)) <= near.error).all()
        assert (near.labels == labels(outputs))[near.sure].all()
        doubtful += int((np.isfinite(near.error) & (near.error > 1e-3)).sum())
    assert doubtful  # some level was near a half


def test_a_pixel_half_way_between_levels_is_looked_up(tmp_path: Path) -> None:
    """At step 1/2 a moved pixel is k + 127.5 levels of a white one: nothing is known of it but what
    the runtime shows."""
    opened = opened_file(a_file(tmp_path, 2), "xnnpack")
    rungs = rungs_of(2, "1/2", white=9)
    masks = every_mask(rungs)
    blind, seeing = (nearest(opened.network, rungs, 0, looked_up) for looked_up in (False, True))
    unknown = blind.judge(masks)
    assert np.isinf(unknown.error).any() and not unknown.sure[np.isinf(unknown.error)].any()
    near = seeing.judge(masks)
    assert np.isfinite(near.error).all()
    truth = margins(opened.evaluator.outputs(rungs.images(masks)), 0)
    assert (np.abs(near.margins - truth) <= near.error).all()


def test_a_look_up_that_contradicts_the_rounding_is_not_believed(tmp_path: Path) -> None:
    opened = opened_file(a_file(tmp_path, 2), "xnnpack")
    rungs = rungs_of(2, "1/2", white=9)
    layers = dynamic_layers(opened.network)
    assert layers is not None
    highest = [np.full(len(layer.bias), 9.0) for layer in layers]
    dense = NearestDense(
        layers, 255, rungs, Label(0), highest, quantiser=lambda images: images + np.float32(0.01)
    )
    assert np.isinf(dense.judge(every_mask(rungs)).error).any()


@pytest.mark.parametrize(("runtime", "asymmetric"), CASES)
def test_the_row_quantiser_shows_the_levels_of_the_kernel(
    tmp_path: Path, runtime: str, asymmetric: bool
) -> None:
    network = opened_file(a_file(tmp_path, 1, asymmetric=asymmetric), runtime).network
    quantiser = row_quantiser(network)
    assert quantiser is not None
    images = hostile_images(network)
    rule = qd8 if runtime == "xnnpack" else shifted if asymmetric else symmetric
    rows, zero, scales = rule(images)
    assert np.allclose(
        quantiser(images),
        (rows if zero is None else rows - zero) * scales[:, None],
        rtol=1e-6,
        atol=0,
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_block_has_the_labels_and_the_smallest_margin_of_the_runtime(
    tmp_path: Path, runtime: str
) -> None:
    for seed in range(6):
        opened = opened_file(a_file(tmp_path, seed), runtime)
        rungs = rungs_of(seed, ("1/4", "1/2", "1/8")[seed % 3])
        masks = every_mask(rungs)
        judge = nearest_judge(opened, rungs, Label(0), enclosure_of(opened.network))
        assert isinstance(judge, NearestJudge)
        for rows in (slice(0, 20), slice(None), slice(100, 300), slice(40, 110)):
            ours, theirs = (
                judge.see(masks[rows]),
                RuntimeJudge(opened, rungs, Label(0)).see(masks[rows]),
            )
            assert ours.labels.tolist() == theirs.labels.tolist()
            assert (
                ours.margins.argmin() == theirs.margins.argmin()
                and ours.margins.min() == theirs.margins.min()
            )


class Counting:
    """A runtime that counts images, and adds `shift` to their first outputs."""

    def __init__(self, inner: Evaluator, shift: float = 0.0) -> None:
        self._inner, self.shift = inner, shift
        self.runtime, self.best_batch = inner.runtime, inner.best_batch
        self.images = 0

    def outputs(self, images: Floats) -> Floats:
        found = self._inner.outputs(images)
        found[:, 0] += np.float32(self.shift)
        self.images += len(images)
        return found


def test_most_points_are_spared(tmp_path: Path) -> None:
    opened = opened_file(a_file(tmp_path, 1), "xnnpack")
    rungs = rungs_of(1)
    counting = Counting(opened.evaluator)
    judge = nearest_judge(
        replace(opened, evaluator=counting), rungs, Label(0), enclosure_of(opened.network)
    )
    masks = every_mask(rungs)
    judge.see(masks)
    # The first block compares images in batches with images alone, once.
    compared = counting.images
    judge.see(masks)
    assert counting.images - compared < len(masks) / 2


def test_a_runtime_that_breaks_the_promise_judges_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = opened_file(a_file(tmp_path, 1), "xnnpack")
    rungs = rungs_of(1)
    shifted_one = replace(opened, evaluator=Counting(opened.evaluator, shift=5.0))
    judge = nearest_judge(shifted_one, rungs, Label(0), enclosure_of(opened.network))
    masks = every_mask(rungs)
    theirs = RuntimeJudge(shifted_one, rungs, Label(0)).see(masks)
    for _ in range(2):
        seen = judge.see(masks)
        assert (
            seen.labels.tolist() == theirs.labels.tolist()
            and seen.margins.tolist() == theirs.margins.tolist()
        )
    assert "does not round to the nearest level" in caplog.text


def test_a_promise_broken_later_ends_in_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally_module, "BLOCK", 128)
    opened = opened_file(a_file(tmp_path, 1), "xnnpack")
    rungs = rungs_of(1)
    counting = Counting(opened.evaluator)
    judge = nearest_judge(
        replace(opened, evaluator=counting), rungs, Label(0), enclosure_of(opened.network)
    )
    masks = every_mask(rungs)
    judge.see(masks[:128])
    counting.shift = 5.0
    with pytest.raises(ArithmeticError):
        judge.see(masks[128:])


def test_such_a_solver_run_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door turns the error into UNKNOWN."""
    opened = opened_file(a_file(tmp_path, 1), "xnnpack")
    rungs = rungs_of(1)
    monkeypatch.setattr(
        NearestJudge, "see", lambda *_: (_ for _ in ()).throw(ArithmeticError("broken"))
    )
    verdict = decide(Query(rungs, Label(0), (opened,), Budget(600), True), Branch()).verdicts[0]
    assert verdict.status is Status.UNKNOWN and verdict.reason is Reason.CRASH


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_branching_counts_as_enumeration_does(tmp_path: Path, runtime: str) -> None:
    """Enumeration runs every point on the runtime itself."""
    effective = 0
    for seed in range(6):
        opened = opened_file(a_file(tmp_path, seed), runtime)
        rungs = rungs_of(seed, ("1/4", "1/2", "1/8")[seed % 3])
        label = int(opened.evaluator.outputs(rungs.base[None, :]).argmax())
        problem = Query(rungs, Label(label), (opened, opened), Budget(600), True)
        ours, theirs = decide(problem, Branch(leaf=100_000)), decide(problem, Enumerate())
        assert [each.effective for each in ours.each] == [each.effective for each in theirs.each]
        assert ours.transfer == theirs.transfer
        assert [verdict.margin for verdict in ours.verdicts] == [
            verdict.margin for verdict in theirs.verdicts
        ]
        assert [verdict.status for verdict in ours.verdicts] == [
            verdict.status for verdict in theirs.verdicts
        ]
        effective += ours.each[0].effective or 0
    assert effective


def test_rows_of_zeros_and_tiny_rows_are_left_to_the_runtime(tmp_path: Path) -> None:
    layers = (
        DynamicFull(
            -np.ones((64, 70), np.int8),
            np.zeros(70, np.float32),
            np.ones(1, np.float32),
            True,
            False,
        ),
        DynamicFull(
            np.ones((70, 5), np.int8), np.zeros(5, np.float32), np.ones(1, np.float32), False, False
        ),
    )
    rungs = rungs_of(1)
    highest = [np.full(70, 1.0), np.full(5, 1.0)]
    found = NearestDense(layers, 255, rungs, Label(0), highest).judge(every_mask(rungs))
    assert np.isinf(found.error).all() and not found.sure.any()
    black = rung_set(Ladder(Fraction(20), Fraction(1, 4), 9, 4), np.zeros((8, 8), np.uint8))
    found = NearestDense(layers, 255, black, Label(0), highest).judge(np.zeros((1, 9), np.bool_))
    assert np.isinf(found.error).all()


def test_sums_that_leave_float32_are_refused(tmp_path: Path) -> None:
    wide = DynamicFull(
        np.full((70000, 5), 1, np.int8),
        np.zeros(5, np.float32),
        np.ones(1, np.float32),
        False,
        False,
    )
    first = DynamicFull(
        np.ones((64, 70000), np.int8),
        np.zeros(70000, np.float32),
        np.ones(1, np.float32),
        True,
        False,
    )
    rungs = rungs_of(1)
    assert not NearestDense((first, wide), 255, rungs, Label(0), [np.ones(70000), np.ones(5)]).exact
    assert not NearestDense(
        (first, wide), 255, rungs, Label(0), [np.full(70000, np.inf), np.ones(5)]
    ).exact


def test_only_dynamic_range_files_of_two_layers_or_more_have_layers(tmp_path: Path) -> None:
    one = load_network(
        a_file(tmp_path, 1, (64, 20)), image_shape=SHAPE, classes=20, runtime="xnnpack"
    )
    assert dynamic_layers(one) is None and row_quantiser(one) is None
    two = load_network(a_file(tmp_path, 1), image_shape=SHAPE, classes=5, runtime="xnnpack")
    assert dynamic_layers(replace(two, scheme="int8")) is None
    assert dynamic_layers(replace(two, format="onnx")) is None
    layers = dynamic_layers(two)
    assert layers is not None and len(layers) == 3
    huge = load_network(
        a_file(tmp_path, 5, (4097, 20, 3)), image_shape=(1, 4097, 1), classes=3, runtime="xnnpack"
    )
    assert dynamic_layers(huge) is not None and row_quantiser(huge) is None
