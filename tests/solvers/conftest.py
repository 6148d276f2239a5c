"""What the tests of solvers share."""

from __future__ import annotations

import pytest

from relrob.branching import cubes


@pytest.fixture(params=["searching", "asking"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cheap search for witnesses before the questions, and without it."""
    if request.param == "asking":
        monkeypatch.setattr(cubes, "greedy", lambda tally, rungs: None)
