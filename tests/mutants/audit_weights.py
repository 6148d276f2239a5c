"""Bugs for the comparison of weights."""

from tests.mutants.planting import Mutant

_TESTS = ("tests/audit/test_weights.py", "tests/audit/test_judge.py")
_PARTS = ("tests/audit/test_replaced_parts.py", "tests/audit/test_computed_otherwise.py")
_READERS = ("tests/networks/test_weighted.py", "tests/audit/test_weights.py")

MUTANTS = (
    Mutant(
        "rounding: two steps allowed",
        "relrob/audit/rounding.py",
        "HALF: Final = 0.5",
        "HALF: Final = 2.0",
        _TESTS,
    ),
    Mutant(
        "rounding: clipped weights are errors",
        "relrob/audit/rounding.py",
        "(np.abs(errors) > allowed) & ~free",
        "(np.abs(errors) > allowed)",
        _TESTS,
    ),
    Mutant(
        "scale: interval of the wrong side",
        "relrob/audit/rounding.py",
        "(bad > 0) & (low <= high)",
        "(bad > 0) & (low >= high)",
        _TESTS,
    ),
    Mutant(
        "matching: layers in order, whatever they hold",
        "relrob/audit/matching.py",
        "lost = [row for row in chosen if table[row, row] < UNLIKE]",
        "lost: list[int] = []",
        _TESTS,
    ),
    Mutant(
        "matching: classes never permuted",
        "relrob/audit/matching.py",
        "moved = stands != rows",
        "moved = stands < 0",
        _TESTS,
    ),
    Mutant(
        "bias: any difference is a correction",
        "relrob/audit/faults.py",
        "if one.bias_wide and bool(",
        "if bool(",
        _TESTS,
    ),
    Mutant(
        "activations: a ReLU needs no zero",
        "relrob/audit/activations.py",
        "if each.relu and not each.floor:",
        "if each.relu and each.floor:",
        _TESTS,
    ),
    Mutant(
        "activations: biases do not bind the scale of the input",
        "relrob/audit/activations.py",
        "if abs(factor - 1) < 1e-3 or",
        "if abs(factor - 1) < 1e3 or",
        _TESTS,
    ),
    Mutant(
        "judge: runs speak although weights were read",
        "relrob/audit/judge.py",
        'if each.id in ("another-network", "stale-weights"):',
        'if each.id in ("another-network",):',
        _TESTS,
    ),
    Mutant(
        "judge: effects beside their cause",
        "relrob/audit/judge.py",
        'return each.id == "constant-output"',
        "return False",
        _TESTS,
    ),
    Mutant(
        "reader: halves of a byte the other way round",
        "relrob/networks/litert/weighted.py",
        "np.stack([packed & 15, packed >> 4], axis=1)",
        "np.stack([packed >> 4, packed & 15], axis=1)",
        _READERS,
    ),
    Mutant(
        "reader: a kernel of ONNX as it stands",
        "relrob/networks/onnx/weighted.py",
        "_TURN: Final = (0, 2, 3, 1)",
        "_TURN: Final = (0, 1, 2, 3)",
        _READERS,
    ),
    Mutant(
        "reader: a normalisation without its epsilon",
        "relrob/networks/onnx/before.py",
        'variance + float(attributes(node).get("epsilon", 1e-5))',
        "variance",
        _READERS,
    ),
    Mutant(
        "reader: a normalisation of Keras without its mean",
        "relrob/networks/keras/weighted.py",
        "- mean * factor",
        "- 0 * mean * factor",
        _READERS,
    ),
    Mutant(
        "simulated: any float is on a grid",
        "relrob/networks/simulated.py",
        "_EXACT: Final = 1e-3",
        "_EXACT: Final = 1.0",
        _TESTS,
    ),
    Mutant(
        "faults: layers that are the reference's tell nothing",
        "relrob/audit/faults.py",
        "_KEPT: Final = 2",
        "_KEPT: Final = 99",
        _PARTS,
    ),
    Mutant(
        "faults: a few wrong outputs make another state",
        "relrob/audit/layers.py",
        "_ROWS: Final = 0.25",
        "_ROWS: Final = -1.0",
        _PARTS,
    ),
    Mutant(
        "bias: one that is gone is a correction",
        "relrob/audit/faults.py",
        "if theirs is None or not theirs.any():\n        return True",
        "if theirs is None or not theirs.any():\n        return False",
        _PARTS,
    ),
    Mutant(
        "scale: one that wastes codes fits",
        "relrob/audit/rounding.py",
        "_COARSE: Final = 4.0",
        "_COARSE: Final = 400.0",
        _PARTS,
    ),
    Mutant(
        "judge: right weights compute what they should",
        "relrob/audit/judge.py",
        'not (layers or suggested[0].id == "another-network")',
        "not layers",
        _TESTS + _PARTS,
    ),
    Mutant(
        "activations: a ReLU that is gone is a zero point",
        "relrob/audit/activations.py",
        "return not _unrectified(each)",
        "return True",
        _PARTS,
    ),
    Mutant(
        "reader: codes are read by what made them",
        "relrob/networks/weighted.py",
        "if other is None or made == (other.scale, other.zero):",
        "if other is None or made:",
        _PARTS,
    ),
)
