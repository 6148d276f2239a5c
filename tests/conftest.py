"""What every test may rely on: a command that ran in this process leaves no logging level behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.cli_case import Case, make_case


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    yield
    logging.getLogger("relrob").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A small data set, a reference and its quantised form, on disk."""
    return make_case(tmp_path_factory.mktemp("case"))
