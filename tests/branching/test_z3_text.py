"""z3 keeps to its limit, also where its own time limit is missed."""

from __future__ import annotations

import time

import pytest

from relrob.branching.z3_text import Z3, Said

# A pigeonhole problem: minutes of search.
HOLES = 11
HARD = "\n".join(
    [f"(declare-const p{i}_{h} Bool)" for i in range(HOLES + 1) for h in range(HOLES)]
    + [f"(assert (or {' '.join(f'p{i}_{h}' for h in range(HOLES))}))" for i in range(HOLES + 1)]
    + [
        f"(assert (not (and p{i}_{h} p{j}_{h})))"
        for h in range(HOLES)
        for i in range(HOLES + 1)
        for j in range(i)
    ]
)


@pytest.mark.parametrize("missed", [False, True])
@pytest.mark.parametrize("logic", [None, "QF_LRA", "QF_LIA"])
def test_an_answer_ends_within_its_limit(
    logic: str | None, missed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = Z3(logic, HARD)
    if missed:
        own = solver._solver.set
        monkeypatch.setattr(
            solver._solver,
            "set",
            lambda name, value: None if name == "timeout" else own(name, value),
        )
    begin = time.process_time()
    assert solver.ask(0.5) is Said.NOTHING
    assert time.process_time() - begin < 5


def test_no_time_is_no_question() -> None:
    begin = time.process_time()
    assert Z3("QF_LRA", HARD).ask(0.0) is Said.NOTHING
    assert time.process_time() - begin < 5


def test_the_next_answer_is_not_interrupted() -> None:
    solver = Z3("QF_LRA", HARD)
    assert solver.ask(0.1) is Said.NOTHING
    easy = Z3("QF_LRA", "(declare-const x Real)(assert (> x 1.0))")
    assert easy.ask(5) is Said.MODEL
    assert easy.reals(["x"])[0] > 1
