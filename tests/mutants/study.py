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
    Mutant(
        "queue: a stage that lacks a file is never made again",
        "relrob/study/pipeline/queue.py",
        "not self._whole(found) and self._is_read(number)",
        "not self._whole(found) and False",
        ("tests/study/pipeline/test_queue.py",),
    ),
    Mutant(
        "claims: seeds share their images, and their noise is not counted",
        "relrob/report/study/effects.py",
        "return means + noise * rng.standard_normal(_DRAWS)",
        "return means",
        ("tests/report/test_effects.py",),
    ),
    Mutant(
        "claims: images of two data sets are the same images",
        "relrob/report/study/sampled.py",
        "known = [(k, f.pulls[name]) for k, f in enumerate(figures) if name in f.pulls]",
        "known = [(k, p) for k, f in enumerate(figures) for p in f.pulls.values()]",
        ("tests/report/test_sampled.py",),
    ),
    Mutant(
        "claims: pairs are permuted, and not networks",
        "relrob/report/study/correlations.py",
        "ranks[np.ix_(order, order)][there]",
        "ranks[order][there]",
        ("tests/report/test_correlations.py",),
    ),
    Mutant(
        "claims: a compressed network needs no training",
        "relrob/report/study/judging.py",
        "KEPT * (dense - _CHANCE)",
        "0 * (dense - _CHANCE)",
        ("tests/report/test_judging.py",),
    ),
)
