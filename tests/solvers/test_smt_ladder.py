"""The SMT solver against enumeration, the naive referee and cvc5."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import z3

from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import decide
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status
from relrob.encoding.encode import encode
from relrob.encoding.question import ladder_question
from relrob.encoding.smtlib import smtlib
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.part import whole
from relrob.system.quiet import checked
from relrob_solvers.smt_ladder import Smt
from tests.instances import (
    SHAPE,
    agreed,
    check_all,
    file_problems,
    hostile_problem,
    levels,
    naively_robust,
    random_problem,
    rungs_of,
)
from tests.support import numpy_opened, random_dense

MANY = 10**6


def cvc5_says(text: str) -> str:
    """cvc5's answer to a script."""
    cvc5 = pytest.importorskip("cvc5")
    solver = cvc5.Solver()
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "query")
    said = ""
    while not (command := parser.nextCommand()).isNull():
        said += str(command.invoke(solver, parser.getSymbolManager()))
    return said.strip()


@pytest.mark.usefixtures("search")
def test_the_same_verdicts_as_enumeration_on_float_networks() -> None:
    check_all(map(random_problem, range(80)), lambda seed: Smt(unstable=[0, 6, MANY][seed % 3]), 20)


@pytest.mark.usefixtures("search")
def test_the_same_verdicts_on_hostile_networks() -> None:
    check_all(map(hostile_problem, range(120)), lambda _: Smt(unstable=MANY), 10)


@pytest.mark.parametrize(
    ("scheme", "runtime"), [("dynamic", "xnnpack"), ("int8", "builtin"), ("int8", "xnnpack")]
)
@pytest.mark.usefixtures("search")
def test_the_same_verdicts_on_quantised_files(tmp_path: Path, scheme: str, runtime: str) -> None:
    check_all(file_problems(tmp_path, scheme, runtime, 12), lambda _: Smt(unstable=MANY), 0)


def test_the_same_verdicts_as_the_naive_referee() -> None:
    for seed in range(8):
        dense = random_dense(seed, (36, 12, 10, 3))
        rungs = rungs_of(seed, ("3", "1/2"))
        networks = (numpy_opened(dense, SHAPE),)
        label = int(networks[0].evaluator.outputs(rungs.base[None, :]).argmax())
        problem = Query(rungs, Label(label), networks, Budget(600), True)
        robust = naively_robust(
            problem, levels(seed), Ladder(Fraction(3), Fraction(1, 2), 7, 4), dense
        )
        decision = decide(problem, Smt(unstable=MANY))
        assert decision.verdicts[0].status is (Status.ROBUST if robust else Status.NOT_ROBUST)
        assert decision.each[0].effective == (0 if robust else None)
        assert decision.transfer is None


def test_cvc5_confirms_the_text_and_the_text_is_exact_enough() -> None:
    """Unsatisfiable only where the label holds everywhere; satisfiable where it does not; often
    unsatisfiable where it does."""
    answers: Counter[tuple[str, Status]] = Counter()
    for seed in range(60):
        problem = random_problem(seed)
        for opened in problem.networks:
            alone = Query(problem.points, Label(problem.label), (opened,), problem.budget, False)
            answers[
                cvc5_says(ladder_question(opened, problem.points, problem.label)),
                agreed(alone, Smt(unstable=MANY))[0],
            ] += 1
    assert answers["unsat", Status.NOT_ROBUST] == 0
    assert answers["unsat", Status.ROBUST] >= 30
    assert answers["sat", Status.NOT_ROBUST] >= 30
    assert answers["sat", Status.ROBUST] <= 3
    assert sum(answers.values()) == 120


def test_the_text_of_a_threat_and_of_a_proved_part() -> None:
    threats = set()
    for seed in range(20):
        problem = random_problem(seed)
        enclosure = enclosure_of(problem.networks[0].network)
        assert enclosure is not None
        bounds = LadderBounds(enclosure, problem.points, problem.label)
        encoding = encode(bounds, survey(bounds, whole(problem.points)))
        threats.add(len(encoding.refutations))
        text = ladder_question(problem.networks[0], problem.points, problem.label)
        assert text == smtlib(encoding)
        each = {cvc5_says(smtlib(encoding, [refutation])) for refutation in encoding.refutations}
        assert cvc5_says(text) == ("sat" if "sat" in each else "unsat")
        assert smtlib(encoding, check=False) + "(check-sat)\n" == text
    assert {0, 1, 2} <= threats


def test_a_point_that_the_runtime_gives_the_label_is_no_witness() -> None:
    """Twins tie on every point, the first wins: z3 has a model for each point, and each is
    refuted."""
    dense = random_dense(0, (36, 5, 2))
    last = dense.layers[-1]
    twins = Layer(np.repeat(last.weights[:, :1], 2, axis=1), np.repeat(last.bias[:1], 2), False)
    networks = (numpy_opened(Dense((dense.layers[0], twins)), SHAPE),)
    rungs = rungs_of(0, ("3", "1/2"), 5)
    for label, status in ((0, Status.ROBUST), (1, Status.NOT_ROBUST)):
        decision = decide(
            Query(rungs, Label(label), networks, Budget(600), False), Smt(unstable=MANY)
        )
        assert decision.verdicts[0].status is status
    assert agreed(Query(rungs, Label(0), networks, Budget(600), False), Smt(unstable=MANY)) == [
        Status.ROBUST
    ]


def test_time_limits_and_refusals() -> None:
    problem = random_problem(2)
    late = Query(problem.points, Label(problem.label), problem.networks, Budget(1e-9), True)
    for verdict in decide(late, Smt()).verdicts:
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.TIME)
    dense = random_dense(3, (36, 60, 60, 60, 5))
    rungs = rungs_of(3, ("8", "1/2"), 9)
    hard = numpy_opened(dense, SHAPE)
    label = int(hard.evaluator.outputs(rungs.base[None, :]).argmax())
    begin = time.process_time()  # not the clock: others may use the machine
    verdict = decide(
        Query(rungs, Label(label), (hard,), Budget(0.5), False), Smt(MANY, 2**31)
    ).verdicts[0]
    assert time.process_time() - begin < 5
    assert verdict.status in (Status.UNKNOWN, Status.NOT_ROBUST)
    box = numpy_opened(dense, SHAPE, black_box=True)
    with pytest.raises(UsageError, match="no bounds for test; float MLPs"):
        decide(Query(rungs, Label(label), (hard, box), Budget(1), False), solver_named("smt"))
    with pytest.raises(UsageError, match="has no bounds"):
        ladder_question(box, rungs, label)


def test_ctrl_c_while_z3_searches_is_no_answer() -> None:
    """z3 catches it and says "unknown": an image would be called undecided, and the run would go
    on."""
    solver, rng = z3.SolverFor("QF_LIA"), np.random.default_rng(1)
    picks = [z3.Int(f"x{number}") for number in range(40)]
    solver.add(*(z3.And(pick >= 0, pick <= 1) for pick in picks))
    for sizes in rng.integers(
        1, 1000, (30, 40)
    ).tolist():  # subset sums: no machine ends this within a test
        solver.add(z3.Sum([size * pick for size, pick in zip(sizes, picks, strict=True)]) == 7001)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(
        0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
    )
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            checked(solver)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
