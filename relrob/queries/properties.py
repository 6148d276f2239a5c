"""Properties: what a query asks of the outputs on every point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.errors import DatasetError, UsageError
from relrob.networks.evaluator import margins, near_ties


class Property(Protocol):
    """What is asked of the outputs (n, classes) of n points, each row by itself."""

    def check(self, classes: int) -> None:
        """Raise RelrobError where a network of so many outputs cannot be asked."""
        ...

    def margins(self, outputs: Floats) -> Doubles:
        """How far a row is from failing, (n, classes) -> (n,); below 0 only where it fails."""
        ...

    def fails(self, outputs: Floats, said: Ints) -> Bools:
        """Where the property does not hold, (n, classes) -> (n,); true for a row with NaN. `said`
        (n,): the labels of the rows."""
        ...

    def near_ties(self, outputs: Floats, scale: float, share: float) -> Ints:
        """Rows whose answer or label another rounding could change, (n, classes) -> (k,).

        These are run again, one image at a time, as the network is deployed. `scale`: a usual
        magnitude of outputs, 0 where the outputs tell it. `share`: of this magnitude, up to which
        rounding moves an output. A property that does not know gives every row.
        """
        ...

    def described(self) -> tuple[str | int, ...]:
        """What tells it from all other properties, as JSON has it; part of a query's digest."""
        ...


@final
@dataclass(frozen=True)
class Label:
    """Every point gets this label, the first of its largest outputs.

    >>> Label(3).label
    3
    """

    label: int

    def check(self, classes: int) -> None:
        """Raise DatasetError where the network has no such class."""
        if not 0 <= self.label < classes:
            raise DatasetError(f"label {self.label}", f"0 to {classes - 1}, the network's classes")

    def margins(self, outputs: Floats) -> Doubles:
        """The label's output minus the largest other, (n, classes) -> (n,); below 0 only where the
        property fails."""
        return margins(outputs, self.label)

    def fails(self, outputs: Floats, said: Ints) -> Bools:
        """Where the rows have other labels, (n, classes) -> (n,). `said` (n,): their labels."""
        return np.asarray(said != self.label, dtype=np.bool_)

    def near_ties(self, outputs: Floats, scale: float, share: float) -> Ints:
        """Rows whose two largest outputs are as good as equal, (n, classes) -> (k,)."""
        return near_ties(outputs, scale, share)

    def described(self) -> tuple[str | int, ...]:
        """Its name and the label."""
        return "Label", self.label


def label_of(wanted: Property, who: str) -> int:
    """The label that a property asks for.

    Raises UsageError for another property: `who` knows the answers of labels alone.

    >>> label_of(Label(3), "bounds")
    3
    """
    if isinstance(wanted, Label):
        return wanted.label
    raise UsageError(
        f"{who}: a query about {type(wanted).__name__}",
        "a query about a label",
        "--solver enumerate, which runs every point",
    )
