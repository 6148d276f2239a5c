"""Certificates about balls and lattices that rest on one bound.

They are valid, derived below every sampled margin, and hard to forge. The referee samples images of
the region, lists every point of small lattices, and flips bits.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.certificates.checking.ball import _Ball
from relrob.certificates.checking.check import check
from relrob.certificates.checking.deployed import read_deployed
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.checking.entries import pixels, read_slopes
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.ball import ball_certificate
from relrob.deciding.decide import decide
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Status
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import BallSet, ball_set
from tests.ball_cases import fixed_opened, sampled
from tests.certificate_cases import SHAPE, fails, image_of, networks_in, opened
from tests.naive import exact_pixels, to_float32
from tests.networks.fixed.test_network import random_network

Region = Ball | Lattice
REGIONS: tuple[Region, ...] = (
    Ball(Norm.L1, Fraction(1, 3)),
    Ball(Norm.LINF, Fraction(1, 255)),
    Ball(Norm.LINF, Fraction(1, 30)),
    Ball(Norm.L0, Fraction(1)),
    Lattice(Fraction(1, 2), Fraction(1, 10)),
    Lattice(Fraction(64, 255), Fraction(64, 255)),
)


@dataclass(frozen=True, eq=False)
class Made:
    """A certificate, its file, its network and its region."""

    path: Path
    network: Opened
    ball: BallSet
    content: dict[str, Any]

    @property
    def file(self) -> Path:
        return Path(self.network.network.path)


def proved(each: Opened, image: Any, region: Region) -> tuple[BallSet, int, Any]:
    """(region, label, proof or None)."""
    ball = ball_set(region, image)
    label = int(each.evaluator.outputs(ball.base[None, :]).argmax())
    decision = decide(Query(ball, Label(label), (each,), Budget(600), certify=True), "bounds")
    robust = decision.verdicts[0].status is Status.ROBUST
    assert (decision.each[0].proof is not None) == robust
    return ball, label, decision.each[0].proof


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    folder = tmp_path_factory.mktemp("networks")
    found = networks_in(folder)
    fixed = fixed_opened(random_network(3, 8, (36, 12, 4)), folder)
    loaded = load_network(fixed.network.path, image_shape=SHAPE, classes=4)
    return {
        **{kind: found[kind] for kind in ("float", "dynamic", "int8")},
        "fixed": Opened(loaded, fixed.evaluator, fixed.replayer),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, networks: dict[str, Opened]) -> list[Made]:
    """A certificate of each network and region."""
    folder, found = tmp_path_factory.mktemp("certificates"), []
    for kind, each in networks.items():
        for number, region in enumerate(REGIONS):
            for seed in range(20):
                image = image_of(seed) if seed % 2 else (image_of(seed) / 255).astype(np.float32)
                ball, label, proof = proved(each, image, region)
                if proof is None:
                    continue
                data = ball_certificate(each.network, region, image, label, "reference", proof)
                assert data is not None
                path = folder / f"{kind}-{number}-{seed}.json"
                path.write_bytes(data)
                found.append(Made(path, each, ball, json.loads(data)))
                break
    return found


def test_there_are_certificates_of_every_kind(
    made: list[Made], networks: dict[str, Opened]
) -> None:
    for kind, each in networks.items():
        kinds = {one.content["region"]["kind"] for one in made if one.network is each}
        assert kinds >= {"l1", "linf", "lattice"}, kind
    assert {"l0"} < {one.content["region"]["kind"] for one in made}


def test_every_certificate_is_valid(made: list[Made]) -> None:
    for each in made:
        report = check(each.path, each.file)
        assert report.valid, report.failure
        assert "one bound over the region" in report.verified[-1]


def test_derived_margins_are_below_those_of_sampled_images(made: list[Made]) -> None:
    """Where outputs may saturate or pass through a softmax, only the labels are compared."""
    for each in made:
        content = each.content
        images = sampled(each.ball, 1, 60)
        outputs = each.network.evaluator.outputs(images).astype(np.float64)
        label = content["label"]
        assert (outputs.argmax(axis=1) == label).all()
        deployed = read_deployed(each.network.network)
        region = _Ball(
            each.ball.region.kind, each.ball.region.radius, pixels(content["image"])[1]
        ).hull()
        derived = Derivation(deployed, label).margin(
            region, read_slopes(content["proof"]["leaves"][0]["slopes"])
        )
        if deployed.end == "logits" and deployed.layers[-1].cap is None:
            assert (
                derived <= (outputs[:, label] - np.delete(outputs, label, axis=1).max(axis=1)).min()
            )


def in_hull(ball: _Ball, image: list[Fraction]) -> bool:
    """Is an image a combination z in [0,1] of the hull's features, whose costs sum to at most its
    room?"""
    region = ball.hull()
    spent, reached = Fraction(0), set[int]()
    for axes, change, cost in zip(region.axes, region.change, region.costs, strict=True):
        share = (image[axes[0]] - region.pixels[axes[0]]) / change[0]
        if share > 0:
            reached.add(axes[0])
            spent += share * cost
            if share > 1:
                return False
    return spent <= region.room and all(
        value == region.pixels[i] or i in reached for i, value in enumerate(image)
    )


@settings(max_examples=60)
@given(
    st.integers(0, 10**9),
    st.sampled_from(["1/2", "1/4", "64/255", "1/10", "1"]),
    st.integers(1, 3),
    st.booleans(),
)
def test_the_checkers_hull_holds_every_point_of_a_lattice(
    seed: int, step: str, many: int, floats: bool
) -> None:
    """Points are float32 roundings: one of them can lie further from the rounded image than the
    radius."""
    rng, size = np.random.default_rng(seed), Fraction(step)
    image: Any = (
        rng.random((1, 2, 1), dtype=np.float32)
        if floats
        else rng.integers(0, 256, (1, 2, 1)).astype(np.uint8)
    )
    radius, exact = many * size, exact_pixels(image)
    fed = [Fraction(float(to_float32(value))) for value in exact]
    ball = _Ball("lattice", radius, fed)
    for ks in product(range(-many, many + 1), repeat=2):
        moved = [
            min(max(value + k * size, Fraction(0)), Fraction(1))
            for value, k in zip(exact, ks, strict=True)
        ]
        if sum((abs(a - b) for a, b in zip(moved, exact, strict=True)), Fraction(0)) <= radius:
            assert in_hull(ball, [Fraction(float(to_float32(value))) for value in moved])


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.sampled_from(["l1", "linf", "l0"]))
def test_the_checkers_hull_holds_every_sampled_image_of_a_ball(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    radius = (
        Fraction(int(rng.integers(1, 4)))
        if kind == "l0"
        else Fraction(int(rng.integers(1, 300)), 255)
    )
    image = rng.integers(0, 256, (2, 2, 1)).astype(np.uint8)
    ball = ball_set(Ball(Norm(kind), radius), image)
    fed = [Fraction(float(pixel)) for pixel in ball.base]
    for shown in sampled(ball, seed, 20):
        assert in_hull(_Ball(kind, radius, fed), [Fraction(float(value)) for value in shown])


def forged(each: Made, folder: Path, **changes: Any) -> bool:
    """Does the certificate fail with some entries changed and sealed again?"""
    content = deepcopy(each.content)
    for name, value in changes.items():
        place = content
        *parents, last = name.split("__")
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]  # type: ignore[index]
        place[last] = value
    path = folder / "forged.json"
    path.write_bytes(canonical({**content, "seal": seal(content)}))
    return fails(path, each.file)


def test_forgeries_that_are_false_fail(made: list[Made], tmp_path: Path) -> None:
    for each in made[::3]:
        label, margin = each.content["label"], each.content["proof"]["leaves"][0]["margin"]
        radius = each.content["region"]["radius"]
        assert not forged(each, tmp_path)
        assert forged(each, tmp_path, label=(label + 1) % 4)
        assert forged(each, tmp_path, region__radius=str(Fraction(radius) * 100))
        # The claim is half of the proved margin above the gap: three times it is false.
        assert forged(each, tmp_path, proof__leaves__0__margin=margin * 3.0 + 1.0)
        assert forged(each, tmp_path, proof__leaves__0__margin=-1.0)
        assert forged(each, tmp_path, proof__leaves__0__margin=None)
        assert forged(each, tmp_path, proof__leaves=[])
        assert forged(
            each, tmp_path, proof__leaves__0__path=[[0, 0, 1]], proof__leaves__0__pulls=[[0.0]]
        )
        assert forged(each, tmp_path, proof__gap=1e9)
        assert forged(
            each,
            tmp_path,
            proof__leaves__0__slopes=each.content["proof"]["leaves"][0]["slopes"][:-1],
        )
        assert forged(each, tmp_path, proof={"cells": []})
        assert forged(each, tmp_path, region__kind="l2")
        assert forged(each, tmp_path, region__kind="ladder")
        dark = (
            np.zeros(36, "<f4").tobytes().hex()
            if label != _said(each, 0.0)
            else np.ones(36, "<f4").tobytes().hex()
        )
        if label not in (_said(each, 0.0), _said(each, 1.0)):
            assert forged(each, tmp_path, image={"dtype": "float32", "hex": dark})


def _said(each: Made, level: float) -> int:
    return int(each.network.evaluator.outputs(np.full((1, 36), level, np.float32)).argmax())


def test_any_slopes_leave_the_derived_margin_true(made: list[Made]) -> None:
    rng = np.random.default_rng(3)
    for each in made[::4]:
        content = each.content
        deployed = read_deployed(each.network.network)
        region = _Ball(
            each.ball.region.kind, each.ball.region.radius, pixels(content["image"])[1]
        ).hull()
        derivation = Derivation(deployed, content["label"])
        honest = float(
            derivation.margin(region, read_slopes(content["proof"]["leaves"][0]["slopes"]))
        )
        assert honest >= content["proof"]["leaves"][0]["margin"]
        anything = [
            {n: (float(rng.random()), float(rng.random())) for n in range(layer.weights.shape[1])}
            for layer in deployed.layers[:-1]
        ]
        outputs = each.network.evaluator.outputs(sampled(each.ball, 2, 40)).astype(np.float64)
        least = (
            outputs[:, content["label"]] - np.delete(outputs, content["label"], axis=1).max(axis=1)
        ).min()
        if deployed.end == "logits" and deployed.layers[-1].cap is None:
            assert derivation.margin(region, anything) <= least


def test_a_flipped_bit_anywhere_fails(made: list[Made], tmp_path: Path) -> None:
    rng, path = np.random.default_rng(1), tmp_path / "flipped.json"
    for each in made[::6]:
        data = each.path.read_bytes()
        for at in [0, len(data) - 1, *rng.integers(0, len(data), 60).tolist()]:
            broken = bytearray(data)
            broken[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(broken))
            assert fails(path, each.file)


def test_l2_balls_have_none_and_are_refused_by_name(
    networks: dict[str, Opened], made: list[Made], tmp_path: Path
) -> None:
    region = Ball(Norm.L2, Fraction(1, 100))
    each = networks["float"]
    for seed in range(10):
        _, label, proof = proved(each, image_of(seed), region)
        if proof is not None:
            assert (
                ball_certificate(each.network, region, image_of(seed), label, "reference", proof)
                is None
            )
            break
    else:
        pytest.fail("no L2 ball was proved")
    one = made[0]
    path = tmp_path / "l2.json"
    content = {**one.content, "region": {"kind": "l2", "radius": "1/1000"}}
    path.write_bytes(canonical({**content, "seal": seal(content)}))
    report = check(path, one.file)
    assert not report.valid
    assert "L2" in report.failure


def test_a_region_that_is_not_well_formed_fails(made: list[Made], tmp_path: Path) -> None:
    for each in made[::5]:
        kind = each.content["region"]["kind"]
        for region in (
            {"kind": "l0", "radius": "1/2"},
            {"kind": "linf", "radius": "0"},
            {"kind": "linf", "radius": "2/4"},
            {"kind": "linf", "radius": 1},
            {"kind": "l1", "radius": "-1"},
            {"kind": "lattice", "radius": "1/4"},
            {"kind": "lattice", "radius": "1/4", "step": "3/2"},
            {"kind": "l1", "radius": "1/4", "step": "1/4"},
            {"kind": kind},
            kind,
            None,
        ):
            assert forged(each, tmp_path, region=region)


def test_checking_needs_the_very_network(made: list[Made], networks: dict[str, Opened]) -> None:
    each = made[0]
    assert each.network is networks["float"]
    other = opened(networks["dynamic"].network)
    assert fails(each.path, Path(other.network.path))
