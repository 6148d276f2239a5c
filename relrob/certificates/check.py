"""Check a certificate with rules of our own: exact fractions for the ladder, balls for the bounds, the named runtime for runs.

Imports no solver, no bounds and nothing that wrote the certificate. Networks are opened by relrob's loaders; `deployed` reads what
the proof needs from them, `derive` re-derives bound leaves. Everything that is checked is said in the report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates import ball
from relrob.certificates.deployed import NoRulesError, read_deployed
from relrob.certificates.derive import PRECISION, Derivation
from relrob.certificates.form import FORMAT, canonical, chain, seal
from relrob.certificates.levels import Region
from relrob.certificates.parts import InvalidError, fraction, keys, nearest, number, pixels, read_slopes
from relrob.domain.network import Network
from relrob.errors import CertificateError
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network

SAMPLE: Final = 64
MOST_POINTS: Final = 10_000_000
_BLOCK: Final = 1024
_KEYS: Final = ("format", "role", "network", "region", "image", "label", "seal")
_NETWORK: Final = ("file", "sha256", "format", "runtime", "layout", "arithmetic", "image_shape", "classes")


@dataclass(frozen=True)
class Report:
    """`valid`, what was verified in words, and why it failed ("" when valid)."""

    path: str
    valid: bool
    verified: tuple[str, ...]
    failure: str = ""


def check(path: Path, network: Path | None = None, run: bool = False, memory: float | None = None) -> Report:
    """Check one certificate. `network`: its network's file, found beside it when not given; `run`: run every point of leaves that
    rest on runs, not only 64 of each; `memory`: GiB that the first reading of the network may take.

    Raises CertificateError when the file is no certificate or the network's file is not found; NetworkError.
    """
    data, content = _read(path)
    said: list[str] = []
    try:
        if canonical(content) != data or seal(content) != content.get("seal"):
            raise InvalidError("the seal does not fit: the file was changed after it was written")
        region = content.get("region")
        around = isinstance(region, dict) and region.get("kind") in ball.KINDS
        keys(content, (*_KEYS, *(("proof",) if around else ("gap", "leaves"))), "the certificate")
        if type(content["label"]) is not int or content["role"] not in ("reference", "quantised"):
            raise InvalidError("a label that is no number, or a role that is neither reference nor quantised")
        said.append("the seal: SHA-256 of the canonical content")
        if around:
            ball.prove(content, _network(path, content, network, said, memory), said)
            return Report(str(path), True, tuple(said))
        ladder = _Ladder(content)
        said.append(ladder.words)
        opened = _network(path, content, network, said, memory)
        leaves = _leaves(content["leaves"], ladder)
        said.append(
            f"the partition: every point of the region is in exactly one of the leaves, {len(leaves)} in number"
        )
        _prove(content, ladder, opened, leaves, run, said)
    except (InvalidError, NoRulesError) as error:
        return Report(str(path), False, tuple(said), str(error))
    return Report(str(path), True, tuple(said))


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes and what they say."""
    try:
        data = path.read_bytes()
        content = json.loads(data.decode("ascii"), parse_constant=_refuse)
        json.dumps(content, allow_nan=False)
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror or error}", "a certificate file") from error
    except (ValueError, RecursionError) as error:
        raise CertificateError(
            f"{path} is no certificate: {error}", "JSON that relrob wrote", "copy it again"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CertificateError(f"{path} is no certificate of this version", FORMAT)
    return data, content


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number")


class _Ladder:
    """The region, built again from its definition with exact fractions (docs/certificates.md, "The region")."""

    def __init__(self, content: dict[str, Any]) -> None:
        region = keys(content["region"], ("kind", "radius", "step", "features", "axes"), "the region")
        self.radius, step = fraction(region["radius"], "radius"), fraction(region["step"], "step")
        count, k = region["features"], region["axes"]
        exact, self.base = pixels(content["image"])
        if region["kind"] != "ladder" or step > 1 or type(count) is not int or type(k) is not int or min(count, k) < 1:
            raise InvalidError("a region that is no ladder")
        if count * k > len(exact):
            raise InvalidError("more features than the image has pixels for")
        mean = sum(exact, Fraction(0)) / len(exact)
        distance = [abs(value - mean) for value in exact]
        order = sorted(range(len(exact)), key=lambda axis: (-distance[axis], axis))
        self.axes = [order[g * k : (g + 1) * k] for g in range(count)]
        target = {
            a: max(v - step, Fraction(0)) if 2 * v > 1 else min(v + step, Fraction(1)) for a, v in enumerate(exact)
        }
        self.costs = [sum((abs(target[a] - exact[a]) for a in axes), Fraction(0)) for axes in self.axes]
        rounded = {value: nearest(value) for value in {target[a] for axes in self.axes for a in axes}}
        self.moved = [[rounded[target[a]] for a in axes] for axes in self.axes]
        self.words = (
            f"the region: a ladder of radius {self.radius} and step {step}, {count} features of {k} pixels, built again"
            " from the image with exact fractions"
        )

    def part(self, path: list[int]) -> tuple[Region, list[int]]:
        """The part at the end of a path of splits, and its free features. Raises InvalidError when it is beyond the radius."""
        done = {abs(split) - 1: split > 0 for split in path}
        fed, room = list(self.base), self.radius
        for g in (g for g, taken in done.items() if taken):
            room -= self.costs[g]
            for axis, value in zip(self.axes[g], self.moved[g], strict=True):
                fed[axis] = value
        if room < 0:
            raise InvalidError(f"the leaf {path} lies beyond the radius")
        free = [g for g in range(len(self.costs)) if g not in done and self.costs[g] <= room]
        change = [[v - fed[a] for a, v in zip(self.axes[g], self.moved[g], strict=True)] for g in free]
        return Region(fed, [self.axes[g] for g in free], change, [self.costs[g] for g in free], room, whole=True), free


def _network(path: Path, content: dict[str, Any], given: Path | None, said: list[str], memory: float | None) -> Network:
    """The network that the certificate speaks of, whose bytes have its digest."""
    facts = keys(content["network"], _NETWORK, "the network")
    shape, classes = facts["image_shape"], facts["classes"]
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)):
        raise InvalidError("an image shape that is not (height, width, channels)")
    if (
        type(classes) is not int
        or not 0 <= content["label"] < classes
        or prod(shape) != len(pixels(content["image"])[0])
    ):
        raise InvalidError("an image or a label that does not fit the network")
    if not all(isinstance(facts[name], str) for name in _NETWORK if name not in ("image_shape", "classes")):
        raise InvalidError("a network whose description is not text")
    file = given if given is not None else _beside(path, content["role"], facts["file"])
    asked: dict[str, Any] = {
        "image_shape": (shape[0], shape[1], shape[2]),
        "classes": classes,
        "runtime": facts["runtime"],
        "layout": facts["layout"],
    }
    try_network(file, memory=memory, **asked)
    found = load_network(file, **asked)
    if found.sha256 != facts["sha256"]:
        raise InvalidError(
            f"{file} has SHA-256 {found.sha256[:16]}..., the certificate speaks of {facts['sha256'][:16]}..."
        )
    if (found.format, found.layout.value, found.arithmetic.value) != (
        facts["format"],
        facts["layout"],
        facts["arithmetic"],
    ):
        raise InvalidError(f"{file} is not a {facts['format']} file of {facts['arithmetic']} arithmetic as described")
    said.append(f"the network: {file} has SHA-256 {found.sha256[:16]}..., the one that the certificate names")
    return found


