"""Certificates of real runs, made once for the tests that read them, and their small networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from relrob.certificates.checking.check import Report, check
from relrob.certificates.checking.reading.fixed import FixedFile, read_fixed
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.write import certificate
from relrob.deciding.decide import decide
from relrob.domain.network import Network
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status
from relrob.errors import RelrobError
from relrob.networks.fixed.file import fixed_bytes
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened, open_network
from relrob.queries.findings import LadderProof, Leaf
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.branch_ladder import Branch
from tests.make_networks import write_tflite
from tests.support import random_dense

SHAPE = (6, 6, 1)
KINDS = ("float", "dynamic", "int8", "dynamic builtin", "int8 reference")
IMAGE = np.array([[[10], [200]], [[90], [255]]], np.uint8)
REGIONS = (("2", "1/8"), ("2", "1/4"), ("3", "1/4"))


@dataclass(frozen=True)
class Made:
    """A certificate, where it lies, and the file of its network."""

    path: Path
    network: Path
    content: dict[str, Any]

    def check(self, run: bool = False) -> Report:
        return check(self.path, self.network, run)


def as_checked(network: FixedNetwork) -> FixedFile:
    """What the checker reads of the network's file."""
    return read_fixed(fixed_bytes(network))


def opened(network: Network) -> Opened:
    return Opened(network, open_network(network), open_network(network, batch=1))


def image_of(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, size=SHAPE, dtype=np.uint8)


def rungs_of(image: Any, region: tuple[str, str]) -> RungSet:
    return rung_set(Ladder(Fraction(region[0]), Fraction(region[1]), 8, 4), image)


def networks_in(folder: Path) -> dict[str, Opened]:
    """One float network, as it is and quantised, on each of the runtimes of KINDS; their files lie
    in `folder`."""
    dense, found = random_dense(5, (36, 60, 40, 4)), {}
    (folder / "float.onnx").write_bytes(to_onnx(dense))
    for scheme in ("dynamic", "int8"):
        write_tflite(dense, folder / f"{scheme}.tflite", SHAPE, scheme)
    for kind in KINDS:
        scheme, _, runtime = kind.partition(" ")
        path = folder / ("float.onnx" if scheme == "float" else f"{scheme}.tflite")
        found[kind] = opened(
            load_network(path, image_shape=SHAPE, classes=4, runtime=runtime or None)
        )
    return found


def certificates_in(parent: Path, networks: dict[str, Opened]) -> dict[str, list[Made]]:
    """Up to eight certificates of each kind of network, from branching down to leaves of 10
    points."""
    found: dict[str, list[Made]] = {kind: [] for kind in KINDS}
    for kind, each in networks.items():
        folder = parent / kind
        folder.mkdir()
        for seed in range(30):
            image, region = image_of(seed), REGIONS[seed % 3]
            rungs = rungs_of(image, region)
            label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
            decision = decide(
                Query(rungs, Label(label), (each,), Budget(600), seed % 2 == 0, True), Branch(10)
            )
            proof = decision.each[0].proof
            assert (proof is not None) == (decision.verdicts[0].status is Status.ROBUST)
            if proof is not None and len(found[kind]) < 8:
                data = certificate(each, rungs, image, label, "reference", proof)
                assert data is not None
                (folder / f"{seed}.json").write_bytes(data)
                found[kind].append(
                    Made(folder / f"{seed}.json", Path(each.network.path), json.loads(data))
                )
    return found


def fails(path: Path, network: Path, run: bool = False) -> bool:
    """Invalid, or so broken that it cannot be read; either way the command's exit code is not 0."""
    try:
        return not check(path, network, run).valid
    except RelrobError:
        return True


def document(image: Any, rungs: RungSet) -> dict[str, Any]:
    """What the checker builds a ladder from."""
    region = {"kind": "ladder", "radius": str(rungs.region.radius), "step": str(rungs.region.step)}
    shape = {"features": rungs.features, "axes": rungs.region.axes}
    return {
        "region": region | shape,
        "image": {"dtype": str(image.dtype), "hex": image.tobytes().hex()},
    }


@dataclass(frozen=True)
class Small:
    """A certificate of 2 x 2 pixels with one leaf by runs and one by bounds, and its network."""

    content: dict[str, Any]
    network: Path

    def outcome(self, folder: Path, content: dict[str, Any]) -> str:
        """Why the content fails under a fresh seal; "" when it does not."""
        (folder / "c.json").write_bytes(canonical({**content, "seal": seal(content)}))
        return check(folder / "c.json", self.network, run=True).failure


def small_in(folder: Path) -> Small:
    """Written to the folder."""
    path = folder / "n.onnx"
    path.write_bytes(to_onnx(random_dense(0, (4, 3))))
    each = opened(load_network(path, image_shape=(2, 2, 1), classes=3))
    rungs = rung_set(Ladder(Fraction(1, 50), Fraction(1, 100), 2, 2), IMAGE)
    label = int(each.evaluator.outputs(rungs.base[None, :]).argmax())
    proof = LadderProof((Leaf((1,), False), Leaf((-1,), True)))
    data = certificate(each, rungs, IMAGE, label, "quantised", proof)
    assert data is not None
    return Small(json.loads(data), path)
