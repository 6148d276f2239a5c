"""A conformance suite for solvers, ours and others': random cases, the truth about them, and what
is wrong with an answer.

    python -m relrob.testing --cases 1000 --seed 0

A solver of your own, against the same cases:

    from relrob.testing import complaints, random_case, truth
    case = random_case(seed=0, number=17)
    assert not list(complaints(MySolver(), case, truth(case.problem)))
"""

from __future__ import annotations

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
    "Case",
    "Truth",
    "bound_complaints",
    "complaints",
    "order_complaints",
    "quantised_files",
    "random_case",
    "truth",
]
