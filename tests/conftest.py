"""What every test may rely on: a command that ran in this process leaves no logging level behind,
and Ctrl-C as it was."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.cli_case import Case, make_case

# No example has a deadline: others may use the machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    yield
    logging.getLogger("relrob").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """The program ignores Ctrl-C once it has its answer; so would every process that a later test
    starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A small data set, a reference and its quantised form, on disk."""
    return make_case(tmp_path_factory.mktemp("case"))
