"""Input contracts: the values fed against plain NumPy, runtimes and emulators against a runtime fed
by hand, enclosures and verdicts against the runtime's own outputs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from relrob.deciding.decide import decide
from relrob.domain.arrays import Floats
from relrob.domain.contract import IDENTITY, InputContract
from relrob.domain.network import Dense, Network
from relrob.domain.region import Ball, Ladder, Norm
from relrob.domain.verdict import Status
from relrob.errors import NetworkError, UsageError
from relrob.networks.enclose import dynamic_layers, enclosure_of
from relrob.networks.feed import fed
from relrob.networks.load import load_network
from relrob.networks.model import modelled_dense
from relrob.networks.open import Opened, open_network
from relrob.networks.probe_images import driving_images
from relrob.networks.probes import at_points, outputs_within, probed
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob.regions.ladder import rung_set
from relrob.regions.part import whole
from tests.make_kernels import random_dynamic, random_int8
from tests.make_litert import FILES
from tests.make_networks import onnx_bytes, write_onnx
from tests.support import random_dense

SHAPE = (3, 4, 3)
D = 36
_RESOLVERS = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
SCALES = st.sampled_from([Fraction(255), Fraction(1), Fraction(2), Fraction(1, 3), Fraction("0.5")])
NUMBERS = st.fractions(-3, 3, max_denominator=1000).filter(lambda n: n == 0 or abs(n) > 1e-3)
SPREADS = st.fractions(Fraction(1, 10), 4, max_denominator=1000)


def lists(of: st.SearchStrategy[Fraction]) -> st.SearchStrategy[tuple[Fraction, ...]]:
    counts = st.sampled_from([0, 1, 3])
    return counts.flatmap(lambda n: st.lists(of, min_size=n, max_size=n)).map(tuple)


@st.composite
def contracts(draw: st.DrawFn) -> InputContract:
    mean, std = draw(lists(NUMBERS)), draw(lists(SPREADS))
    return InputContract(draw(SCALES), mean, std, draw(st.booleans()))


def by_hand(contract: InputContract, images: Floats) -> Floats:
    """((scale * pixel) - mean) / std for each channel by itself."""
    cube = images.reshape(-1, *SHAPE)
    if contract.bgr:
        cube = np.stack([cube[..., 2], cube[..., 1], cube[..., 0]], axis=-1)
    out = np.empty_like(cube)
    for channel in range(3):
        mean, std = (
            np.float32(float(each[channel % len(each)] if each else default))
            for each, default in ((contract.mean, 0), (contract.std, 1))
        )
        value = np.float32(float(contract.scale)) * cube[..., channel]
        out[..., channel] = (value - mean) / std
    return out.reshape(len(images), -1)


def pictures(seed: int, count: int = 24) -> Floats:
    rng = np.random.default_rng(seed)
    images = rng.random((count, D), dtype=np.float32)
    images[::3] = rng.integers(0, 256, images[::3].shape).astype(np.float32) / np.float32(255)
    images[0], images[1] = 0, 1
    return images


def black_and_white(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(
        random_dense(3, (D, 14, 9, 4)), tmp_path_factory.mktemp("contract") / "n.onnx"
    )


def loaded(path: Path, contract: InputContract = IDENTITY, **options: Any) -> Network:
    network = load_network(path, image_shape=SHAPE, classes=4, more_classes=True, **options)
    return replace(network, contract=contract)


def opened(network: Network) -> Opened:
    return Opened(network, open_network(network), open_network(network, batch=1))


@settings(max_examples=60)
@given(contract=contracts(), seed=st.integers(0, 10**6))
def test_the_evaluator_feeds_what_numpy_computes(
    file: Path, contract: InputContract, seed: int
) -> None:
    images, network = pictures(seed), loaded(file, contract)
    expected = by_hand(contract, images)
    assert fed(images, network).tobytes() == np.ascontiguousarray(expected).tobytes()
    session: Any = ort.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    rows = np.concatenate([session.run(None, {"x": row[None]})[0] for row in expected])
    assert np.array_equal(open_network(network, batch=1).outputs(images), rows)


def lite(data: bytes, runtime: str, values: Floats) -> Floats:
    """Outputs of LiteRT, one image at a time, of values (n, d) that the file reads."""
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=_RESOLVERS[runtime])
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    if given["dtype"] != np.float32:
        scale, zero = given["quantization"]
        ends = np.iinfo(given["dtype"])
        values = np.clip(np.rint(values / np.float32(scale)) + zero, ends.min, ends.max)
    for value in values:
        interpreter.set_tensor(given["index"], value.astype(given["dtype"])[None])
        interpreter.invoke()
        row = interpreter.get_tensor(result["index"])[0]
        if result["dtype"] != np.float32:
            scale, zero = result["quantization"]
            row = (row.astype(np.int32) - zero).astype(np.float32) * np.float32(scale)
        rows.append(row)
    return np.stack(rows)


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin", "reference"])
@pytest.mark.parametrize("name", sorted(FILES))
def test_litert_is_fed_the_exact_composition(tmp_path: Path, name: str, runtime: str) -> None:
    """Also where our emulator stands in for the kernels: it is fed the same bits."""
    path = tmp_path / "n.tflite"
    path.write_bytes(FILES[name])
    plain = load_network(
        path, image_shape=(1, 20, 1), classes=5, more_classes=True, runtime=runtime
    )
    images = np.random.default_rng(1).random((12, 20), dtype=np.float32)
    contract = InputContract(Fraction(3), (Fraction(1, 2),), (Fraction(2),))
    network = replace(plain, contract=contract)
    values = (np.float32(3) * images - np.float32(0.5)) / np.float32(2)
    expected = lite(FILES[name], runtime, values)
    assert np.array_equal(open_network(network, batch=1).outputs(images), expected)
    assert np.allclose(open_network(network).outputs(images), expected, rtol=0, atol=0.02)


@settings(max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    contract=contracts().filter(lambda c: not c.bgr and len(c.mean) < 2 and len(c.std) < 2),
    runtime=st.sampled_from(["xnnpack", "builtin", "reference"]),
    int8=st.booleans(),
)
def test_litert_stays_inside_the_enclosure(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    contract: InputContract,
    runtime: str,
    int8: bool,
) -> None:
    rng = np.random.default_rng(seed)
    data, inputs, classes = (random_int8 if int8 else random_dynamic)(rng)
    path = tmp_path_factory.mktemp("litert") / "n.tflite"
    path.write_bytes(data)
    shape = (1, inputs, 1)
    network = load_network(path, image_shape=shape, classes=classes, runtime=runtime)
    check_inside(replace(network, contract=contract), rng)


def check_inside(network: Network, rng: np.random.Generator) -> None:
    """No output of the runtime lies outside the enclosure, image by image."""
    if network.black_box:
        return
    found = enclosure_of.raw(network)
    if found is None:
        return
    noise = rng.random((40, network.inputs), dtype=np.float32)
    noise[::4] = rng.integers(0, 2, noise[::4].shape)
    noise[1::4] *= np.float32(0.05)
    images = np.concatenate([noise, driving_images(found), np.zeros((1, network.inputs))])
    images = images.astype(np.float32)
    within = outputs_within(network, found, at_points(found, images)[-1])
    assert within.holds(open_network(network, batch=1).outputs(images)).all()


def test_channels_have_constants_of_their_own(tmp_path: Path) -> None:
    """Mean and std a channel, and BGR, on a dynamic-range and an int8 file: enclosed, and never
    judged by levels."""
    from_file = {"int8": random_int8, "dynamic": random_dynamic}
    tried = 0
    for kind, make in from_file.items():
        for seed in range(60):
            rng = np.random.default_rng(seed)
            data, inputs, classes = make(rng)
            if inputs % 3:
                continue
            path = tmp_path / f"{kind}{seed}.tflite"
            path.write_bytes(data)
            shape = (1, inputs // 3, 3)
            plain = load_network(path, image_shape=shape, classes=classes, runtime="builtin")
            mean = (Fraction("0.485"), Fraction("0.456"), Fraction("0.406"))
            std = (Fraction("0.229"), Fraction("0.224"), Fraction("0.225"))
            network = replace(plain, contract=InputContract(Fraction(1), mean, std, bgr=True))
            assert dynamic_layers(network) is None
            check_inside(network, rng)
            tried += 1
    assert tried > 20


@settings(max_examples=40)
@given(contract=contracts(), seed=st.integers(0, 10**6))
def test_float_networks_stay_inside_the_enclosure(
    file: Path, contract: InputContract, seed: int
) -> None:
    network = loaded(file, contract)
    check_inside(network, np.random.default_rng(seed))
    model = modelled_dense(network)
    assert model is not None
    images = pictures(seed).astype(np.float64)
    for layer in model.layers:
        images = images @ layer.weights.astype(np.float64) + layer.bias
        images = np.maximum(images, 0) if layer.relu else images
    outputs = open_network(network).outputs(pictures(seed))
    assert np.allclose(images, outputs, rtol=1e-3, atol=1e-3 * np.abs(outputs).max())


def points(network: Network, seed: int, ladder: Ladder) -> tuple[Query[Any], NDArray[np.int64]]:
    """The question of a ladder, and the labels of all its points by onnxruntime, fed by hand."""
    rungs = rung_set(ladder, black_and_white(seed))
    masks = np.concatenate([*all_masks(rungs)])
    values = by_hand(network.contract, rungs.images(masks))
    session: Any = ort.InferenceSession(network.path, providers=["CPUExecutionProvider"])
    labels = np.array([session.run(None, {"x": row[None]})[0].argmax() for row in values])
    base = session.run(None, {"x": by_hand(network.contract, rungs.base[None])})[0]
    return Query(rungs, Label(int(base.argmax())), (opened(network),), Budget(600), True), labels


def all_masks(rungs: Any) -> Any:
    return whole(rungs).blocks(512)


@settings(max_examples=25)
@given(contract=contracts(), seed=st.integers(0, 10**6), scaled=st.booleans())
def test_verdicts_and_counts_are_those_of_the_file_fed_by_hand(
    file: Path, contract: InputContract, seed: int, scaled: bool
) -> None:
    """Bounds, folded arithmetic, close calls and replays, of plain layers and of a file that scales
    its input itself."""
    path = inside(file, 1 / 255) if scaled else file
    network = loaded(path, contract)
    assert network.folded == scaled
    query, labels = points(network, seed, Ladder(Fraction(4), Fraction(1, 2), 9, 3))
    wrong = labels != query.label
    for solver in ("auto", "branch", "enumerate"):
        decision = decide(query, solver)
        assert decision.verdicts[0].status is (Status.NOT_ROBUST if wrong.any() else Status.ROBUST)
        assert decision.each[0].effective == int(wrong.sum())


def inside(file: Path, factor: float) -> Path:
    """The same network behind a Mul of its own."""
    path = file.with_name(f"mul{factor:g}.onnx")
    if not path.exists():
        model = onnx.load(file)
        model.graph.node[0].input[0] = "scaled"
        model.graph.node.insert(0, helper.make_node("Mul", ["x", "factor"], ["scaled"]))
        model.graph.initializer.append(
            numpy_helper.from_array(np.array(factor, np.float32), "factor")
        )
        path.write_bytes(model.SerializeToString())
    return path


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_a_scale_is_a_layer_inside_and_weights_multiplied(file: Path, seed: int) -> None:
    """--input-scale 256, a Mul by 256 inside and weights times 256 are one function, bit for bit:
    256 is a power of two."""
    network = loaded(file, InputContract(Fraction(256)))
    layer, *rest = loaded(file).dense.layers  # type: ignore[union-attr]
    larger = Dense((replace(layer, weights=layer.weights * np.float32(256)), *rest))
    times = write_onnx(larger, file.with_name("times.onnx"))
    ladder = Ladder(Fraction(3), Fraction(1, 2), 8, 3)
    found: list[tuple[Any, ...]] = []
    for one in (network, loaded(inside(file, 256)), loaded(times)):
        rungs = rung_set(ladder, black_and_white(seed))
        label = int(open_network(network).outputs(rungs.base[None]).argmax())
        decision = decide(Query(rungs, Label(label), (opened(one),), Budget(600), True), "auto")
        found.append((decision.verdicts[0].status, decision.each[0].effective))
        ball = Ball(Norm.LINF, Fraction(1, 50))
        near = ball_set(ball, black_and_white(seed))
        asked = Query(near, Label(label), (opened(one),), Budget(600))
        found[-1] = (*found[-1], decide(asked, "auto").verdicts[0].status)
    assert found[0] == found[1] == found[2]


def test_a_folded_file_behind_a_contract_is_read_again(file: Path) -> None:
    """255 and 1/255 leave the network as it was, up to rounding; a file that has changed is an
    error."""
    path = inside(file, 1 / 255)
    network = loaded(path, InputContract(Fraction(255)))
    model, plain = modelled_dense(network), loaded(file).dense
    assert model is not None
    assert plain is not None
    assert np.allclose(model.layers[0].weights, plain.layers[0].weights, rtol=1e-6)
    assert model.layers[0].extra > 8
    copy = file.with_name("copy.onnx")
    copy.write_bytes(path.read_bytes())
    changed = loaded(copy, InputContract(Fraction(255)))
    copy.write_bytes(inside(file, 256).read_bytes())
    with pytest.raises(NetworkError, match="has changed"):
        modelled_dense(changed)


def test_a_contract_leaves_the_network_without_it_alone(file: Path) -> None:
    network = loaded(file)
    assert fed(images := pictures(1), network) is images
    assert modelled_dense(network) is network.dense
    assert modelled_dense(replace(network, contract=InputContract(output="y"))) is network.dense
    assert probed(replace(network, contract=InputContract(Fraction(255)))).black_box == ""


@pytest.mark.parametrize("runtime", ["real", "onnxruntime"])
def test_the_reals_and_fixed_point_read_pixels_as_they_are(file: Path, runtime: str) -> None:
    network = loaded(file, runtime=runtime)
    if runtime == "onnxruntime":
        network = replace(network, format="fixed")
    with pytest.raises(UsageError, match="--input-scale 255"):
        replace(network, contract=InputContract(Fraction(255)))
    with pytest.raises(UsageError, match="bgr of images of 1 channels"):
        replace(loaded(file), image_shape=(6, 6, 1), contract=InputContract(bgr=True))


def test_constants_out_of_float32_are_no_model(tmp_path: Path) -> None:
    """A file whose values may leave float32 behind the contract is run, not bounded."""
    weights = np.full((D, 4), 1e30, np.float32)
    path = tmp_path / "n.onnx"
    path.write_bytes(onnx_bytes([matmul()], {"w": weights}, ["n", D], 4))
    network = loaded(path, InputContract(Fraction(255)))
    assert modelled_dense(network) is None
    assert enclosure_of(network) is None
    assert probed(network).contract.scale == 255


def matmul() -> Any:
    return helper.make_node("MatMul", ["x", "w"], ["y"])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    contract=contracts().filter(lambda c: not c.bgr and len(c.mean) < 2 and len(c.std) < 2),
    name=st.sampled_from(["int8", "dynamic", "dynamic-asymmetric", "float", "int8-float-ends"]),
    runtime=st.sampled_from(["xnnpack", "builtin"]),
    solver=st.sampled_from(["auto", "branch", "milp"]),
)
def test_solvers_of_litert_agree_with_every_point(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    contract: InputContract,
    name: str,
    runtime: str,
    solver: str,
) -> None:
    path = tmp_path_factory.mktemp("litert") / "n.tflite"
    path.write_bytes(FILES[name])
    plain = load_network(path, image_shape=(4, 5, 1), classes=5, runtime=runtime)
    network = replace(plain, contract=contract)
    image = np.random.default_rng(seed).integers(0, 256, (4, 5, 1), dtype=np.uint8)
    rungs = rung_set(Ladder(Fraction(2), Fraction(1, 2), 6, 2), image)
    images = rungs.images(np.concatenate([*all_masks(rungs)]))
    said = open_network(network, batch=1).outputs(images).argmax(axis=1)
    label = int(open_network(network, batch=1).outputs(rungs.base[None]).argmax())
    query = Query(rungs, Label(label), (opened(network),), Budget(30), False)
    verdict = decide(query, solver).verdicts[0]
    assert verdict.status is (Status.NOT_ROBUST if (said != label).any() else Status.ROBUST)
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 60)), image)
    asked = Query(ball, Label(label), (opened(network),), Budget(1))
    if decide(asked, "auto").verdicts[0].status is Status.ROBUST:
        rng = np.random.default_rng(seed)
        moves = rng.choice([-1, 1, 0.5], (300, 20)) / 60
        near: Floats = np.clip(ball.base + moves * 0.999, 0, 1).astype(np.float32)
        assert (open_network(network, batch=1).outputs(near).argmax(axis=1) == label).all()
