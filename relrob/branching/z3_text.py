"""z3 on the SMT-LIB text of a question: the one module that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from threading import Event, Thread
from typing import Any, Final, final

import z3

from relrob.system.quiet import checked

_SEED: Final = 0
# Seconds beyond its own limit after which z3 is interrupted, and between two interrupts.
_GRACE: Final = 0.25


class Said(Enum):
    """z3's answer."""

    MODEL = "sat"
    NONE = "unsat"
    NOTHING = "unknown"


@contextmanager
def _interrupted(solver: z3.Solver, seconds: float) -> Iterator[None]:
    """Interrupt z3 again and again after so many seconds: its own limit strikes once, and was seen
    to be missed."""
    ended = Event()

    def remind() -> None:
        left = seconds
        while not ended.wait(left):
            solver.interrupt()
            left = _GRACE

    thread = Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@final
class Z3:
    """z3 with a text loaded. `logic`: QF_LRA or QF_LIA, or None for its general solver; `effort`:
    z3's own measure of the cost of one answer, None for any."""

    def __init__(self, logic: str | None, text: str, effort: int | None = None) -> None:
        self._solver = z3.Solver() if logic is None else z3.SolverFor(logic)
        self._solver.set("random_seed", _SEED)
        if effort is not None:
            self._solver.set("rlimit", effort)
        self._solver.from_string(text)

    def ask(self, seconds: float) -> Said:
        """Is there a model? NOTHING at a limit, or without time left."""
        if seconds <= 0:
            return Said.NOTHING
        self._solver.set("timeout", max(1, int(min(seconds, 1e6) * 1000)))
        with _interrupted(self._solver, min(seconds, 1e6) + _GRACE):
            return Said(str(checked(self._solver)))

    def model_holds(self) -> bool:
        """Is every assertion true in the model? z3's tactics for QF_LIA were seen to give models
        back that their own assertions with `div` refute (z3 5.4.0)."""
        model = self._solver.model()
        return all(
            z3.is_true(model.eval(each, model_completion=True))
            for each in self._solver.assertions()
        )

    def truths(self, names: Iterable[str]) -> list[bool]:
        """What the model says of Booleans."""
        model = self._solver.model()
        return [
            bool(z3.is_true(model.eval(z3.Bool(name), model_completion=True))) for name in names
        ]

    def reals(self, names: Iterable[str]) -> list[float]:
        """What the model says of reals, numerator over denominator as floats."""
        model: Any = self._solver.model()
        values = [model.eval(z3.Real(name), model_completion=True) for name in names]
        return [float(v.numerator_as_long()) / float(v.denominator_as_long()) for v in values]

    def integers(self, names: Iterable[str]) -> list[int]:
        """What the model says of integers."""
        model: Any = self._solver.model()
        return [int(model.eval(z3.Int(name), model_completion=True).as_long()) for name in names]

    def exclude(self, names: Sequence[str], values: Sequence[bool]) -> None:
        """No model may give these Booleans these values."""
        named = [z3.Bool(name) for name in names]
        self._solver.add(
            z3.Or([z3.Not(z) if value else z for z, value in zip(named, values, strict=True)])
        )
