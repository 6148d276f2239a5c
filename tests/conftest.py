"""What every test may rely on: a command that ran in this process leaves no logging level behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    yield
    logging.getLogger("relrob").setLevel(logging.NOTSET)
