"""Bugs for solvers."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "phases: half of a split forgotten",
        "solvers/relrob_solvers/branch_ball.py",
        "for side in (1, -1):",
        "for side in (1,):",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "phases: open parts forgotten",
        "solvers/relrob_solvers/branch_ball.py",
        "while self._open and",
        "while len(self._open) > 1 and",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "branch: finished regardless",
        "solvers/relrob_solvers/branch_ladder.py",
        "side.tally.proved == self._q",
        "side.tally.proved > 0 * self._q",
        (
            "tests/solvers/test_soundness.py",
            "tests/judging/test_certainty.py",
            "tests/solvers/test_enumerate_ladder.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/bounding/test_ladder.py",
            "tests/networks/test_enclosure.py",
        ),
    ),
    Mutant(
        "finished whatever was visited",
        "solvers/relrob_solvers/enumerate_ladder.py",
        "tally.visited == rungs.count",
        "tally.visited > 0",
    ),
    Mutant(
        "milp: witnesses proposed unseen",
        "solvers/relrob_solvers/milp_ball.py",
        "None and question.wrong(image)",
        "None",
        (
            "tests/solvers/test_milp_ball.py",
            "tests/solvers/test_milp_ladder.py",
            "tests/solvers/test_smt_ball.py",
        ),
    ),
    Mutant(
        "witness: a search that met none is a proof",
        "solvers/relrob_solvers/witness_ball.py",
        "return Finding(False, (), found.least, found.tried, _NAME, Reason.UNBOUNDED)",
        "return Finding(True, (), found.least, found.tried, _NAME)",
        ("tests/relative/test_ties.py",),
    ),
    Mutant(
        "witness: the batch has the last word",
        "relrob/attacks/score_search.py",
        "if int(labels(self._alone(image[None, :]))[0]) != self._label:",
        "if True:",
        ("tests/solvers/test_witness_ball.py",),
    ),
    Mutant(
        "a shift of integers loses its last remainder",
        "relrob/encoding/smtlib_fixed.py",
        "{(1 << shift) - 1}))))",
        "{(1 << shift) - 2}))))",
        ("tests/encoding/test_smtlib_fixed.py",),
    ),
)
