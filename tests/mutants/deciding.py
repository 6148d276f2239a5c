"""Bugs for deciding."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "a crash takes both networks",
        "relrob/deciding/auto.py",
        "return _each(solver, problem, error)",
        "pass",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "a crash is robust",
        "relrob/deciding/auto.py",
        "proved=False,",
        "proved=True,",
    ),
    Mutant(
        "chain: what was told is proved",
        "relrob/deciding/auto.py",
        "if found.stopped is None:",
        "if True:",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "chain: the wrong network asked",
        "relrob/deciding/auto.py",
        "(self._problem.networks[n",
        "(self._problem.networks[0 * n",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "chain: another's steps",
        "relrob/deciding/auto.py",
        "step=found.step or name",
        'step=found.step or "branch"',
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "spots: nothing at the end",
        "relrob/deciding/decide.py",
        "    problem.spots.finish()\n",
        "",
        ("tests/queries/test_spots.py",),
    ),
    Mutant(
        "replay: refuses the radius itself",
        "relrob/deciding/decide.py",
        "rungs.cost(mask) > rungs",
        "rungs.cost(mask) >= rungs",
    ),
    Mutant(
        "replay skipped",
        "relrob/deciding/decide.py",
        "if said == label:",
        "if said == label < 0:",
    ),
    Mutant(
        "region not checked in replay",
        "relrob/deciding/decide.py",
        "> rungs.ladder.radius or not rungs.contains(image[0]):",
        "< 0:",
    ),
    Mutant(
        "probabilities mixed with logits",
        "relrob/deciding/decide.py",
        "if comparable:",
        "if True:",
    ),
    Mutant(
        "undecided is robust",
        "relrob/deciding/pronounce.py",
        "elif not finding.proved:",
        "elif finding.stopped:",
    ),
    Mutant(
        "ball: undecided is robust",
        "relrob/deciding/pronounce.py",
        "elif not finding.proved:",
        "elif finding.stopped:",
        (
            "tests/regions/test_ball.py",
            "tests/bounding/test_ball.py",
            "tests/deciding/test_decide_ball.py",
        ),
    ),
)
