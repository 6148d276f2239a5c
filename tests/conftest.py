"""What every test may rely on: a command that ran in this process leaves no logging level behind,
and Ctrl-C as it was; the random generators of modules start afresh for each test."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.cli_case import Case, make_case

# No example has a deadline: others may use the machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# The random generators of test modules, each with its state before the first test.
GENERATORS = pytest.StashKey[list[tuple[np.random.Generator, Mapping[str, Any]]]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("tests.")]
    found = {id(value): value for module in modules for value in vars(module).values()}
    session.config.stash[GENERATORS] = [
        (value, value.bit_generator.state)
        for value in found.values()
        if isinstance(value, np.random.Generator)
    ]


@pytest.fixture(autouse=True)
def _same_draws(request: pytest.FixtureRequest) -> None:
    """What a test draws does not depend on the tests that its process ran before."""
    for generator, state in request.config.stash[GENERATORS]:
        generator.bit_generator.state = state


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
