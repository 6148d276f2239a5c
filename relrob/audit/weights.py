"""`compare_weights`: the weights of the quantised network against the reference's, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relrob.audit.activations import Activation, activation_faults, activations
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.faults import weight_faults
from relrob.audit.layers import compared, row
from relrob.audit.matching import matched
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.weighted import NotReadError, Weighted, weights_of


@dataclass(frozen=True)
class WeightReport:
    """The comparison of the weights.

    `read`: were both files read and their layers matched? `reason`: why not, or "". `layers`: a
    dictionary a layer of the quantised network, in the order of its graph; the keys stand in
    docs/audit-weights.md. `activations`: the use of the codes of activations on the images.
    `diagnoses`: the faults by name.
    """

    read: bool
    reason: str = ""
    layers: tuple[dict[str, Any], ...] = ()
    activations: tuple[Activation, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()

    def json(self) -> dict[str, Any]:
        """The fields, for `audit.json`."""
        return {
            "read": self.read,
            "reason": self.reason,
            "layers": list(self.layers),
            "activations": [each.json() for each in self.activations],
            "diagnosis": [each.json() for each in self.diagnoses],
        }


def compare_weights(reference: Network, quantised: Network, images: Floats) -> WeightReport:
    """Dequantised weights, biases and scales of the quantised network against the reference, and
    the codes of its activations on `images` (n, d), float32 in [0, 1].

    The weights take milliseconds a million, the activations a run of both networks. A file that is
    not read, or layers that do not match, give a report that says so.
    """
    theirs: Sequence[Weighted] = ()
    used: tuple[Activation, ...] = ()
    try:
        theirs = _weights(quantised, "quantised network")
        used = activations(quantised, theirs, reference, images)
        ours = _weights(reference, "reference")
        layers = [compared(match) for match in matched(ours, theirs, reference.image_shape)]
    except NotReadError as error:
        floats = _only_floats(quantised, theirs)
        return WeightReport(False, str(error), (), used, (*floats, *activation_faults(used, ())))
    found = weight_faults(layers)
    return WeightReport(
        True,
        "",
        tuple(row(one) for one in layers),
        used,
        (*found, *activation_faults(used, [one.match.quantised for one in layers])),
    )


def _weights(network: Network, role: str) -> tuple[Weighted, ...]:
    try:
        return weights_of(network)
    except NotReadError as error:
        raise NotReadError(f"the {role}: {error}") from error


def _only_floats(quantised: Network, layers: Sequence[Weighted]) -> tuple[Diagnosis, ...]:
    """A file without quantised weights, whose reference was not read."""
    if layers and all(layer.scheme == "float32" for layer in layers):
        return (
            Diagnosis(
                "nothing-quantised",
                f"all {len(layers)} layers of the quantised network hold float32 weights",
                {"layers": len(layers)},
                "a float file may be the REFERENCE; give the quantised file as QUANTISED",
            ),
        )
    return ()
