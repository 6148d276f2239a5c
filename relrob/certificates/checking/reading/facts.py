"""The facts that a reader hands on: dense layers with exact weights, and their runtime's error.

Source: docs/certificates.md, "How far a runtime strays".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

# A factor on every quantisation step: float32 arithmetic forms scales and quotients.
LOOSE: Final = Fraction(4097, 4096)


class NoRulesError(Exception):
    """The checker has no rules for this network; the message says why."""


@dataclass(frozen=True, eq=False)
class Facts:
    """A dense layer with exact `weights` (n_in, n_out) and `bias` (n_out,), and the error of its
    runtime.

    `terms`: float32 operations on the way to an output; 0 over the reals. Quantising moves inputs
    h >= 0 by at most share * max(h) + shift, and by the part of them above `input_cap`. Outputs are
    stored with an error of at most `rounding` and cut to [floor, cap]. None: no such end. `levels`:
    the step of a first layer that quantises is known.

    The other fields serve layers that contain elementwise steps or several dense layers. `sizes`
    (n_in, n_out): the sizes of the weights. `extra` (n_out,): the share of constants in the sizes
    that are rounded. `slack` (n_out,): the cost of numbers that count as 0. `lift`: the growth of
    that cost over the layer alone. Nothing overflows for inputs below `most_in` and sizes below
    `most_out`.
    """

    weights: NDArray[np.float64]
    bias: list[Fraction]
    relu: bool
    terms: int
    share: Fraction = Fraction(0)
    shift: Fraction = Fraction(0)
    input_cap: Fraction | None = None
    rounding: Fraction = Fraction(0)
    cap: Fraction | None = None
    floor: Fraction | None = None
    levels: bool = True
    sizes: NDArray[np.float64] | None = None
    extra: NDArray[np.float64] | None = None
    slack: NDArray[np.float64] | None = None
    lift: Fraction = Fraction(1)
    most_in: Fraction = Fraction(2**127)
    most_out: Fraction = Fraction(2**127)


@dataclass(frozen=True, eq=False)
class Deployed:
    """The layers, and the `end` of the network: "logits", "float softmax" or "int8 softmax"."""

    layers: tuple[Facts, ...]
    end: str
