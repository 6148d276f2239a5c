"""Certificates about fixed-point networks.

The referee runs every code vector, and forgers seal their changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.bounding.fixed import threats
from relrob.certificates.checking import fixed as cells
from relrob.certificates.checking.entries import InvalidError, inside
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.write import certificate
from relrob.deciding.decide import decide
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.networks.fixed.file import write_fixed
from relrob.networks.fixed.network import FixedNetwork
from relrob.queries.findings import CellProof
from relrob.regions.ball import ball_set
from relrob.system.files import sha256_path
from tests.ball_cases import Question, box_size, ends32, every_code, question
from tests.certificate_cases import as_checked, fails


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cells")


def written(asked: Question) -> dict[str, Any] | None:
    """The certificate of a robust question, None for another one."""
    decision = decide(asked.problem(certify=True), "branch")
    if decision.verdicts[0].status is not Status.ROBUST:
        return None
    proof = decision.each[0].proof
    assert isinstance(proof, CellProof)
    data = certificate(asked.opened, asked.ball, asked.image, asked.label, "reference", proof)
    assert data is not None
    found: dict[str, Any] = json.loads(data)
    return found


def accepted(content: dict[str, Any], folder: Path) -> bool:
    """Sealed again and checked."""
    path = folder / "forged.json"
    path.write_bytes(canonical({**content, "seal": seal(content)}))
    return not fails(path, folder / "net.npz")


def is_true(content: dict[str, Any], asked: Question) -> bool:
    """Does every code vector of what the certificate speaks of have its label?"""
    image = np.frombuffer(bytes.fromhex(content["image"]["hex"]), content["image"]["dtype"])
    ball = ball_set(Ball(Norm.LINF, Fraction(content["region"]["radius"])), image)
    said = asked.network.evaluate(every_code(asked.network, ball)).argmax(axis=1)
    return bool((said == content["label"]).all())


def _label(content: dict[str, Any], rng: np.random.Generator) -> None:
    content["label"] = (content["label"] + 1) % content["network"]["classes"]


def _radius(content: dict[str, Any], rng: np.random.Generator) -> None:
    factor = Fraction(int(rng.integers(9, 30)), 8)
    content["region"]["radius"] = str(Fraction(content["region"]["radius"]) * factor)


def _pixel(content: dict[str, Any], rng: np.random.Generator) -> None:
    image = np.frombuffer(bytes.fromhex(content["image"]["hex"]), content["image"]["dtype"]).copy()
    image[int(rng.integers(image.size))] = (
        rng.integers(0, 256) if image.dtype == np.uint8 else rng.random()
    )
    content["image"]["hex"] = image.tobytes().hex()


def _some(content: dict[str, Any], rng: np.random.Generator) -> tuple[list[Any], int]:
    groups = content["proof"]["cells"]
    group = groups[int(rng.integers(len(groups)))]
    return group, int(rng.integers(len(group)))


def _split(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    path = group[at]["path"]
    if path:
        split = path[int(rng.integers(len(path)))]
        place = int(rng.integers(4))
        split[place] = 1 - split[place] if place == 3 else split[place] + int(rng.choice([-1, 1]))


def _same_split_everywhere(content: dict[str, Any], rng: np.random.Generator) -> None:
    """The first split of a tree moved by one, in every cell of it: still a partition."""
    group, _ = _some(content, rng)
    for entry in group:
        if entry["path"]:
            entry["path"][0][2] += 1


def _dropped(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    del group[at]


def _twice(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    group.append(deepcopy(group[at]))


def _threat(content: dict[str, Any], rng: np.random.Generator) -> None:
    del content["proof"]["cells"][int(rng.integers(len(content["proof"]["cells"])))]


def _exchanged(content: dict[str, Any], rng: np.random.Generator) -> None:
    content["proof"]["cells"].reverse()


def _forms(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    factor = int(rng.choice([0, -1]))
    group[at]["forms"] = [factor * value for value in group[at]["forms"]]


def _sums(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    factor = int(rng.choice([0, -1, 3]))
    group[at]["sums"] = [[factor * value for value in values] for values in group[at]["sums"]]


def _emptied(content: dict[str, Any], rng: np.random.Generator) -> None:
    """A cell with absurd splits claims to be empty."""
    group, at = _some(content, rng)
    group[at]["path"] = [*group[at]["path"], [0, 0, 10**6, 1]]


def _unlimited(content: dict[str, Any], rng: np.random.Generator) -> None:
    group, at = _some(content, rng)
    entry = group[at]
    group.append({**deepcopy(entry), "path": [*entry["path"], [0, 0, -(10**6), 0]]})
    entry["path"] = [*entry["path"], [0, 0, -(10**6), 1]]


FORGERIES: list[Callable[[dict[str, Any], np.random.Generator], None]] = [
    *(
        _label,
        _radius,
        _pixel,
        _split,
        _same_split_everywhere,
        _dropped,
        _twice,
        _threat,
        _exchanged,
    ),
    *(_forms, _sums, _emptied, _unlimited),
]
NEVER = (_dropped, _twice, _threat, _emptied)  # whatever they say, the form of a proof is gone


@settings(max_examples=50)
@given(st.integers(0, 10**9))
def test_proofs_pass_and_forgeries_pass_only_where_they_are_true(folder: Path, seed: int) -> None:
    asked = question(seed, folder)
    content = written(asked)
    if content is None:
        return
    assert accepted(content, folder)
    rng = np.random.default_rng(seed)
    for forge in FORGERIES:
        forged = deepcopy(content)
        forge(forged, rng)
        if box_size(asked.network, Fraction(forged["region"]["radius"])) > 50_000:
            continue
        assert not accepted(forged, folder) or (forge not in NEVER and is_true(forged, asked))
        assert not (forge in NEVER and accepted(forged, folder))


def changed(network: FixedNetwork, rng: np.random.Generator) -> FixedNetwork:
    """The same network but for one weight, bias, shift or end."""
    layers = list(network.layers)
    at = int(rng.integers(len(layers)))
    layer, kind = layers[at], int(rng.integers(4))
    weights, bias = layer.weights.copy(), layer.bias.copy()
    if kind == 0:
        weights[int(rng.integers(len(weights))), int(rng.integers(len(bias)))] += int(
            rng.choice([-2, -1, 1, 2])
        )
    elif kind == 1:
        bias[int(rng.integers(len(bias)))] += int(rng.choice([-1, 1]))
    layers[at] = replace(
        layer,
        weights=weights,
        bias=bias,
        shift=layer.shift + (kind == 2),
        high=layer.high + (kind == 3),
    )
    return FixedNetwork(tuple(layers), network.low, network.high, network.pixel_scale)


@settings(max_examples=40)
@given(st.integers(0, 10**9))
def test_a_proof_about_one_network_says_nothing_false_about_another(
    folder: Path, seed: int
) -> None:
    asked, rng = question(seed, folder), np.random.default_rng(seed)
    content = written(asked)
    if content is None:
        return
    for _ in range(6):
        stranger = changed(asked.network, rng)
        write_fixed(stranger, folder / "net.npz")
        forged = deepcopy(content)
        assert not accepted(forged, folder), "another network's bytes"
        forged["network"]["sha256"] = sha256_path(folder / "net.npz")
        said = stranger.evaluate(asked.codes).argmax(axis=1)
        assert not accepted(forged, folder) or (said == asked.label).all()


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_no_multipliers_prove_what_is_false(folder: Path, seed: int) -> None:
    """Whole boxes, or halves of them, with multipliers of any sign for every label that some code
    vector does not have."""
    asked, rng = question(seed, folder), np.random.default_rng(seed)
    network, said = asked.network, asked.network.evaluate(asked.codes).argmax(axis=1)
    fed = [Fraction(float(pixel)) for pixel in asked.ball.base]
    checked = as_checked(network)
    box = cells.box(checked, fed, asked.region.radius)

    def entry(path: list[list[int]], forms: int, sign: int) -> dict[str, Any]:
        sums = [
            (sign * rng.integers(-3, 4, len(layer.offset))).tolist()
            for layer in network.layers[:-1]
        ]
        return {"path": path, "forms": (sign * rng.integers(0, 3, forms)).tolist(), "sums": sums}

    for label in range(network.classes):
        if (said == label).all():
            continue
        counts = [len(threat.forms) for threat in threats(network, label)]
        for sign in (1, -1, -1, 0):
            split = [0, int(rng.integers(network.inputs)), int(rng.integers(-1, network.high + 1))]
            halves = [[[*split, 0]], [[*split, 1]]] if rng.random() < 0.5 else [[]]
            with pytest.raises(InvalidError):
                cells.prove(
                    checked,
                    box,
                    label,
                    [[entry(path, many, sign) for path in halves] for many in counts],
                )


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_the_checker_builds_the_same_box(folder: Path, seed: int) -> None:
    asked = question(seed, folder)
    fed = [Fraction(float(pixel)) for pixel in asked.ball.base]
    ends = zip(asked.codes.min(axis=0).tolist(), asked.codes.max(axis=0).tolist(), strict=True)
    assert cells.box(as_checked(asked.network), fed, asked.region.radius) == list(ends)
    for pixel in fed:
        expected = tuple(Fraction(float(end)) for end in ends32(pixel, asked.region.radius))
        low, high = (
            max(pixel - asked.region.radius, Fraction(0)),
            min(pixel + asked.region.radius, Fraction(1)),
        )
        assert (inside(low, True), inside(high, False)) == expected


def test_many_proofs_of_several_cells_are_checked(folder: Path) -> None:
    """The random questions above are not all closed at once."""
    sizes = [
        max(len(group) for group in content["proof"]["cells"])
        for content in (written(question(seed, folder)) for seed in range(80))
        if content is not None
    ]
    assert len(sizes) > 20
    assert sum(size > 1 for size in sizes) > 2
