"""Certificates of real runs are accepted, and changed ones are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.certificates.checking.check import check
from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.ladder import Rebuilt, leaves_of
from relrob.certificates.form import canonical, chain, seal
from relrob.certificates.writing.write import certificate
from relrob.deciding.decide import decide
from relrob.domain.region import Ladder
from relrob.errors import AlarmError
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened
from relrob.queries.findings import LadderProof, Leaf
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import rung_set
from relrob_solvers.bounds_ladder import Bounds
from relrob_solvers.branch_ladder import Branch
from tests.certificate_cases import (
    KINDS,
    REGIONS,
    Made,
    certificates_in,
    fails,
    image_of,
    networks_in,
    opened,
    rungs_of,
)
from tests.support import random_dense, shared_data


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    return networks_in(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def made(
    networks: dict[str, Opened], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Made]]:
    return certificates_in(tmp_path_factory.mktemp("certificates"), networks)


@pytest.fixture(scope="module")
def mixed(made: dict[str, list[Made]]) -> Made:
    """A certificate of a float network that has leaves of both sorts."""
    both = [
        m
        for m in made["float"]
        if {"bound", "run"} <= {kind for leaf in m.content["leaves"] for kind in leaf}
    ]
    return min(both, key=lambda m: len(m.content["leaves"]))


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_of_real_runs_are_accepted(made: dict[str, list[Made]], kind: str) -> None:
    assert len(made[kind]) >= 4
    sorts = [
        sort for m in made[kind] for leaf in m.content["leaves"] for sort in leaf if sort != "path"
    ]
    assert sorts.count("bound") > 3
    for each in made[kind]:
        report = each.check(run=True)
        assert report.valid, report.failure
        assert each.check().valid
        assert "ball arithmetic" in " ".join(report.verified) or "bound" not in str(
            each.content["leaves"]
        )


def test_some_certificate_has_leaves_of_both_sorts(mixed: Made) -> None:
    words = " ".join(mixed.check().verified)
    assert "leaves by bounds" in words
    assert "leaves by runs" in words
    assert "--run" in words
    assert "all run again, with the outputs that were recorded" in " ".join(
        mixed.check(run=True).verified
    )


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
        others: list[Any] = (
            [value + 1, -value] if not isinstance(value, str) else [value[:-1] + "~", value + "0"]
        )
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
    for spoilt in (
        data[:-1],
        data[: len(data) // 2],
        data + b" ",
        b"",
        data.replace(b",", b", ", 1),
        b"[" * 10**5,
    ):
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
    lines = [
        line for leaf in content["leaves"] if "bound" in leaf for line in leaf["bound"]["slopes"]
    ]
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
    "a radius of another spelling": (
        lambda c: c["region"].update(radius=c["region"]["radius"] + "/1"),
        "fraction",
    ),
    "no radius": (lambda c: c["region"].update(radius="0"), "fraction"),
    "a radius that fills the memory": (
        lambda c: c["region"].update(radius="1e999999999"),
        "fraction",
    ),
    "a radius of many digits": (lambda c: c["region"].update(radius="9" * 5000), "fraction"),
    "more features": (lambda c: c["region"].update(features=10), "more features"),
    "more axes": (lambda c: c["region"].update(axes=5), "more features"),
    "another image": (
        lambda c: c["image"].update(hex="ff" * 36),
        "follows|neither on|points|wrong",
    ),
    "an image of other size": (
        lambda c: c["image"].update(hex=c["image"]["hex"] * 2),
        "fit the network",
    ),
    "a float image": (lambda c: c["image"].update(dtype="float32"), "pixels|features|image"),
    "another digest": (lambda c: c["network"].update(sha256="0" * 64), "SHA-256"),
    "another arithmetic": (lambda c: c["network"].update(arithmetic="integer"), "arithmetic"),
    "another layout": (lambda c: c["network"].update(layout="chw"), "layout"),
    "no layout": (lambda c: c["network"].update(layout="x"), "layout"),
    "another format": (
        lambda c: c["network"].update(format="keras"),
        "a keras network in a file of the name",
    ),
    "an unknown entry": (lambda c: c.update(more=1), "entries"),
    "a leaf removed": (lambda c: c["leaves"].pop(), "leave points out"),
    "a leaf twice": (lambda c: c["leaves"].append(c["leaves"][0]), "leave points out"),
    "no leaves": (lambda c: c.update(leaves=[]), "leave points out"),
    "a path turned": (
        lambda c: c["leaves"][0]["path"].__setitem__(-1, -c["leaves"][0]["path"][-1]),
        "out|points",
    ),
    "a feature split twice": (
        lambda c: c["leaves"][0]["path"].append(c["leaves"][0]["path"][0]),
        "twice",
    ),
    "a margin too large": (lambda c: entry(c, "bound").update(margin=1e3), "follows"),
    "a margin of no use": (lambda c: entry(c, "bound").update(margin=-1e-9), "follows"),
    "a margin that is no number": (lambda c: entry(c, "bound").update(margin="1"), "finite number"),
    "a bent neuron left out": (drop_neuron, "neither on nor off"),
    "slopes far too steep": (lambda c: widest(c)["above"].__setitem__(0, 1.5), "outside"),
    "neurons twice": (
        lambda c: widest(c)["neurons"].__setitem__(0, widest(c)["neurons"][-1]),
        "ascending",
    ),
    "a neuron that is not there": (
        lambda c: widest(c)["neurons"].__setitem__(-1, 10**6),
        "does not have",
    ),
    "slopes that are too few": (lambda c: widest(c)["above"].pop(), "two for each"),
    "a layer of slopes too few": (lambda c: entry(c, "bound")["slopes"].pop(), "hidden"),
    "a run called a bound": (swap_kind, "hidden"),
    "a point more": (
        lambda c: entry(c, "run").update(points=entry(c, "run")["points"] + 1),
        "points",
    ),
    "a point less": (
        lambda c: entry(c, "run").update(points=entry(c, "run")["points"] - 1),
        "points",
    ),
    "a larger margin of a run": (lambda c: entry(c, "run").update(margin=1e3), "closer"),
    "a smaller margin of a run": (lambda c: entry(c, "run").update(margin=-1.0), "another label"),
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
    ladder = Rebuilt(mixed.content)
    if whole:
        assert len(leaves_of(leaves, ladder)) == len(paths)
    else:
        with pytest.raises(InvalidError, match="out, or hold them twice"):
            leaves_of(leaves, ladder)


def test_a_ladder_of_2_to_the_78_points(tmp_path: Path) -> None:
    image, dense = np.zeros((28, 28, 1), np.uint8), random_dense(2, (784, 8, 3))
    (tmp_path / "n.onnx").write_bytes(to_onnx(dense))
    each = opened(load_network(tmp_path / "n.onnx", image_shape=(28, 28, 1), classes=3))
    rungs = rung_set(Ladder(Fraction(1), Fraction(1, 2000), None), image)
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    for solver in (Branch(), Bounds()):
        asked = Query(rungs, Label(label), (each,), Budget(600), True, True)
        proof = decide(asked, solver).each[0].proof
        assert proof is not None
        data = certificate(each, rungs, image, label, "reference", proof)
        assert data is not None
        (tmp_path / "c.json").write_bytes(data)
        assert check(tmp_path / "c.json", tmp_path / "n.onnx").valid


def test_a_run_is_sampled_unless_it_is_small_or_asked_for_whole(
    networks: dict[str, Opened], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged chain is found by --run alone, and the report says that it was not looked at."""
    each, image = networks["dynamic builtin"], image_of(1)
    rungs = rungs_of(image, REGIONS[0])
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    data = certificate(each, rungs, image, label, "quantised", LadderProof((Leaf((), False),)))
    assert data is not None
    content = json.loads(data)
    assert content["leaves"][0]["run"]["points"] == rungs.count == 163
    for forged, found in ((content["leaves"][0]["run"]["chain"], True), ("0" * 64, False)):
        content["leaves"][0]["run"]["chain"] = forged
        (tmp_path / "c.json").write_bytes(canonical({**content, "seal": seal(content)}))
        small = check(tmp_path / "c.json", Path(each.network.path))
        assert small.valid
        assert "all run again, but not compared" in small.verified[-1]
        with monkeypatch.context() as few:
            few.setattr("relrob.certificates.checking.check.WHOLE", 162)
            sampled = check(tmp_path / "c.json", Path(each.network.path))
        assert (sampled.status, sampled.valid, sampled.failure) == ("sampled", False, "")
        assert (sampled.sampled_parts, sampled.points, sampled.points_run) == (1, 163, 64)
        assert "not all run again (--run does that); 64 give" in sampled.verified[-1]
        assert check(tmp_path / "c.json", Path(each.network.path), run=True).valid is found


