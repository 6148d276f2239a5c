"""The error of any float32 evaluation of a folded network at a point: sharper than one threshold
for all points.

"Any" is meant as in `relrob.domain.rounding`. Each neuron is computed once, and all neurons after
it get that value.

A neuron that is on all over the ladder passes its error on unchanged. So the errors of the neurons
before it meet in one sum of products with known signs, and magnitudes are taken after that. A
neuron that is off all over the ladder has no error. A neuron that changes sign errs only at points
where it may be on.

Let `runtime` be the whole error of a pre-activation, and `made` the part that its own layer makes.
Let g = W_label - W_other in the last layer, and g' = W (g where on, else 0) in the layer before,
and so on. Then the difference of two logits errs by at most
    made_label + made_other + sum over hidden layers of |g|.e,
where e is `made` where a neuron is on, else `runtime` where it may be on, else 0.
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
    """A hidden layer on a ladder.

    `low`, `high` (n,): ends of its real pre-activations; `runtime`, `made` (n,): as above; `kept`
    (k,): indices of the neurons that may change sign; `folded` (k,): errors of their evaluation in
    folded arithmetic.
    """

    low: Doubles
    high: Doubles
    runtime: Doubles
    made: Doubles
    kept: Ints
    folded: Doubles


@final
class MarginErrors:
    """Errors of the margins of `label` against each other class, in the order of the classes.

    `last` (classes - 1,): the errors made in the last layer and in folded arithmetic. An error that
    is not finite settles nothing.
    """

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
            # `passed` is off by less than TERMS_SLACK times its size.
            every = every + error @ size + TERMS_SLACK * (layer.runtime @ size)
            if number:
                passed = dense.layers[number].weights.astype(np.float64) @ np.where(
                    on[:, None], passed, 0.0
                )
        self._switched.reverse()
        self._every: Doubles = every
        self._off = [-(layer.runtime[layer.kept] + layer.folded) for layer in hidden]

    def at(self, values: list[Doubles]) -> Doubles:
        """The errors (n, classes - 1) at points whose kept neurons have these pre-activations in
        folded arithmetic, (n, k) for each hidden layer."""
        error = self._every
        for value, off, switched in zip(values, self._off, self._switched, strict=True):
            error = error + (~(value <= off)).astype(np.float64) @ switched
        return error * (1 + TERMS_SLACK)


def settled(margins: Doubles, error: Doubles) -> tuple[Bools, Bools]:
    """Where all margins (n, m) are certainly above 0, and where one class is certainly ahead of the
    label and of each other class. `error`, (n, m) or (m,): of the margins."""
    rows, worst, error = (
        np.arange(len(margins)),
        margins.argmin(axis=1),
        np.broadcast_to(error, margins.shape),
    )
    least, doubt = margins[rows, worst], error[rows, worst]
    apart = margins - least[:, None] > error + doubt[:, None]
    apart[rows, worst] = True
    return np.asarray((margins > error).all(axis=1)), (least < -doubt) & apart.all(axis=1)
