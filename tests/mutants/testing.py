"""Bugs for testing."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "suite: wrong points of a ball refute nothing",
        "relrob/testing/ball_suite.py",
        "verdict.status is Status.ROBUST and wrong.any()",
        "False",
        ("tests/testing/test_ball_suite_faulty.py",),
    ),
    Mutant(
        "suite: a witness may lie outside",
        "relrob/testing/ball_suite.py",
        "else inside(image, question.points[0], region)):",
        "else True):",
        ("tests/testing/test_ball_suite_faulty.py",),
    ),
)
