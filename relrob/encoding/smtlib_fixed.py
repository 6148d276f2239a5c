"""A fixed-point network over a box of codes as SMT-LIB 2 text (logic QF_LIA), bit for bit. Any
solver for integers can run it.

`x<i>`: the code of pixel i; `a<k>_<n>`, `h<k>_<n>`: accumulator and output of neuron n of layer k
(1, 2, ...; the last layer's are the outputs). A shift is a floor division: `q<k>_<n>` is the
integer with 2^shift q <= a < 2^shift (q + 1). It is not written as `div`, because z3's tactics for
QF_LIA were seen to call texts with `div` unsatisfiable that are not (z3 5.4.0). Neurons that cannot
change over the box are constants.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relrob.bounding.fixed import interval
from relrob.domain.arrays import Ints
from relrob.networks.fixed.network import FixedLayer, FixedNetwork


def integer_smtlib(
    network: FixedNetwork, low: Ints, high: Ints, label: int, check: bool = True
) -> str:
    """The text: satisfiable if and only if some codes in [low, high] (d,) get a label other than
    `label`. `check`: end with (check-sat)."""
    lines = ["(set-logic QF_LIA)"]
    terms: list[str] = []
    for i, (least, most) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if least < most:
            lines += [
                f"(declare-const x{i} Int)",
                f"(assert (and (<= {_int(least)} x{i}) (<= x{i} {_int(most)})))",
            ]
        terms.append(f"x{i}" if least < most else "")
    for number, layer in enumerate(network.layers, start=1):
        least, most = interval(layer, low, high)
        ends = [np.clip(end >> layer.shift, layer.low, layer.high) for end in (least, most)]
        after = []
        for n in range(len(least)):
            held = ends[0][n] == ends[1][n]
            after.append("" if held else f"h{number}_{n}")
            lines += (
                [] if held else _neuron(number, n, layer, terms, low, (int(least[n]), int(most[n])))
            )
        terms, (low, high) = after, ends
    outputs = [term or _int(int(value)) for term, value in zip(terms, low, strict=True)]
    wins = [
        f"({'>=' if rival < label else '>'} {outputs[rival]} {outputs[label]})"
        for rival in range(network.classes)
        if rival != label
    ]
    lines.append(f"(assert (or {' '.join(wins)}))" if len(wins) > 1 else f"(assert {wins[0]})")
    return "\n".join([*lines, *(["(check-sat)"] if check else [])]) + "\n"


def _neuron(
    number: int,
    n: int,
    layer: FixedLayer,
    terms: Sequence[str],
    values: Ints,
    ends: tuple[int, int],
) -> list[str]:
    """Accumulator and output of one neuron; inputs without a term have constant `values`."""
    weights = layer.weights[:, n].tolist()
    constant = int(layer.offset[n])
    parts = []
    for weight, term, value in zip(weights, terms, values.tolist(), strict=True):
        if not term:
            constant += weight * value
        elif weight:
            parts.append(f"(* {_int(weight)} {term})")
    a, q, h = (f"{kind}{number}_{n}" for kind in "aqh")
    shifted, steps = (q, _floored(a, q, layer.shift)) if layer.shift else (a, [])
    return [
        f"(declare-const {a} Int)",
        f"(assert (= {a} (+ {' '.join([*parts, _int(constant)])})))",
        f"(assert (and (<= {_int(ends[0])} {a}) (<= {a} {_int(ends[1])})))",
        *steps,
        f"(declare-const {h} Int)",
        f"(assert (= {h} {_clipped(shifted, layer, ends)}))",
    ]


def _floored(a: str, q: str, shift: int) -> list[str]:
    """q = a / 2^shift, rounded down, in inequalities."""
    times = f"(* {1 << shift} {q})"
    return [
        f"(declare-const {q} Int)",
        f"(assert (and (<= {times} {a}) (<= {a} (+ {times} {(1 << shift) - 1}))))",
    ]


def _clipped(shifted: str, layer: FixedLayer, ends: tuple[int, int]) -> str:
    """The shifted accumulator, clipped where it can leave the range."""
    text = shifted
    if ends[1] >> layer.shift > layer.high:
        text = f"(ite (> {shifted} {_int(layer.high)}) {_int(layer.high)} {text})"
    if ends[0] >> layer.shift < layer.low:
        text = f"(ite (< {shifted} {_int(layer.low)}) {_int(layer.low)} {text})"
    return text


def _int(value: int) -> str:
    """An integer literal."""
    return f"(- {-value})" if value < 0 else str(value)
