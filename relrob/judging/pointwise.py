"""How far any float32 evaluation of a folded network can be from the real one at a point: sharper
than one threshold for all.

"Any" as in `rounding`; each neuron is computed once, and its value is what all neurons after it
get.

A neuron that is on all over the ladder passes its error on unchanged, so the errors of the neurons
before it meet in one sum of products, whose signs are known, before magnitudes are taken; one that
is off all over it errs by nothing; one that changes sign errs only at points where it may be on.
With `runtime` the whole error of a pre-activation, `made` the part of it that is made in its layer,
and g = W_label - W_other in the last layer, W (g where on, else 0) in the layer before, the
difference of two logits errs by at most made_label + made_other + the sum over hidden layers of
|g|.(made where on, else runtime where it may be on).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.network import Dense
from relrob.domain.rounding import TERMS_SLACK


@dataclass(frozen=True, eq=False)
class Hidden:
    """A hidden layer on a ladder: pre-activations in [`low`, `high`] (n,), over the reals;
    `runtime`, `made`: as above.

    `kept`: indices of the neurons that change sign; `folded`: how far their evaluation in folded
    arithmetic is from the real one.
    """

    low: Doubles
    high: Doubles
    runtime: Doubles
    made: Doubles
    kept: Ints
    folded: Doubles


@final
class MarginErrors:
    """Errors of the margins of `label` against each other class, in their order; `last`: those made
    in the last layer and in folded arithmetic (classes - 1,). One that is not finite settles
    nothing."""

    def __init__(self, dense: Dense, hidden: list[Hidden], last: Doubles, label: int) -> None:
        weights = dense.layers[-1].weights.astype(np.float64)
        passed = weights[:, [label]] - np.delete(weights, label, axis=1)
        every = last
        self._switched: list[Doubles] = []
        for number in range(len(hidden) - 1, -1, -1):
            layer, size = hidden[number], np.abs(passed)
            on = layer.low >= layer.runtime
            error = np.where(
                on, layer.made, np.clip(layer.high + layer.runtime, 0.0, layer.runtime)
            )
            self._switched.append(size[layer.kept] * error[layer.kept][:, None])
            error[layer.kept] = 0.0
            every = (
                every + error @ size + TERMS_SLACK * (layer.runtime @ size)
            )  # `passed` is off by less than that times `runtime`
            if number:
                passed = dense.layers[number].weights.astype(np.float64) @ np.where(
                    on[:, None], passed, 0.0
                )
        self._switched.reverse()
        self._every: Doubles = every
        self._off = [-(layer.runtime[layer.kept] + layer.folded) for layer in hidden]

    def at(self, values: list[Doubles]) -> Doubles:
        """Of points whose kept neurons have these pre-activations in folded arithmetic, (n, k) a
        hidden layer: (n, classes - 1)."""
        error = self._every
        for value, off, switched in zip(values, self._off, self._switched, strict=True):
            error = error + (~(value <= off)).astype(np.float64) @ switched
        return error * (1 + TERMS_SLACK)


def settled(margins: Doubles, error: Doubles) -> tuple[Bools, Bools]:
    """Of margins (n, m) against other classes, that far from any evaluation's: where all are
    certainly above 0, and where one class is certainly ahead of the label and of each other.
    `error`: (n, m) or (m,)."""
    rows, worst, error = (
        np.arange(len(margins)),
        margins.argmin(axis=1),
        np.broadcast_to(error, margins.shape),
    )
    least, doubt = margins[rows, worst], error[rows, worst]
    apart = margins - least[:, None] > error + doubt[:, None]
    apart[rows, worst] = True
    return np.asarray((margins > error).all(axis=1)), (least < -doubt) & apart.all(axis=1)