def test_a_point_that_is_wrong_is_an_alarm(networks: dict[str, Opened]) -> None:
    each, image = networks["float"], image_of(1)
    rungs = rungs_of(image, REGIONS[0])
    wrong = (int(each.evaluator.outputs(rungs.base[None, :]).argmax()) + 1) % 4
    for bound in (False, True):
        with pytest.raises(
            AlarmError,
            match=f"^the reference network gives a label other than {wrong} at a point, run alone",
        ):
            certificate(each, rungs, image, wrong, "reference", LadderProof((Leaf((), bound),)))


def test_nothing_is_kept_unasked(networks: dict[str, Opened]) -> None:
    rungs = rungs_of(image_of(5), REGIONS[0])
    for solver in (Branch(10), Bounds()):
        problem = Query(rungs, Label(3), (networks["float"],), Budget(600), True)
        assert decide(problem, solver).each[0].proof is None


def test_the_chain_depends_on_everything() -> None:
    seen = [(1, 0.5), (1, 0.25)]
    values = {
        chain([1, -2], seen),
        chain([1], seen),
        chain([1, -2], seen[::-1]),
        chain([1, -2], [*seen, seen[0]]),
    }
    assert len(values | {chain([1, -2], [(1, 0.5), (1, np.nextafter(0.25, 1))])}) == 5


def test_a_root_leaf_of_the_authors_network(tmp_path: Path) -> None:
    """784-512-512-10: the certificate is small, and checked in seconds."""
    path = shared_data("duncan2020/mnist_weights_keras1.h5")
    each = opened(load_network(path, image_shape=(28, 28, 1), classes=10))
    image = np.zeros((28, 28, 1), np.uint8)
    image[4:24, 12:16] = 250
    rungs = rung_set(Ladder(Fraction(20), Fraction(1, 16)), image)
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    asked = Query(rungs, Label(label), (each,), Budget(600), True, True)
    proof = decide(asked, Branch()).each[0].proof
    assert proof is not None
    data = certificate(each, rungs, image, label, "reference", proof)
    assert data is not None
    assert len(data) < 100_000
    (tmp_path / "c.json").write_bytes(data)
    assert check(tmp_path / "c.json", path).valid
