"""Write a certificate: one door, whatever a proof rests on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.certificates.writing.ball import ball_certificate
from relrob.certificates.writing.ladder import ladder_certificate
from relrob.networks.open import Opened
from relrob.queries.findings import LadderProof, Proof
from relrob.regions.ladder import RungSet
from relrob.regions.points import Points


def certificate(
    opened: Opened, points: Points, image: NDArray[Any], label: int, role: str, proof: Proof
) -> bytes | None:
    """The certificate that `opened` gives `label` on all of `points`, the region around `image`;
    `role`: "reference" or "quantised". None where there is none for such a region, or, with a
    warning, where one cannot be written.

    Raises AlarmError where a point that was taken for right is wrong when it runs alone.
    """
    if isinstance(proof, LadderProof) and isinstance(points, RungSet):
        return ladder_certificate(opened, points, image, label, role, proof.leaves)
    assert not isinstance(proof, LadderProof)  # noqa: S101 - a proof is of its own points
    assert not isinstance(points, RungSet)  # noqa: S101
    return ball_certificate(opened.network, points.region, image, label, role, proof)