def _beside(path: Path, role: str, name: str) -> Path:
    """The network's file in the run directory that holds the certificate, or where that run's summary says it was."""
    run = path.resolve().parent.parent
    plain = Path(name).name
    places = [run / f"{role}{Path(plain).suffix}", run / plain, path.parent / plain]
    summary = run / "summary.json"
    try:
        typed = Path(json.loads(summary.read_text(encoding="utf-8"))[role]["path"])
        places += [typed, run / typed]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for place in places:
        if plain and place.exists():
            return place
    raise CertificateError(f"the network {name} of {path} is not beside it", "the run directory", "--network FILE")


@dataclass(frozen=True)
class _Leaf:
    """A checked path, and what the certificate says there."""

    path: list[int]
    kind: str
    entry: dict[str, Any]


def _leaves(given: Any, ladder: _Ladder) -> list[_Leaf]:
    """The leaves, after checking that their paths form one tree in which every split has both its halves."""
    if not isinstance(given, list):
        raise InvalidError("leaves that are not a list")
    leaves = []
    for each in given:
        kind = "bound" if isinstance(each, dict) and "bound" in each else "run"
        keys(each, ("path", kind), "a leaf")
        path = each["path"]
        if not (isinstance(path, list) and all(type(s) is int and 0 < abs(s) <= len(ladder.costs) for s in path)):
            raise InvalidError("a path that does not name features")
        if len({abs(split) for split in path}) != len(path):
            raise InvalidError(f"the path {path} splits a feature twice")
        leaves.append(_Leaf(path, kind, each[kind]))
    groups = [(0, leaves)]
    while groups:
        depth, group = groups.pop()
        if len(group) == 1 and len(group[0].path) == depth:
            continue
        splits = {leaf.path[depth] if len(leaf.path) > depth else 0 for leaf in group}
        if len(splits) != 2 or sum(splits) != 0:
            raise InvalidError("leaves that leave points out, or hold them twice")
        groups += [(depth + 1, [leaf for leaf in group if leaf.path[depth] == split]) for split in splits]
    return leaves


