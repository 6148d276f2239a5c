"""An encoding as SMT-LIB 2 text (logic QF_LRA). Our own solver reads this text, and any other can.

`z<g>`: feature g is moved; `x<g>`: 1 or 0 for it; `p<n>`, `a<n>`: an unstable neuron before and
after its ReLU. A ball has no z, and any x from 0 to 1, the extent of move g. All numbers are
integers or quotients of integers, so nothing is rounded on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.encoding.encode import Encoding, Neuron, Refutation


def smtlib(
    encoding: Encoding, refutations: Sequence[Refutation] | None = None, check: bool = True
) -> str:
    """The text: satisfiable only if the label may be wrong by one of `refutations` (None: any).

    If it is unsatisfiable, the runtime gives the label on every point of the part. `check`: end
    with (check-sat).
    """
    names = variables(encoding)
    lines = ["(set-logic QF_LRA)"]
    for g in encoding.part.free:
        lines += [f"(declare-const x{g} Real)", f"(assert (and (<= 0.0 x{g}) (<= x{g} 1.0)))"]
        if encoding.part.integral:
            lines += [f"(declare-const z{g} Bool)", f"(assert (= x{g} (ite z{g} 1.0 0.0)))"]
    costs, room = encoding.costs()
    if costs:
        total = _sum(
            [f"(* {cost}.0 x{g})" for cost, g in zip(costs, encoding.part.free, strict=True)]
        )
        lines.append(f"(assert (<= {total} {room}.0))")
    for number, neuron in enumerate(encoding.neurons):
        lines += _neuron(number, neuron, names)
    asked = encoding.refutations if refutations is None else refutations
    lines.append(
        f"(assert (or false {' '.join(_refutation(refutation, names) for refutation in asked)}))"
    )
    return "\n".join([*lines, *(["(check-sat)"] if check else [])]) + "\n"


def variables(encoding: Encoding) -> list[str]:
    """The names of the unknowns, in the order of the coefficients."""
    return [f"x{g}" for g in encoding.part.free] + [
        f"a{number}" for number in range(len(encoding.neurons))
    ]


def _number(value: Fraction | float) -> str:
    """An exact real literal."""
    exact = Fraction(value)
    text = (
        f"{abs(exact.numerator)}.0"
        if exact.denominator == 1
        else f"(/ {abs(exact.numerator)}.0 {exact.denominator}.0)"
    )
    return f"(- {text})" if exact < 0 else text


def _sum(terms: list[str]) -> str:
    """A sum of any number of terms."""
    if len(terms) < 2:
        return terms[0] if terms else "0.0"
    return f"(+ {' '.join(terms)})"


def _scaled(numbers: Doubles) -> Fraction:
    """The power of two that makes all of them whole."""
    return Fraction(max(Fraction(float(value)).denominator for value in numbers))


def _terms(coefficients: Doubles, names: list[str], scale: Fraction) -> list[str]:
    """The terms of scale * coefficients @ unknowns."""
    return [
        f"(* {_number(Fraction(float(coefficients[at])) * scale)} {names[at]})"
        for at in np.flatnonzero(coefficients)
    ]


def _neuron(number: int, neuron: Neuron, names: list[str]) -> list[str]:
    """Declarations and constraints of one unstable neuron."""
    p, a = f"p{number}", f"a{number}"
    scale = _scaled(np.array([*neuron.coefficients, neuron.lower, neuron.upper]))
    row = _sum([f"(* {_number(scale)} {p})", *_terms(-neuron.coefficients, names, scale)])
    low, high = (_number(Fraction(end) * scale) for end in (neuron.lower, neuron.upper))
    slope, offset = neuron.line()
    lines = [f"(declare-const {p} Real)", f"(declare-const {a} Real)"]
    lines += [f"(assert (and (<= {_number(neuron.low)} {p}) (<= {p} {_number(neuron.high)})))"]
    lines += [f"(assert (and (<= 0.0 {a}) (<= {a} {_number(neuron.top)})))"]
    lines += [f"(assert (and (<= {low} {row}) (<= {row} {high})))"]
    lines += [f"(assert (<= (- {a} (* {_number(slope)} {p})) {_number(offset)}))"]
    if not neuron.capped:
        lines += [
            f"(assert (>= (- {a} {p}) 0.0))",
            f"(assert (or (<= {a} 0.0) (<= (- {a} {p}) 0.0)))",
        ]
        return lines
    least, most = _number(neuron.cap_low), _number(neuron.cap_high)
    cases = [
        f"(and (<= {p} 0.0) (<= {a} 0.0))",
        f"(and (= {a} {p}) (<= {p} {most}))",
        f"(and (>= {p} {least}) (>= {a} {least}))",
    ]
    return [*lines, f"(assert (or {' '.join(cases)}))"]


def _refutation(refutation: Refutation, names: list[str]) -> str:
    """The refutation as a formula."""
    scale = _scaled(np.array([*refutation.coefficients, refutation.limit]))
    total = _sum(_terms(refutation.coefficients, names, scale))
    return f"(<= {total} {_number(Fraction(refutation.limit) * scale)})"
