"""Bugs for deciding."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "a crash takes both networks",
        "relrob/deciding/guard.py",
        "return one_by_one(solver, query, error)",
        "pass",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "a crash is robust",
        "relrob/deciding/guard.py",
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
        "(self._query.networks[n",
        "(self._query.networks[0 * n",
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
        "    query.spots.finish()\n",
        "",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "replay: refuses the radius itself",
        "relrob/regions/ladder.py",
        "if self.cost(mask) > self",
        "if self.cost(mask) >= self",
    ),
    Mutant(
        "replay skipped",
        "relrob/deciding/replay.py",
        "if not wanted.fails(outputs, said)[0]:",
        "if said == -9:",
    ),
    Mutant(
        "region not checked in replay",
        "relrob/regions/ladder.py",
        "> self.region.radius or not self.contains(image):",
        "< 0:",
    ),
    Mutant(
        "probabilities mixed with logits",
        "relrob/deciding/replay.py",
        "if comparable:",
        "if True:",
    ),
    Mutant(
        "undecided is robust",
        "relrob/deciding/replay.py",
        "elif not finding.proved:",
        "elif finding.stopped:",
    ),
    Mutant(
        "ball: undecided is robust",
        "relrob/deciding/replay.py",
        "elif not finding.proved:",
        "elif finding.stopped:",
        (
            "tests/regions/test_ball.py",
            "tests/bounding/test_ball.py",
            "tests/deciding/test_decide_ball.py",
        ),
    ),
    Mutant(
        "ball: images outside are replayed",
        "relrob/regions/ball.py",
        "if not self.contains(image):\n            raise",
        "if image is None:\n            raise",
        ("tests/regions/test_points.py", "tests/deciding/test_decide_ball.py"),
    ),
    Mutant(
        "ball: the clean image is not replayed",
        "relrob/deciding/replay.py",
        "else (points.base,)",
        "else ()",
        (
            "tests/deciding/test_decide_ball.py",
            "tests/queries/test_spots.py",
            "tests/queries/test_alarms.py",
        ),
    ),
    Mutant(
        "ball: what was proved is not run",
        "relrob/deciding/decide.py",
        "    if finding.proved:\n",
        "    if finding.proved and finding.corners:\n",
        (
            "tests/deciding/test_decide_ball.py",
            "tests/queries/test_spots.py",
            "tests/queries/test_alarms.py",
        ),
    ),
    Mutant(
        "the solver asked for takes what it refuses",
        "relrob/deciding/choose.py",
        "    if refusal is not None:\n        raise",
        "    if refusal == solver.name:\n        raise",
        ("tests/deciding/test_choose.py", "tests/deciding/test_decide.py"),
    ),
)
