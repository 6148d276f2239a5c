"""Write a certificate about a ball or a lattice: one bound over it, or the cells of a proof about a fixed-point network."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.bounding.linear import Margins
from relrob.bounding.staircase import Closed
from relrob.certificates.form import canonical, seal
from relrob.certificates.write import bent_lines, head
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.enclose import enclosure_of

Proof = Margins | tuple[tuple[Closed, ...], ...]


def ball_certificate(
    network: Network, region: Ball | Lattice, image: NDArray[Any], label: int, role: str, proof: Proof
) -> bytes | None:
    """The certificate that `network` gives `label` on all of `region` around `image`. `proof`: bounds over the region, or of each
    threat in the order of `relrob.bounding.staircase.threats` the cells that were closed. None for an L2 ball, of which bounds are
    not re-derived."""
    if isinstance(proof, Margins):
        enclosure = enclosure_of(network)
        if enclosure is None or (isinstance(region, Ball) and region.norm is Norm.L2):
            return None
        entry: dict[str, Any] = {
            "margin": float(proof.low.min()),
            "gap": float(enclosure.gap),
            "slopes": [bent_lines(neurons) for neurons in proof.hidden],
        }
    else:
        entry = {"cells": [[_cell(closed) for closed in group] for group in proof]}
    described = {"kind": region.kind, "radius": str(region.radius)}
    if isinstance(region, Lattice):
        described["step"] = str(region.step)
    content = {**head(network, image, label, role), "region": described, "proof": entry}
    return canonical({**content, "seal": seal(content)})


def _cell(closed: Closed) -> dict[str, Any]:
    """Its path and multipliers."""
    forms = [] if closed.forms is None else closed.forms.tolist()
    return {"path": [list(split) for split in closed.path], "forms": forms, "sums": [s.tolist() for s in closed.sums]}
