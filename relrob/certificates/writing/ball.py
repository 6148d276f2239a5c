"""Write a certificate about a ball or a lattice: bounds over its parts, or the cells of a proof
about a fixed-point network."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.bounding.fixed import Closed
from relrob.bounding.linear import Margins
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.ladder import bent_lines, claim, has_rules, head
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.enclose import enclosure_of
from relrob.queries.findings import PhaseLeaf

Proof = Margins | tuple[PhaseLeaf, ...] | tuple[tuple[Closed, ...], ...]


def ball_certificate(
    network: Network,
    region: Ball | Lattice,
    image: NDArray[Any],
    label: int,
    role: str,
    proof: Proof,
) -> bytes | None:
    """The certificate that `network` gives `label` on all of `region` around `image`. `proof`:
    bounds over the region, or over each of its parts, or of each threat in the order of
    `relrob.bounding.fixed.threats` the cells that were closed. None for an L2 ball, of which bounds
    are not re-derived, and, with a warning, where the checker has no rules for the network."""
    bounded = (PhaseLeaf((), proof, ()),) if isinstance(proof, Margins) else proof
    leaves = [leaf for leaf in bounded if isinstance(leaf, PhaseLeaf)]
    if leaves:
        enclosure = enclosure_of(network)
        if enclosure is None or (isinstance(region, Ball) and region.norm is Norm.L2):
            return None
        entry: dict[str, Any] = {
            "gap": float(enclosure.gap),
            "leaves": [_leaf(leaf, float(enclosure.gap)) for leaf in leaves],
        }
    else:
        cells = [group for group in bounded if not isinstance(group, PhaseLeaf)]
        entry = {"cells": [[_cell(closed) for closed in group] for group in cells]}
    if not has_rules(network, bounds=True):
        return None
    described = {"kind": region.kind, "radius": str(region.radius)}
    if isinstance(region, Lattice):
        described["step"] = str(region.step)
    content = {**head(network, image, label, role), "region": described, "proof": entry}
    return canonical({**content, "seal": seal(content)})


def _leaf(leaf: PhaseLeaf, gap: float) -> dict[str, Any]:
    """Its path, and what its bounds are made of; of a part without images there is no margin."""
    found: Margins = leaf.found
    betas = [list[float]() for _ in found.hidden]
    for layer, neuron, _ in sorted(leaf.path):
        betas[layer].append(float(leaf.betas[layer][neuron]))
    return {
        "path": [list(split) for split in leaf.path],
        "margin": None if found.empty else claim(float(found.low.min()), gap),
        "slopes": [bent_lines(neurons) for neurons in found.hidden],
        "pulls": betas,
    }


def _cell(closed: Closed) -> dict[str, Any]:
    """Its path and multipliers."""
    forms = [] if closed.forms is None else closed.forms.tolist()
    return {
        "path": [list(split) for split in closed.path],
        "forms": forms,
        "sums": [s.tolist() for s in closed.sums],
    }
