"""A conformance suite for solvers, ours and others': random cases, their truth, and complaints.

The command:

    python -m relrob.testing --cases 1000 --seed 0

A solver of your own, against the same cases:

    from relrob.testing import complaints, random_case, truth
    case = random_case(seed=0, number=17)
    assert not list(complaints(MySolver(), case, truth(case.problem)))

One of balls and lattices:

    from relrob.testing import ball_complaints, random_ball_case
    case = random_ball_case(seed=0, number=17, folder=Path("."))
    assert not list(ball_complaints(MySolver(), case))
"""

from __future__ import annotations

from relrob.testing.ball_suite import ball_bound_complaints, ball_complaints, ball_order_complaints
from relrob.testing.balls import BallCase, random_ball_case
from relrob.testing.cases import Case, random_case
from relrob.testing.files import quantised_files
from relrob.testing.suite import (
    LARGEST,
    Truth,
    bound_complaints,
    complaints,
    order_complaints,
    truth,
)

__all__ = [
    "LARGEST",
    "BallCase",
    "Case",
    "Truth",
    "ball_bound_complaints",
    "ball_complaints",
    "ball_order_complaints",
    "bound_complaints",
    "complaints",
    "order_complaints",
    "quantised_files",
    "random_ball_case",
    "random_case",
    "truth",
]
