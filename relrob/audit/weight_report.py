"""The comparison of the weights of a pair as a value, without networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from relrob.audit.diagnosis import Diagnosis

# The share of the reference's values that a range of images like these leaves out, at most, and the
# share of the range that they fill, at least.
LEFT_OUT: Final = 0.005
_FILLED: Final = 0.6
# A range of which less than this is in use was calibrated on something else.
USED: Final = 0.2
# The largest values of images like these go beyond a range by less than that, whatever their share.
_OVERFULL: Final = 1.15


@dataclass(frozen=True)
class Activation:
    """One activation of the quantised network on the images.

    `layer`: whose `role` ("input" or "output") it is. `low`, `high`: the reals of its end codes.
    `used`: the share of the range between the least and the largest code in use. `at_low`,
    `at_high`: shares of its values at the ends. `floor`: its least code stands for 0 and its values
    are not below. `wide_codes`: of more than 8 bits. `relu`: behind a ReLU of either network, and
    `fused` behind one of this one; `capped`: with a largest value. `symmetric`: the zero point is
    the middle code. `last`: of the deepest layer.
    `reference`: the least and the largest value in the reference, None where that is not read;
    `beyond`: share of the reference's values outside the range, by more than a step. `varied`:
    where these are not known, the share of values at the ends to which different inputs led, None
    where that is not known either. `images_beyond`: share of images with values outside the range,
    as for `beyond`. `dead`: all values are one, whatever is rounded. `tail`: the factor by which
    the largest value of many more images may be larger, 1 where none is far from the others.
    `lent`: where the range is that of the step behind it, the share of its codes that step uses.
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
    fused: bool = False
    varied: float | None = None
    images_beyond: float | None = None
    dead: bool = False
    tail: float = 1.0
    lent: float | None = None

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
        return self.varied or 0.0

    @property
    def at_ends(self) -> float:
        """The share of values at an end, where the values may go further."""
        return (0.0 if self.floor else self.at_low) + (0.0 if self.capped else self.at_high)

    @property
    def misfit(self) -> bool:
        """Does the range leave out a part of the reference's values, or some that are far outside,
        or hold far more?"""
        if self.dead or self.borrowed:
            return False
        return (self.beyond or 0.0) >= LEFT_OUT or not _FILLED <= self.filled <= _OVERFULL

    @property
    def borrowed(self) -> bool:
        """Is the range that of the step behind it, which uses it?"""
        return self.lent is not None and self.lent >= USED

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
    `diagnoses`: the faults by name. `rectified`: layers behind which one network alone is known to
    have a ReLU. `coarse`: did rounding change the weights of many outputs by more than a twentieth?
    """

    read: bool
    reason: str = ""
    layers: tuple[dict[str, Any], ...] = ()
    activations: tuple[Activation, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    rectified: tuple[str, ...] = ()
    coarse: bool = False

    def json(self) -> dict[str, Any]:
        """The fields, for `audit.json`."""
        return {
            "read": self.read,
            "reason": self.reason,
            "layers": list(self.layers),
            "activations": [each.json() for each in self.activations],
            "diagnosis": [each.json() for each in self.diagnoses],
            "rectified": list(self.rectified),
            "coarse": self.coarse,
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
            tuple(document["rectified"]),
            document["coarse"],
        )
