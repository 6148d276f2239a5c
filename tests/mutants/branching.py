"""Bugs for branching."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "search: half of a split forgotten",
        "relrob/branching/best_first.py",
        "for half in halves:",
        "for half in halves[:1]:",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: what time cut short forgotten",
        "relrob/branching/best_first.py",
        "self._open.put_back(_Open(part, None, start))",
        "pass",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: only the first block run",
        "relrob/branching/best_first.py",
        "while start < count:",
        "if start < count:",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: full frontier forgets",
        "relrob/branching/frontier.py",
        "self._most:\n            self._stack.append(part)",
        "self._most:\n            pass",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: no time is a proof",
        "relrob/branching/best_first.py",
        "                return False",
        "                return True",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: wrong everywhere is right",
        "relrob/branching/best_first.py",
        "if not settled.wrong:",
        "if settled.label >= 0:",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "search: beam beyond the radius",
        "relrob/branching/best_first.py",
        "cost_units(masks) <= part.rungs.budget",
        "cost_units(masks) >= 0",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "milp: a leaf that stays open is closed",
        "relrob/branching/highs.py",
        ("                return False\n            first"),
        ("                continue\n            first"),
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: HiGHS's bound believed",
        "relrob/branching/highs.py",
        "if known and rows.safe_bound",
        "if known and 1e9 + rows.safe_bound",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: infeasible is believed",
        "relrob/branching/highs.py",
        "if there and any(",
        "if True or any(",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: one side of a phase",
        "relrob/branching/highs.py",
        "side in (first, not first)",
        "side in (not first,)",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: no number twice",
        "relrob/branching/highs.py",
        "in (first, not first)",
        "in (first, bool(values[column] >= 0.5))",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: the first threat alone",
        "relrob/branching/threats.py",
        "for refutation in encoding.refutations:",
        "for refutation in encoding.refutations[:1]:",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "milp: late is proved",
        "relrob/branching/threats.py",
        "Answer(False, reason=Reason.TIME) if deadline",
        "Answer(True) if deadline",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "z3: its own limit is trusted",
        "relrob/branching/z3_text.py",
        "solver.interrupt()",
        "pass",
        ("tests/branching/test_z3_text.py",),
    ),
)
