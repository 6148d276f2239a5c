"""Certificates of real runs are accepted, whatever is changed in them is not, and the checker's own bounds hold on every point."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import ctx

from relrob.certificates.check import Report, _Ladder, _leaves, _nearest, _subsets, check
from relrob.certificates.deployed import Deployed, Facts, read_deployed
from relrob.certificates.derive import Derivation, InvalidError
from relrob.certificates.form import canonical, chain, seal
from relrob.certificates.write import certificate
from relrob.decide import decide
from relrob.domain.network import Network
from relrob.domain.query import Budget
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status
from relrob.errors import RelrobError
from relrob.networks.enclose import enclosure_of
from relrob.networks.load import load_network
from relrob.networks.onnx_export import to_onnx
from relrob.networks.open import open_network
from relrob.problem import Leaf, Opened, Problem
from relrob.regions.exact import nearest_float32
from relrob.regions.knapsack import Knapsack
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.bounds import Bounds
from relrob_solvers.branch import Branch
from tests import hostile
from tests.make_networks import write_tflite
from tests.support import numpy_opened, random_dense, shared_data

SHAPE = (6, 6, 1)
KINDS = ("float", "dynamic", "int8", "dynamic builtin", "int8 reference")
REGIONS = (("2", "1/8"), ("2", "1/4"), ("3", "1/4"))


@dataclass(frozen=True)
class Made:
    """A certificate, where it lies, and the file of its network."""

    path: Path
    network: Path
    content: dict[str, Any]

    def check(self, run: bool = False) -> Report:
        return check(self.path, self.network, run)


def opened(network: Network) -> Opened:
    return Opened(network, open_network(network), open_network(network, batch=1))


def image_of(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, size=SHAPE, dtype=np.uint8)


def rungs_of(image: Any, region: tuple[str, str]) -> RungSet:
    return rung_set(Ladder(Fraction(region[0]), Fraction(region[1]), 8, 4), image)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    folder = tmp_path_factory.mktemp("networks")
    dense, found = random_dense(5, (36, 60, 40, 4)), {}
    (folder / "float.onnx").write_bytes(to_onnx(dense))
    for scheme in ("dynamic", "int8"):
        write_tflite(dense, folder / f"{scheme}.tflite", SHAPE, scheme)
    for kind in KINDS:
        scheme, _, runtime = kind.partition(" ")
        path = folder / ("float.onnx" if scheme == "float" else f"{scheme}.tflite")
        found[kind] = opened(load_network(path, image_shape=SHAPE, classes=4, runtime=runtime or None))
    return found


@pytest.fixture(scope="module")
def made(networks: dict[str, Opened], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Made]]:
    """Up to eight certificates of each kind of network, from branching down to leaves of 10 points."""
    found: dict[str, list[Made]] = {kind: [] for kind in KINDS}
    for kind, each in networks.items():
        folder = tmp_path_factory.mktemp("certificates")
        for seed in range(30):
            image, region = image_of(seed), REGIONS[seed % 3]
            rungs = rungs_of(image, region)
            label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
            decision = decide(Problem(rungs, label, (each,), Budget(60), seed % 2 == 0, True), Branch(10))
            leaves = decision.each[0].leaves
            assert (leaves is not None) == (decision.verdicts[0].status is Status.ROBUST)
            if leaves is not None and len(found[kind]) < 8:
                data = certificate(each, rungs, image, label, "reference", leaves)
                assert data is not None
                (folder / f"{seed}.json").write_bytes(data)
                found[kind].append(Made(folder / f"{seed}.json", Path(each.network.path), json.loads(data)))
    return found


@pytest.fixture(scope="module")
def mixed(made: dict[str, list[Made]]) -> Made:
    """A certificate of a float network that has leaves of both sorts."""
    both = [m for m in made["float"] if {"bound", "run"} <= {kind for leaf in m.content["leaves"] for kind in leaf}]
    return min(both, key=lambda m: len(m.content["leaves"]))


def fails(path: Path, network: Path, run: bool = False) -> bool:
    """Invalid, or so broken that it cannot be read; either way the command's exit code is not 0."""
    try:
        return not check(path, network, run).valid
    except RelrobError:
        return True


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_of_real_runs_are_accepted(made: dict[str, list[Made]], kind: str) -> None:
    assert len(made[kind]) >= 4
    sorts = [sort for m in made[kind] for leaf in m.content["leaves"] for sort in leaf if sort != "path"]
    assert sorts.count("bound") > 3
    for each in made[kind]:
        report = each.check(run=True)
        assert report.valid, report.failure
        assert each.check().valid
        assert "ball arithmetic" in " ".join(report.verified) or "bound" not in str(each.content["leaves"])


