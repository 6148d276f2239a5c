"""Properties: what a query asks of the outputs on every point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats
from relrob.networks.evaluator import labels, margins


@dataclass(frozen=True)
class Label:
    """Every point gets this label, the first of its largest outputs.

    >>> Label(3).label
    3
    """

    label: int

    def margins(self, outputs: Floats) -> Doubles:
        """The label's output minus the largest other, (n, classes) -> (n,); below 0 only where the
        property fails."""
        return margins(outputs, self.label)

    def fails(self, outputs: Floats) -> Bools:
        """Where the property does not hold, (n, classes) -> (n,)."""
        return np.asarray(labels(outputs) != self.label, dtype=np.bool_)


Property = Label  # a union, once there are others