def _prove(
    content: dict[str, Any], ladder: _Ladder, network: Network, leaves: list[_Leaf], run: bool, said: list[str]
) -> None:
    """Every leaf; adds what was found to the report."""
    bounds, runs = ([leaf for leaf in leaves if leaf.kind == kind] for kind in ("bound", "run"))
    gap = content["gap"]
    if type(gap) is not float or not (isfinite(gap) and gap >= 0) or (gap != 0 and not bounds):
        raise InvalidError("a gap that is no number of at least 0, or of no use")
    if bounds:
        deployed = read_deployed(network)
        derivation = Derivation(deployed, content["label"])
        if not abs(derivation.gap - gap) < 2**-40:
            raise InvalidError(f"a gap of {gap}, where this network needs {float(derivation.gap)}")
        margins = [_bound(leaf, ladder, derivation) for leaf in bounds]
        said.append(
            f"leaves by bounds: {len(bounds)}, derived again in ball arithmetic of {PRECISION} bits from the file's weights, for"
            f" {network.arithmetic.value} on {network.runtime}: label {content['label']} leads by {min(margins):.6g} or more,"
            f" {gap:.6g} is needed"
        )
    if runs:
        points = [_run(leaf, ladder, network, content, run) for leaf in runs]
        tried = sum(points) if run else sum(min(SAMPLE, count) for count in points)
        how = "all run again, with the outputs that were recorded" if run else "not all run again (--run does that)"
        if not run and tried == sum(points):
            how = "all run again, but not compared with the outputs that were recorded (--run does that)"
        said.append(
            f"leaves by runs: {len(runs)}, of {sum(points):,} points in all, on {network.runtime}, one image at a time: {how};"
            f" {tried:,} give label {content['label']} here"
        )


