"""Bugs for domain."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "arrays can be written to",
        "relrob/domain/arrays.py",
        "copy.flags.writeable = False",
        "pass",
        ("tests/domain/test_domain.py",),
    ),
    Mutant(
        "views of writable arrays",
        "relrob/domain/arrays.py",
        "holder = holder.base",
        "holder = None",
        ("tests/domain/test_domain.py",),
    ),
    Mutant(
        "modelled: extra roundings dropped",
        "relrob/domain/network.py",
        "+ 2 + self.extra",
        "+ 2",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "gamma of one term",
        "relrob/domain/rounding.py",
        "gamma(terms) * magnitude",
        "gamma(1) * magnitude",
    ),
    Mutant(
        "overflow overlooked",
        "relrob/domain/rounding.py",
        "magnitude < _HUGE,",
        "magnitude < np.inf,",
    ),
    Mutant(
        "flushed subnormals overlooked",
        "relrob/domain/rounding.py",
        "_FLUSH: Final = 2.0**-125",
        "_FLUSH: Final = 0.0",
    ),
    Mutant(
        "modelled: slack not folded",
        "relrob/domain/rounding.py",
        "error + layer.slack",
        "error",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "branch: overflow overlooked",
        "relrob/domain/rounding.py",
        "magnitude < _HUGE,",
        "magnitude < np.inf,",
        (
            "tests/solvers/test_soundness.py",
            "tests/judging/test_certainty.py",
            "tests/solvers/test_enumerate_ladder.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/bounding/test_ladder.py",
            "tests/networks/test_enclosure.py",
        ),
    ),
    Mutant(
        "witness for any verdict",
        "relrob/domain/verdict.py",
        "(self.status is Status.NOT_ROBUST) !=",
        "None is",
        ("tests/domain/test_domain.py",),
    ),
)
