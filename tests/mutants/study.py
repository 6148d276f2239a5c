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
    Mutant(
        "plan: another order of pixels is the same run",
        "relrob/study/plan.py",
        '{"layout": network.layout.value} if request.layout',
        "{} if request.layout",
        ("tests/study/test_plan.py",),
    ),
    Mutant(
        "options: one that another region uses",
        "relrob/study/options.py",
        'dict(use.why).get(kind, f"region {kind}")',
        '""',
        ("tests/study/test_options.py",),
    ),
    Mutant(
        "options: a preset wins over another radius",
        "relrob/study/options.py",
        "given.get(option) is not None and not _same",
        "given.get(option) is None and not _same",
        ("tests/study/test_options.py",),
    ),
    Mutant(
        "extents: some regions of one point refuse a run",
        "relrob/study/extents.py",
        "if all(each.vacuous",
        "if any(each.vacuous",
        ("tests/regions/test_extent.py",),
    ),
    Mutant(
        "pool: a worker that runs the script again goes on",
        "relrob/study/pool.py",
        "raise SystemExit(1)",
        "return",
        ("tests/cli/test_mistakes.py",),
    ),
)
