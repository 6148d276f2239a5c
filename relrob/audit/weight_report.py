"""The comparison of the weights of a pair as a value, without networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from relrob.audit.diagnosis import Diagnosis


@dataclass(frozen=True)
class Activation:
    """One activation of the quantised network on the images.

    `layer`: whose `role` ("input" or "output") it is. `low`, `high`: the reals of its end codes.
    `used`: the share of the range between the least and the largest code in use. `at_low`,
    `at_high`: shares of its values at the ends. `floor`: its least code stands for 0 and its values
    are not below. `wide_codes`: of more than 8 bits. `relu`, `capped`: behind a ReLU, or one with a
    largest value. `symmetric`: the zero point is the middle code. `last`: of the deepest layer.
    `reference`: the least and the largest value in the reference, None where that is not read;
    `beyond`: share of the reference's values outside the range, by more than a step.
    """

    layer: str
    role: str
    tensor: str
    scale: float
    zero_point: int
    low: float
    high: float
    used: float
    at_low: float
    at_high: float
    floor: bool
    wide_codes: bool = False
    relu: bool = False
    capped: bool = False
    symmetric: bool = False
    last: bool = False
    reference: tuple[float, float] | None = None
    beyond: float | None = None

    def json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Activation:
        """From its JSON."""
        ends = document["reference"]
        return cls(**{**document, "reference": None if ends is None else (ends[0], ends[1])})

    @property
    def saturated(self) -> float:
        """The share of values beyond the range, as far as it is known."""
        if self.beyond is not None:
            return self.beyond
        return (0.0 if self.floor else self.at_low) + (0.0 if self.capped else self.at_high)

    @property
    def filled(self) -> float:
        """The share of the range that the values need."""
        if self.reference is None:
            return self.used
        reach = max(abs(self.low), abs(self.high))
        if self.symmetric:
            return max(abs(each) for each in self.reference) / reach
        return (self.reference[1] - self.reference[0]) / (self.high - self.low)


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

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> WeightReport:
        """From its JSON. Raises KeyError, TypeError, ValueError for that of anything else."""
        return cls(
            document["read"],
            document["reason"],
            tuple(document["layers"]),
            tuple(Activation.of(each) for each in document["activations"]),
            tuple(Diagnosis(**each) for each in document["diagnosis"]),
        )
