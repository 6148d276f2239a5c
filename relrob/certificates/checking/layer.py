"""A dense layer in ball arithmetic: how far its runtime strays from real arithmetic.

Source: docs/certificates.md, "How far a runtime strays".
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from flint import arb, arb_mat

from relrob.certificates.checking.arb import ball, matrix
from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.reading.facts import Facts

# More than a subnormal number that counts as 0 can lose.
_LEAST: Final = Fraction(1, 2**125)


class ArbLayer:
    """Balls of one layer, made once a certificate.

    Raises:
        InvalidError: the layer sums more terms than the error analysis of float32 allows, or the
            cap of its outputs is no float32.
    """

    def __init__(self, facts: Facts) -> None:
        if facts.terms >= 1 << 19:
            raise InvalidError("a layer of so many inputs that nothing is proved in float32")
        self.facts = facts
        n, m = facts.weights.shape
        self.weights = arb_mat(n, m, facts.weights.ravel().tolist())
        sizes = np.abs(facts.weights) if facts.sizes is None else facts.sizes
        self.size = arb_mat(n, m, sizes.ravel().tolist())
        self.columns = (arb_mat(1, n, [1] * n) * self.size).entries()
        self.bias = [ball(value) for value in facts.bias]
        none = np.zeros(m)
        self.extra, self.slack = (
            [arb(value) for value in (none if given is None else given).tolist()]
            for given in (facts.extra, facts.slack)
        )
        self.cap = None if facts.cap is None else ball(facts.cap)
        if self.cap is not None and not self.cap.is_exact():
            raise InvalidError("a scale of an int8 layer that is no float32")

    def moved(self, high: list[Any]) -> list[Any]:
        """The most by which quantising moves each input; input i lies in [0, high[i]]."""
        facts = self.facts
        step = ball(facts.share) * max(high, default=arb(0)) + ball(facts.shift)
        input_cap = None if facts.input_cap is None else ball(facts.input_cap)
        beyond = [arb(0) if input_cap is None else (h - input_cap).nonnegative_part() for h in high]
        return [(step + b).upper() if h > 0 else arb(0) for h, b in zip(high, beyond, strict=True)]

    def error(self, high: list[Any], moved: list[Any]) -> list[tuple[Any, Any]]:
        """The most by which the runtime's pre-activation of each output differs from the real one:
        (of the inputs in [0, high] as they are, of the inputs as quantising moved them).

        Raises:
            InvalidError: float32 could overflow.
        """
        facts, n = self.facts, len(high)
        given = [h + m for h, m in zip(high, moved, strict=True)]
        sums = (matrix([moved, given]) * self.size).table()
        u = arb(2) ** -24
        gamma = facts.terms * u / (1 - facts.terms * u)
        total = sum(given, arb(0)) + 2 * n + 2
        # Over the reals nothing is rounded on the way.
        if not facts.terms:
            stored = ball(facts.rounding)
            return [((shift + stored).upper(), stored.upper()) for shift in sums[0]]
        found, least = [], ball(_LEAST * facts.lift)
        limit = ball(facts.most_out)
        largest = max(given, default=arb(0))
        more = zip(self.extra, self.slack, strict=True)
        for shift, size, bias, column, (extra, slack) in zip(
            *sums, self.bias, self.columns, more, strict=True
        ):
            spread = size + abs(bias) + extra
            if not spread < limit or not largest < ball(facts.most_in):
                raise InvalidError("float32 could overflow")
            error = gamma * spread + ball(facts.rounding) + slack + least * (total + column)
            found.append(((shift + error).upper(), error.upper()))
        return found
