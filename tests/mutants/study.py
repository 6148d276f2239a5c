"""Bugs for study."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "pool: workers hear Ctrl-C",
        "relrob/study/pool.py",
        "signal.SIG_BLOCK, {signal.SIGINT}",
        "signal.SIG_BLOCK, set()",
        ("tests/study/test_pool.py",),
    ),
    Mutant(
        "pool: Ctrl-C while a worker is started",
        "relrob/study/pool.py",
        "held.append(number)",
        "handler(number, frame)",
        ("tests/study/test_pool.py",),
    ),
)
