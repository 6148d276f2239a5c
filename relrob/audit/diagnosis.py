"""A fault of a pair of networks, by its name, with the evidence for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

# What each name says of the pair. docs/audit-checks.md has the statistics.
IDS: Final = {
    "another-network": "the quantised network was not made from the reference",
    "stale-weights": "the quantised network was made from an older or newer state of the reference",
    "permuted-classes": "the networks give their classes in another order",
    "input-scale": "a network reads pixels on another scale",
    "normalisation": "a network reads pixels less a mean, over a standard deviation",
    "channel-order": "a network reads its channels in the order blue, green, red",
    "layout": "a network or the data have their pixels in the order channels, height, width",
    "constant-output": "a network gives nearly all images one label",
    "undertrained-reference": "the reference is seldom right",
    "changed-weights": "weights of a layer are not the reference's",
    "changed-bias": "biases of a layer are not the reference's",
    "changed-scale": "a scale of the quantised network does not fit its weights or activations",
    "changed-zero-point": "a zero point of the quantised network does not fit",
    "swapped-layers": "layers of equal shape stand in another order",
    "changed-operations": "the weights are the reference's, what is computed with them is not",
    "calibration": "ranges of activations do not fit the images",
    "saturated-activations": "activations leave the range of their codes",
    "nothing-quantised": "the quantised network has no quantised weights",
    "wrong-runtime": "the runtime does not execute the file as it is meant",
}


@dataclass(frozen=True)
class Diagnosis:
    """A fault of a pair.

    `id`: one of `IDS`. `sentence`: for the user, with the numbers. `evidence`: measured values that
    JSON holds. `hint`: the option or the action to take. `blocking`: does an audit fail by it?

    Raises ValueError for an id that is not in `IDS` and for evidence that JSON does not hold.

    >>> Diagnosis("layout", "the reference reads (C, H, W)", {"before": 0.07, "after": 0.32}).hint
    ''
    """

    id: str
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)
    hint: str = ""
    blocking: bool = True

    def __post_init__(self) -> None:
        if self.id not in IDS:
            raise ValueError(f"{self.id!r} is no diagnosis; accepted: {', '.join(IDS)}")
        if not self.sentence:
            raise ValueError(f"the diagnosis {self.id} has no sentence")
        try:
            json.dumps(self.evidence, allow_nan=False)
        except TypeError as error:
            raise ValueError(f"the evidence of {self.id} is no JSON: {error}") from error

    def json(self) -> dict[str, Any]:
        """The fields, for `audit.json`."""
        return {
            "id": self.id,
            "sentence": self.sentence,
            "evidence": self.evidence,
            "hint": self.hint,
            "blocking": self.blocking,
        }
