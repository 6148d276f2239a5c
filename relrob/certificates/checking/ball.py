"""The checker of proofs about balls and lattices.

The region is built again with exact fractions. The proof is bounds over parts of it (`derive`), or
cells of integers (`fixed`). Source: docs/certificates.md, "Balls and lattices".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from relrob.certificates.checking import fixed as cells
from relrob.certificates.checking.arb import PRECISION
from relrob.certificates.checking.deployed import NoRulesError, read_deployed
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.checking.entries import (
    InvalidError,
    fraction,
    keys,
    number,
    pixels,
    read_signs,
    read_slopes,
)
from relrob.certificates.checking.levels import Region
from relrob.certificates.checking.reading.fixed import read_fixed
from relrob.domain.network import Network

KINDS: Final = ("l1", "l2", "linf", "l0", "lattice")


@dataclass(frozen=True)
class _Ball:
    """`fed`: the float32 pixels around which a ball lies, exact; `kind`, `radius`."""

    kind: str
    radius: Fraction
    fed: list[Fraction]

    def hull(self) -> Region:
        """Moves of single pixels up or down, z of each in [0,1], whose costs sum to at most a room:
        a set that holds the region."""
        features, fed = list[tuple[int, Fraction]](), self.fed
        # Rounding to float32 moves the clean image and a moved pixel by at most half of this each.
        rounded = Fraction(1, 2**24) if self.kind == "lattice" else Fraction(0)
        most = Fraction(1) if self.kind == "l0" else self.radius + rounded
        for axis, pixel in enumerate(fed):
            features += [(axis, move) for move in (min(1 - pixel, most), -min(pixel, most)) if move]
        changes = [abs(move) for _, move in features]
        if self.kind in ("l1", "lattice"):
            costs, room = changes, self.radius + len(fed) * rounded
        elif self.kind in ("linf", "l0"):
            costs, room = (
                [Fraction(1)] * len(features),
                Fraction(len(features)) if self.kind == "linf" else self.radius,
            )
        else:
            raise NoRulesError("bounds over an L2 ball")
        return Region(
            fed, [[axis] for axis, _ in features], [[move] for _, move in features], costs, room
        )


def prove(content: dict[str, Any], network: Network, data: bytes, said: list[str]) -> int:
    """Check the region and the proof about the network in these bytes; returns the number of parts.

    Each finding is appended to `said`.

    Raises:
        InvalidError: a claim does not follow.
        NoRulesError: the checker has no rules for the network or the region.
    """
    region = content["region"]
    lattice = isinstance(region, dict) and region.get("kind") == "lattice"
    keys(region, ("kind", "radius", "step") if lattice else ("kind", "radius"), "the region")
    radius = fraction(region["radius"], "radius")
    if lattice and fraction(region["step"], "step") > 1:
        raise InvalidError("a step above 1")
    if region["kind"] == "l0" and radius.denominator != 1:
        raise InvalidError("an L0 radius that is no whole number")
    ball = _Ball(region["kind"], radius, pixels(content["image"])[1])
    words = (
        f"lattice of radius {radius} and step {region['step']}"
        if lattice
        else f"{ball.kind} ball of radius {radius}"
    )
    said.append(
        f"the region: the {words} around the image, cut by [0,1], built again with exact fractions"
    )
    proof = content["proof"]
    if isinstance(proof, dict) and set(proof) == {"cells"}:
        if (network.format, network.runtime, ball.kind) != ("fixed", "fixed", "linf"):
            raise InvalidError("cells, which are for fixed-point networks in L-infinity balls")
        fixed = read_fixed(data)
        if (fixed.inputs, fixed.classes) != (network.inputs, network.classes):
            raise InvalidError("an image or a label that does not fit the network")
        count = cells.prove(
            fixed, cells.box(fixed, ball.fed, radius), content["label"], proof["cells"]
        )
        said.append(
            f"{count} cells of code vectors and hidden outputs, each closed in exact integers, "
            "none left out"
        )
        return count
    keys(proof, ("gap", "leaves"), "the proof")
    derivation, gap = (
        Derivation(read_deployed(network, data), content["label"]),
        number(proof["gap"], "a gap"),
    )
    if not derivation.accepts(gap):
        raise InvalidError(f"a gap of {gap}, where {float(derivation.gap)} is needed")
    leaves = [
        keys(leaf, ("path", "margin", "slopes", "pulls"), "a leaf")
        for leaf in _listed(proof["leaves"])
    ]
    _partition([_path(leaf["path"]) for leaf in leaves])
    margins = [_leaf(derivation, ball.hull(), leaf, gap) for leaf in leaves]
    least = min((margin for margin in margins if margin is not None), default=float("inf"))
    parts = (
        "one bound over the region"
        if len(leaves) == 1
        else f"bounds over {len(leaves)} parts of the region, none left out"
    )
    said.append(
        f"{parts}, derived again in ball arithmetic of {PRECISION} bits from the file's weights, "
        "for"
        f" {network.arithmetic.value} on {network.runtime}: label {content['label']} leads by "
        f"{least:.6g} or more,"
        f" {gap:.6g} is needed"
    )
    return len(leaves)


Path = tuple[tuple[int, int, int], ...]


def _listed(given: Any) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise InvalidError("leaves that are no list")
    return given


def _path(given: Any) -> Path:
    """Splits: (hidden layer, neuron, 1 for pre-activations of at least 0 or -1 for at most 0)."""
    whole = isinstance(given, list) and all(
        isinstance(split, list) and len(split) == 3 for split in given
    )
    if (
        not whole
        or not all(type(n) is int for split in given for n in split)
        or any(s[2] not in (1, -1) for s in given)
    ):
        raise InvalidError("a path that is no list of hidden layer, neuron and sign")
    return tuple((split[0], split[1], split[2]) for split in given)


def _partition(paths: list[Path]) -> None:
    """The paths are the leaves of one binary tree: every image is in a leaf, whatever the signs of
    its pre-activations are."""
    waiting = [paths]
    while waiting:
        group = waiting.pop()
        if group == [()]:
            continue
        first = {path[0][:2] for path in group if path}
        if len(first) != 1 or () in group:
            raise InvalidError("paths that are no partition")
        waiting += [[path[1:] for path in group if path[0][2] == side] for side in (1, -1)]


def _leaf(derivation: Derivation, region: Region, leaf: dict[str, Any], gap: float) -> float | None:
    """The margin that is derived, None for a part without images."""
    slopes = read_slopes(leaf["slopes"])
    derived = derivation.margin(
        region, slopes, read_signs(_path(leaf["path"]), leaf["pulls"], len(slopes))
    )
    if derived is None:
        return None
    claimed = number(leaf["margin"], "a margin")
    if not (derived > derivation.gap and derived >= claimed >= gap):
        raise InvalidError(
            f"a margin of {claimed} over a gap of {gap} is claimed, and {float(derived)} follows"
        )
    return float(derived)
