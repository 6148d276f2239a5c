"""Write a certificate about a ball or a lattice: bounds over its parts, or the cells of a proof
about a fixed-point network."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.bounding.fixed import Closed
from relrob.certificates.form import canonical, seal
from relrob.certificates.writing.ladder import bent_lines, claim, has_rules, head
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.enclose import enclosure_of
from relrob.queries.findings import CellProof, PhaseLeaf, PhaseProof


def ball_certificate(
    network: Network,
    region: Ball | Lattice,
    image: NDArray[Any],
    label: int,
    role: str,
    proof: PhaseProof | CellProof,
) -> bytes | None:
    """The certificate that `network` gives `label` on all of `region` around `image`. None for an
    L2 ball, of which bounds are not re-derived."""
    if isinstance(proof, PhaseProof):
        enclosure = enclosure_of(network)
        if enclosure is None or (isinstance(region, Ball) and region.norm is Norm.L2):
            return None
        entry: dict[str, Any] = {
            "gap": float(enclosure.gap),
            "leaves": [_leaf(leaf, float(enclosure.gap)) for leaf in proof.leaves],
        }
    else:
        entry = {"cells": [[_cell(closed) for closed in group] for group in proof.threats]}
    if not has_rules(network, bounds="leaves" in entry):
        return None
    described = {"kind": region.kind, "radius": str(region.radius)}
    if isinstance(region, Lattice):
        described["step"] = str(region.step)
    content = {**head(network, image, label, role), "region": described, "proof": entry}
    return canonical({**content, "seal": seal(content)})


def _leaf(leaf: PhaseLeaf, gap: float) -> dict[str, Any]:
    """Its path, and what its bounds are made of; of a part without images there is no margin."""
    found = leaf.found
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