def _bound(leaf: _Leaf, ladder: _Ladder, derivation: Derivation) -> float:
    """A bound leaf: its margin, derived again, is at least the claimed one, and that is enough."""
    entry = keys(leaf.entry, ("margin", "slopes"), "a bound")
    claimed = number(entry["margin"], "a margin")
    slopes = read_slopes(entry["slopes"])
    region, _ = ladder.part(leaf.path)
    derived = derivation.margin(region, slopes)
    if not (derived > derivation.gap and derived >= claimed and derivation.gap <= claimed):
        raise InvalidError(f"the leaf {leaf.path} claims a margin of {claimed}, and {float(derived)} follows")
    return float(derived)


def _run(leaf: _Leaf, ladder: _Ladder, network: Network, content: dict[str, Any], every: bool) -> int:
    """A leaf that was run: its points are counted and listed again, and all or 64 of them run again."""
    entry = keys(leaf.entry, ("points", "margin", "chain"), "a run")
    claimed = number(entry["margin"], "a margin")
    region, _ = ladder.part(leaf.path)
    if type(entry["points"]) is not int or not 0 < entry["points"] <= MOST_POINTS:
        raise InvalidError(f"a run of {entry['points']} points")
    masks = []
    for mask in _subsets(region.costs, region.room):
        masks.append(mask)
        if len(masks) > entry["points"]:
            break
    if len(masks) != entry["points"]:
        raise InvalidError(f"the leaf {leaf.path} does not have {entry['points']} points")
    if not every and len(masks) > SAMPLE:
        seed = int.from_bytes(hashlib.sha256(json.dumps([content["seal"], leaf.path]).encode()).digest())
        chosen = np.random.default_rng(seed).choice(len(masks), SAMPLE, replace=False)
        masks = [masks[at] for at in sorted(chosen.tolist())]
    seen = _outputs(masks, region, network, content["label"])
    if any(said != content["label"] for said, _ in seen) or min(margin for _, margin in seen) < claimed:
        raise InvalidError(f"a point of the leaf {leaf.path} is wrong on {network.runtime}, or closer than {claimed}")
    if every and (min(margin for _, margin in seen) != claimed or chain(leaf.path, seen) != entry["chain"]):
        raise InvalidError(
            f"the points of the leaf {leaf.path} run right here, but not with the outputs that were recorded"
        )
    return int(entry["points"])


def _subsets(costs: list[Fraction], room: Fraction) -> Iterator[tuple[int, ...]]:
    """Subsets within the room in rank order: as binary numbers, the first free feature the leading bit."""
    stack: list[tuple[int, tuple[int, ...], Fraction]] = [(0, (), room)]
    while stack:
        at, taken, left = stack.pop()
        while at < len(costs):
            if costs[at] <= left:
                stack.append((at + 1, (*taken, at), left - costs[at]))
            at += 1
        yield taken


def _outputs(masks: list[tuple[int, ...]], region: Region, network: Network, label: int) -> list[tuple[int, float]]:
    """(label, margin) of each point on the network's runtime, one image at a time."""
    evaluator = open_network(network, 1, batch=1)
    base: NDArray[np.float32] = np.array([float(pixel) for pixel in region.pixels], np.float32)
    moved = [
        np.array([float(region.pixels[a] + c) for a, c in zip(axes, change, strict=True)], np.float32)
        for axes, change in zip(region.axes, region.change, strict=True)
    ]
    seen: list[tuple[int, float]] = []
    for start in range(0, len(masks), _BLOCK):
        images = np.repeat(base[None, :], len(masks[start : start + _BLOCK]), axis=0)
        for image, taken in zip(images, masks[start : start + _BLOCK], strict=True):
            for g in taken:
                image[region.axes[g]] = moved[g]
        for row in evaluator.outputs(images).astype(np.float64):
            if not np.isfinite(row).all():
                raise InvalidError(f"{network.runtime} gives outputs that are no finite numbers")
            rest = [value for at, value in enumerate(row.tolist()) if at != label]
            seen.append((int(row.argmax()), float(row[label]) - max(rest)))
    return seen