def test_some_certificate_has_leaves_of_both_sorts(mixed: Made) -> None:
    words = " ".join(mixed.check().verified)
    assert "leaves by bounds" in words
    assert "leaves by runs" in words
    assert "--run" in words
    assert "all run again, with the outputs that were recorded" in " ".join(mixed.check(run=True).verified)


def scalars(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number and text in a document, with its place."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from scalars(item, (*path, key))
    else:
        yield path, value


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at a place."""
    fresh = copy.deepcopy(content)
    at: Any = fresh
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return fresh


def test_every_changed_field_fails(mixed: Made, tmp_path: Path) -> None:
    """One field at a time: numbers by one and by their last bit, texts by one letter."""
    tried = 0
    for place, value in scalars(mixed.content):
        others: list[Any] = [value + 1, -value] if not isinstance(value, str) else [value[:-1] + "~", value + "0"]
        if isinstance(value, float):
            others.append(float(np.nextafter(value, 2)))
        for other in others:
            if other != value:
                (tmp_path / "c.json").write_bytes(canonical(changed(mixed.content, place, other)))
                assert fails(tmp_path / "c.json", mixed.network), place
                tried += 1
    assert tried > 60


def test_every_flipped_bit_of_some_hundred_fails(mixed: Made, tmp_path: Path) -> None:
    data, rng = mixed.path.read_bytes(), np.random.default_rng(1)
    for at in [0, len(data) - 1, *rng.integers(0, len(data), 400).tolist()]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "c.json").write_bytes(flipped)
        assert fails(tmp_path / "c.json", mixed.network), at
    for spoilt in (data[:-1], data[: len(data) // 2], data + b" ", b"", data.replace(b",", b", ", 1), b"[" * 10**5):
        (tmp_path / "c.json").write_bytes(spoilt)
        assert fails(tmp_path / "c.json", mixed.network)


def test_every_flipped_bit_of_a_network_fails(made: dict[str, list[Made]], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for kind in ("float", "dynamic"):
        one = made[kind][0]
        data = one.network.read_bytes()
        for at in rng.integers(0, len(data), 25).tolist():
            flipped = bytearray(data)
            flipped[at] ^= 1 << int(rng.integers(8))
            (tmp_path / one.network.name).write_bytes(flipped)
            assert fails(one.path, tmp_path / one.network.name)


Change = Callable[[dict[str, Any]], object]


def entry(content: dict[str, Any], kind: str) -> Any:
    return next(leaf[kind] for leaf in content["leaves"] if kind in leaf)


def widest(content: dict[str, Any]) -> Any:
    """The slopes of the hidden layer with most of them."""
    lines = [line for leaf in content["leaves"] if "bound" in leaf for line in leaf["bound"]["slopes"]]
    return max(lines, key=lambda line: len(line["neurons"]))


def drop_neuron(content: dict[str, Any]) -> None:
    for values in widest(content).values():
        values.pop()


def swap_kind(content: dict[str, Any]) -> None:
    leaf = next(leaf for leaf in content["leaves"] if "run" in leaf)
    leaf["bound"] = {"margin": leaf.pop("run")["margin"], "slopes": []}


FORGED: dict[str, tuple[Change, str]] = {
    "another label": (lambda c: c.update(label=(c["label"] + 1) % 4), "follows|wrong"),
    "a label out of range": (lambda c: c.update(label=7), "fit the network"),
    "a larger radius": (lambda c: c["region"].update(radius="30"), "follows|neither on|points|out"),
    "a larger step": (lambda c: c["region"].update(step="1"), "follows|neither on|points|beyond"),
    "a radius of another spelling": (lambda c: c["region"].update(radius=c["region"]["radius"] + "/1"), "fraction"),
    "no radius": (lambda c: c["region"].update(radius="0"), "fraction"),
    "more features": (lambda c: c["region"].update(features=10), "more features"),
    "more axes": (lambda c: c["region"].update(axes=5), "more features"),
    "another image": (lambda c: c["image"].update(hex="ff" * 36), "follows|neither on|points|wrong"),
    "an image of other size": (lambda c: c["image"].update(hex=c["image"]["hex"] * 2), "fit the network"),
    "a float image": (lambda c: c["image"].update(dtype="float32"), "pixels|features|image"),
    "another digest": (lambda c: c["network"].update(sha256="0" * 64), "SHA-256"),
    "another arithmetic": (lambda c: c["network"].update(arithmetic="integer"), "arithmetic"),
    "another layout": (lambda c: c["network"].update(layout="chw"), "arithmetic"),
    "another format": (lambda c: c["network"].update(format="keras"), "arithmetic"),
    "an unknown entry": (lambda c: c.update(more=1), "entries"),
    "a leaf removed": (lambda c: c["leaves"].pop(), "leave points out"),
    "a leaf twice": (lambda c: c["leaves"].append(c["leaves"][0]), "leave points out"),
    "no leaves": (lambda c: c.update(leaves=[]), "leave points out"),
    "a path turned": (lambda c: c["leaves"][0]["path"].__setitem__(-1, -c["leaves"][0]["path"][-1]), "out|points"),
    "a feature split twice": (lambda c: c["leaves"][0]["path"].append(c["leaves"][0]["path"][0]), "twice"),
    "a margin too large": (lambda c: entry(c, "bound").update(margin=1e3), "follows"),
    "a margin of no use": (lambda c: entry(c, "bound").update(margin=-1e-9), "follows"),
    "a margin that is no number": (lambda c: entry(c, "bound").update(margin="1"), "finite number"),
    "a bent neuron left out": (drop_neuron, "neither on nor off"),
    "slopes far too steep": (lambda c: widest(c)["above"].__setitem__(0, 1.5), "outside"),
    "neurons twice": (lambda c: widest(c)["neurons"].__setitem__(0, widest(c)["neurons"][-1]), "ascending"),
    "a neuron that is not there": (lambda c: widest(c)["neurons"].__setitem__(-1, 10**6), "does not have"),
    "slopes that are too few": (lambda c: widest(c)["above"].pop(), "two for each"),
    "a layer of slopes too few": (lambda c: entry(c, "bound")["slopes"].pop(), "hidden"),
    "a run called a bound": (swap_kind, "hidden"),
    "a point more": (lambda c: entry(c, "run").update(points=entry(c, "run")["points"] + 1), "points"),
    "a point less": (lambda c: entry(c, "run").update(points=entry(c, "run")["points"] - 1), "points"),
    "a larger margin of a run": (lambda c: entry(c, "run").update(margin=1e3), "closer"),
    "a smaller margin of a run": (lambda c: entry(c, "run").update(margin=-1.0), "recorded"),
    "another chain": (lambda c: entry(c, "run").update(chain="0" * 64), "recorded"),
    "a gap": (lambda c: c.update(gap=0.5), "gap"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forger_who_seals_again_is_found_out(mixed: Made, tmp_path: Path, name: str) -> None:
    """The seal is made anew, so that what fails is the content."""
    change, words = FORGED[name]
    content = copy.deepcopy(mixed.content)
    change(content)
    (tmp_path / "c.json").write_bytes(canonical({**content, "seal": seal(content)}))
    report = check(tmp_path / "c.json", mixed.network, run=True)
    assert not report.valid
    assert any(word in report.failure for word in words.split("|")), report.failure


def test_a_claim_that_is_merely_weaker_is_still_true(mixed: Made, tmp_path: Path) -> None:
    content = copy.deepcopy(mixed.content)
    entry(content, "bound")["margin"] /= 2
    (tmp_path / "c.json").write_bytes(canonical({**content, "seal": seal(content)}))
    assert check(tmp_path / "c.json", mixed.network, run=True).valid


@pytest.mark.parametrize(
    ("paths", "whole"),
    [
        ([[]], True),
        ([[1], [-1]], True),
        ([[-2], [2, 1], [2, -1]], True),
        ([[1, 2], [1, -2], [-1, 3], [-1, -3]], True),
        ([[], []], False),
        ([[1]], False),
        ([[1], [-2]], False),
        ([[1], [-1], []], False),
        ([[1], [-1], [-1]], False),
        ([[1, 2], [-1, 2]], False),
        ([[1], [-1, 2], [-1, 3]], False),
    ],
)
def test_paths_that_are_a_partition(mixed: Made, paths: list[list[int]], whole: bool) -> None:
    leaves = [{"path": path, "run": {}} for path in paths]
    ladder = _Ladder(mixed.content)
    if whole:
        assert len(_leaves(leaves, ladder)) == len(paths)
    else:
        with pytest.raises(InvalidError, match="out, or hold them twice"):
            _leaves(leaves, ladder)


def document(image: Any, rungs: RungSet) -> dict[str, Any]:
    """What the checker builds a ladder from."""
    region = {"kind": "ladder", "radius": str(rungs.ladder.radius), "step": str(rungs.ladder.step)}
    shape = {"features": rungs.features, "axes": rungs.ladder.axes}
    return {"region": region | shape, "image": {"dtype": str(image.dtype), "hex": image.tobytes().hex()}}


def test_the_ladder_built_again_is_the_same() -> None:
    for seed in range(60):
        image = hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, image), image)
        again = _Ladder(document(image, rungs))
        assert again.axes == rungs.axes.tolist()
        assert [float(value) for value in again.base] == rungs.base.tolist()
        assert [[float(value) for value in row] for row in again.moved] == rungs.moved.tolist()
        assert again.costs == [Fraction(cost, rungs.denominator) for cost in rungs.costs]
        subsets = [[g in taken for g in range(rungs.features)] for taken in _subsets(again.costs, again.radius)]
        assert subsets == Knapsack(rungs.costs, rungs.budget).masks(0, 10**6).tolist()


def test_nearest_float32() -> None:
    rng = np.random.default_rng(0)
    values = [Fraction(int(a), int(b)) for a, b in zip(rng.integers(0, 2**40, 300), [2**40] * 300, strict=True)]
    values += [Fraction(a, 2**150) for a in (0, 1, 2, 3, 5)] + [Fraction(k, 255) for k in range(256)] + [Fraction(1, 3)]
    for value in values:
        assert float(_nearest(value)) == float(nearest_float32(value.numerator, value.denominator))


def some_slopes(facts: tuple[Facts, ...], rng: np.random.Generator) -> list[dict[int, tuple[float, float]]]:
    """Any slopes for every neuron: they may loosen a bound, never break it."""
    return [
        {n: (float(a), float(b)) for n, (a, b) in enumerate(rng.random((len(layer.bias), 2)))} for layer in facts[:-1]
    ]


def least(margins: Any) -> Fraction:
    """An exact number of the ball arithmetic as a fraction."""
    with ctx.workprec(2000):
        high, power = margins.man_exp()
        return Fraction(int(high)) * Fraction(2) ** int(power)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_contain_what_the_runtime_gives(networks: dict[str, Opened], kind: str) -> None:
    rng, each = np.random.default_rng(3), networks[kind]
    deployed = read_deployed(each.network)
    tight = 0
    for seed in range(27):
        image = image_of(seed)
        rungs = rungs_of(image, REGIONS[seed % 3])
        ladder = _Ladder(document(image, rungs))
        path = [int(g + 1) * int(rng.choice([-1, 1])) for g in rng.permutation(8)[: seed % 9]]
        if sum(ladder.costs[g - 1] for g in path if g > 0) > ladder.radius:
            path = []
        moved = [g - 1 for g in path if g > 0]
        masks = rungs.knapsack.masks(0, rungs.count)
        inside = masks[:, moved].all(axis=1) & ~masks[:, [-g - 1 for g in path if g < 0]].any(axis=1)
        outputs = each.evaluator.outputs(rungs.images(masks[inside])).astype(np.float64)
        label = int(rng.integers(4))
        found = (outputs[:, [label]] - np.delete(outputs, label, axis=1)).min()
        for slopes in (some_slopes(deployed.layers, rng), some_slopes(deployed.layers, rng)):
            try:
                bound = least(Derivation(deployed, label).margin(ladder.part(path)[0], slopes))
            except InvalidError as error:
                assert "saturate" in str(error)
                continue
            assert bound <= Fraction(float(found))
            tight += bound > Fraction(float(found)) - 2
    assert tight > 3


def stray(layers: tuple[Facts, ...], images: Any, rng: np.random.Generator) -> Any:
    """Outputs (n, classes) of a runtime that errs as much as it may: inputs moved by a step, each output off by its rounding."""
    values = images.astype(np.float64)
    for layer in layers:
        step = float(layer.share) * values.max(axis=1, keepdims=True) + float(layer.shift)
        values = np.where(values > 0, values + rng.choice([-1.0, 1.0], (1, values.shape[1])) * step, 0)
        values = values @ layer.weights + [float(value) for value in layer.bias]
        values += rng.choice([-1.0, 1.0], (1, values.shape[1])) * float(layer.rounding)
        values = np.maximum(values, 0) if layer.relu else values
        values = values if layer.cap is None else np.minimum(values, float(layer.cap))
    return values


def test_bounds_contain_a_runtime_that_errs_as_much_as_it_may() -> None:
    """Errors as large as the values themselves, so that none of them can be left out anywhere."""
    rng, near = np.random.default_rng(6), 0
    for seed in range(40):
        dense, image = random_dense(seed, [(36, 6, 3), (36, 5, 4, 3), (36, 3)][seed % 3]), image_of(seed)
        layers = []
        for number, layer in enumerate(dense.layers):
            size, cap = Fraction(int(rng.integers(3)), 8), Fraction(2) if seed % 4 == 0 and layer.relu else None
            errors = {"share": size / 4, "shift": size / 8 * (number == 0), "rounding": size * (seed % 2)}
            bias = [Fraction(float(value)) for value in layer.bias]
            layers.append(Facts(layer.weights.astype(np.float64), bias, layer.relu, 8, cap=cap, **errors))
        rungs = rungs_of(image, REGIONS[seed % 3])
        ladder, derivation = _Ladder(document(image, rungs)), Derivation(Deployed(tuple(layers), "logits"), 0)
        point = rungs.knapsack.masks(seed % rungs.count, seed % rungs.count + 1)
        alone = [int(g + 1) if point[0, g] else -int(g + 1) for g in range(8)]
        for path, masks in (([], rungs.knapsack.masks(0, rungs.count)), (alone, point)):
            slopes = [{n: (1.0, 0.0) if n % 2 else (0.5, 0.5) for n in range(len(layer.bias))} for layer in layers[:-1]]
            bound = float(least(derivation.margin(ladder.part(path)[0], slopes)))
            outputs = np.concatenate([stray(tuple(layers), rungs.images(masks), rng) for _ in range(200)])
            found = float((outputs[:, [0]] - outputs[:, 1:]).min())
            assert bound <= found
            near += bool(path) and found - bound < 0.1 * abs(found)
    assert near > 4


def column(*values: float) -> Any:
    """One row of weights."""
    return np.array([values], dtype=np.float64)


def test_a_bound_worked_out_by_hand() -> None:
    """One pixel from 0 to 1, moved by 1/4 on the way in, through relu(x - 1/2): at most 3/4, and outputs 1 and that."""
    hidden = Facts(column(1), [Fraction(-1, 2)], True, 3, shift=Fraction(1, 4))
    derivation = Derivation(Deployed((hidden, Facts(column(0, 1), [Fraction(1), Fraction(0)], False, 3)), "logits"), 0)
    image = np.zeros((1, 1, 1), np.uint8)
    ladder = _Ladder(document(image, rung_set(Ladder(Fraction(1), Fraction(1), 1, 1), image)))
    for above, margin in (
        (0.5, 0.25),
        (1.0, -0.5),
    ):  # the chord is exact; the line of slope 1 lies 3/4 above the chord's end
        found = float(least(derivation.margin(ladder.part([])[0], [{0: (above, 0.0)}])))
        assert margin - 1e-5 < found <= margin
    with pytest.raises(InvalidError, match="neither on nor off"):
        derivation.margin(ladder.part([])[0], [{}])
    with pytest.raises(InvalidError, match="beyond the radius"):
        _Ladder(document(image, rung_set(Ladder(Fraction(1, 2), Fraction(1), 1, 1), image))).part([1])


@pytest.mark.parametrize(
    ("first", "second", "sure"),
    [(1, -1, True), (5, 4, False), (-3, -4, False), (1, -9, True), (5, 1, True), (-3, 1, False)],
)
def test_outputs_at_one_end_of_their_range_tie(first: int, second: int, sure: bool) -> None:
    """Biases alone, in a range from -2 to 2: a difference beyond an end of it is lost."""
    bias = [Fraction(first), Fraction(second)]
    facts = Facts(column(0, 0), bias, False, 3, cap=Fraction(2), floor=Fraction(-2))
    image = np.zeros((1, 1, 1), np.uint8)
    region = _Ladder(document(image, rung_set(Ladder(Fraction(1), Fraction(1), 1, 1), image))).part([])[0]
    try:
        assert (float(least(Derivation(Deployed((facts,), "logits"), 0).margin(region, []))) > 0) is sure
    except InvalidError as error:
        assert "saturate" in str(error)
        assert not sure


def test_bounds_contain_exact_margins_of_hostile_networks() -> None:
    """Ties, huge, tiny and cancelling weights: the bound is below every real margin, or the checker refuses."""
    rng, proved = np.random.default_rng(4), 0
    for seed in range(60):
        dense, image = hostile.network(seed), hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, image), image)
        network = numpy_opened(dense, (1, dense.inputs, 1)).network
        deployed, ladder = read_deployed(network), _Ladder(document(image, rungs))
        images = rungs.images(rungs.knapsack.masks(0, rungs.count))
        for label in range(dense.classes):
            try:
                bound = least(Derivation(deployed, label).margin(ladder.part([])[0], some_slopes(deployed.layers, rng)))
            except InvalidError as error:
                assert "overflow" in str(error)
                continue
            assert bound <= min(hostile.exact_margins(dense, images, label))
            proved += bound > 0
    assert proved > 5


@pytest.mark.parametrize("kind", [*KINDS, "cifar"])
def test_two_readings_of_a_file_agree(networks: dict[str, Opened], kind: str) -> None:
    """The checker's reader and the one behind the bounds, written apart, give the same exact weights and error terms."""
    if kind == "cifar":
        path = shared_data("duncan2020/converted_model_cifar.tflite")
        network = load_network(path, image_shape=(32, 32, 3), classes=10, runtime="builtin", layout="chw")
    else:
        network = networks[kind].network
    mine, other = read_deployed(network), enclosure_of(network)
    assert other is not None
    assert len(mine.layers) == len(other.layers)
    for one, two in zip(mine.layers, other.layers, strict=True):
        assert np.array_equal(one.weights, two.weights)
        assert [float(value) for value in one.bias] == pytest.approx(two.bias.tolist(), rel=1e-12, abs=0)
        assert (one.relu, one.terms) == (two.relu, two.terms)
        for name in ("share", "rounding"):
            assert float(getattr(one, name)) == pytest.approx(getattr(two, name), rel=1e-12)
        assert float(one.shift) == pytest.approx(two.moved, rel=1e-12)
        ends = [np.inf if end is None else float(end) for end in (one.reach, one.cap)]
        assert ends == pytest.approx([two.reach, two.cap], rel=1e-12)
        assert (-np.inf if one.floor is None else float(one.floor)) == pytest.approx(two.floor, rel=1e-12)
    assert float(Derivation(mine, 0).gap) == pytest.approx(other.gap)


def test_a_ladder_of_2_to_the_78_points(tmp_path: Path) -> None:
    image, dense = np.zeros((28, 28, 1), np.uint8), random_dense(2, (784, 8, 3))
    (tmp_path / "n.onnx").write_bytes(to_onnx(dense))
    each = opened(load_network(tmp_path / "n.onnx", image_shape=(28, 28, 1), classes=3))
    rungs = rung_set(Ladder(Fraction(1), Fraction(1, 2000), None), image)
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    for solver in (Branch(), Bounds()):
        leaves = decide(Problem(rungs, label, (each,), Budget(60), True, True), solver).each[0].leaves
        assert leaves is not None
        data = certificate(each, rungs, image, label, "reference", leaves)
        assert data is not None
        (tmp_path / "c.json").write_bytes(data)
        assert check(tmp_path / "c.json", tmp_path / "n.onnx").valid


def test_a_run_is_sampled_unless_it_is_asked_for_whole(networks: dict[str, Opened], tmp_path: Path) -> None:
    """A forged chain is found by --run alone, and the report says that it was not looked at."""
    each, image = networks["dynamic builtin"], image_of(1)
    rungs = rungs_of(image, REGIONS[0])
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    data = certificate(each, rungs, image, label, "quantised", (Leaf((), False),))
    assert data is not None
    content = json.loads(data)
    assert content["leaves"][0]["run"]["points"] == rungs.count == 163
    for forged, found in ((content["leaves"][0]["run"]["chain"], True), ("0" * 64, False)):
        content["leaves"][0]["run"]["chain"] = forged
        (tmp_path / "c.json").write_bytes(canonical({**content, "seal": seal(content)}))
        sampled = check(tmp_path / "c.json", Path(each.network.path))
        assert sampled.valid
        assert "not all run again (--run does that); 64 give" in sampled.verified[-1]
        assert check(tmp_path / "c.json", Path(each.network.path), run=True).valid is found


def test_no_certificate_where_a_point_is_wrong(networks: dict[str, Opened], caplog: pytest.LogCaptureFixture) -> None:
    each, image = networks["float"], image_of(1)
    rungs = rungs_of(image, REGIONS[0])
    wrong = (int(each.evaluator.outputs(rungs.base[None, :]).argmax()) + 1) % 4
    for bound in (False, True):
        assert certificate(each, rungs, image, wrong, "reference", (Leaf((), bound),)) is None
    assert "no certificate" in caplog.text


def test_nothing_is_kept_unasked(networks: dict[str, Opened]) -> None:
    rungs = rungs_of(image_of(5), REGIONS[0])
    for solver in (Branch(10), Bounds()):
        problem = Problem(rungs, 3, (networks["float"],), Budget(60), True)
        assert decide(problem, solver).each[0].leaves is None


def test_the_chain_depends_on_everything() -> None:
    seen = [(1, 0.5), (1, 0.25)]
    values = {chain([1, -2], seen), chain([1], seen), chain([1, -2], seen[::-1]), chain([1, -2], [*seen, seen[0]])}
    assert len(values | {chain([1, -2], [(1, 0.5), (1, np.nextafter(0.25, 1))])}) == 5


def test_a_root_leaf_of_the_authors_network(tmp_path: Path) -> None:
    """784-512-512-10: the certificate is small, and checked in seconds."""
    path = shared_data("duncan2020/mnist_weights_keras1.h5")
    each = opened(load_network(path, image_shape=(28, 28, 1), classes=10))
    image = np.zeros((28, 28, 1), np.uint8)
    image[4:24, 12:16] = 250
    rungs = rung_set(Ladder(Fraction(20), Fraction(1, 16)), image)
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    leaves = decide(Problem(rungs, label, (each,), Budget(60), True, True), Branch()).each[0].leaves
    assert leaves is not None
    data = certificate(each, rungs, image, label, "reference", leaves)
    assert data is not None
    assert len(data) < 100_000
    (tmp_path / "c.json").write_bytes(data)
    assert check(tmp_path / "c.json", path).valid
