"""Bugs for certificates."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "checker: one side of each split",
        "relrob/certificates/checking/ball.py",
        "for side in (1, -1)]",
        "for side in (group[0][0][2],)]",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "checker: sampled is valid",
        "relrob/certificates/checking/check.py",
        '"sampled" if counts.sampled_parts else "valid"',
        '"valid"',
        ("tests/cli/test_check.py", "tests/certificates/test_check.py"),
    ),
    Mutant(
        "checker: margins below 0 of runs",
        "relrob/certificates/checking/check.py",
        "if claimed < 0 or",
        "if claimed < -9 or",
        ("tests/certificates/test_fields.py",),
    ),
    Mutant(
        "checker: pulled the wrong way",
        "relrob/certificates/checking/derive.py",
        "arb(side * size)",
        "arb(-side * size)",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "checker: any part is empty",
        "relrob/certificates/checking/derive.py",
        "if ends[neuron][0] > ends[neuron][1]:",
        "if True:",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "checker: the wrong side of 0",
        "relrob/certificates/checking/derive.py",
        "if side > 0 else (low, min",
        "if side < 0 else (low, min",
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "checker: moved inputs forgotten",
        "relrob/certificates/checking/derive.py",
        "added += matrix(",
        "added += 0 * matrix(",
        (
            "tests/encoding/test_encode.py",
            "tests/certificates/test_bounds.py",
            "tests/bounding/test_ladder.py",
            "tests/bounding/test_lost.py",
        ),
    ),
    Mutant(
        "checker: moved inputs forgotten at the end",
        "relrob/certificates/checking/derive.py",
        "doubt = (matrix(",
        "doubt = (0 * matrix(",
        (
            "tests/encoding/test_encode.py",
            "tests/certificates/test_bounds.py",
            "tests/bounding/test_ladder.py",
            "tests/bounding/test_lost.py",
        ),
    ),
    Mutant(
        "checker: pulls below 0",
        "relrob/certificates/checking/entries.py",
        '"a pull") >= 0',
        '"a pull") >= -9',
        ("tests/solvers/test_branch_ball.py", "tests/solvers/test_milp_ball.py"),
    ),
    Mutant(
        "checker: a bound of 0 is enough",
        "relrob/certificates/checking/fixed.py",
        "weights, pulls) < 0",
        "weights, pulls) <= 0",
        ("tests/solvers/test_branch_fixed.py", "tests/certificates/test_fixed.py"),
    ),
    Mutant(
        "checker: negative multipliers",
        "relrob/certificates/checking/fixed.py",
        "min(weights) >= 0 and",
        "True and",
        ("tests/solvers/test_branch_fixed.py", "tests/certificates/test_fixed.py"),
    ),
    Mutant(
        "checker: near a half is sure",
        "relrob/certificates/checking/levels.py",
        "- level) > _HALF:",
        "- level) > 1:",
        ("tests/bounding/test_levels.py",),
    ),
    Mutant(
        "checker: any maximum",
        "relrob/certificates/checking/levels.py",
        "or sum(lowered) > region.room",
        "or True",
        ("tests/bounding/test_levels.py",),
    ),
    Mutant(
        "checker: features moved in part",
        "relrob/certificates/checking/levels.py",
        "if not region.whole or not",
        "if not",
        ("tests/bounding/test_levels.py",),
    ),
    Mutant(
        "checker: Keras layers by class alone",
        "relrob/certificates/checking/reading/keras.py",
        "if layer.number else",
        "if False else",
        ("tests/certificates/test_reading_keras.py",),
    ),
    Mutant(
        "checker: Keras's list, not its wires",
        "relrob/certificates/checking/reading/keras_config.py",
        "name in reversed(order)]",
        "name in named]",
        ("tests/certificates/test_reading_keras.py",),
    ),
    Mutant(
        "checker: constants between layers cost nothing",
        "relrob/certificates/checking/reading/linear.py",
        "np.maximum(found.size - np.abs(found.bias), 0.0)",
        "0 * found.size",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: two layers as their product",
        "relrob/certificates/checking/reading/linear.py",
        "sizes=found.sizes,",
        "sizes=None,",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: roundings of the last layer alone",
        "relrob/certificates/checking/reading/linear.py",
        "_LOOSE, before.terms",
        "_LOOSE, 0",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: a layer before may overflow",
        "relrob/certificates/checking/reading/linear.py",
        (
            "    return min(\n"
            "        before.most_in, before.most_out / 2 / max(float(before.sizes.sum(axi"
            "s=0).max()), 1.0)\n"
            "    )"
        ),
        (
            "    return max(2.0**120, before.most_out / 2 / max(float(before.sizes.sum(ax"
            "is=0).max()), 1.0))"
        ),
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: a constant that comes and goes",
        "relrob/certificates/checking/reading/linear.py",
        "self.size + np.abs(more)",
        "np.abs(self.offset)",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: a second QUANTIZE",
        "relrob/certificates/checking/reading/litert.py",
        "if not (before or after) or",
        "if before and",
        (
            "tests/certificates/test_reading_litert.py",
            "tests/certificates/test_reading_litert_rows.py",
            "tests/certificates/test_reading_litert_ends.py",
        ),
    ),
    Mutant(
        "checker: a RESHAPE to any grid",
        "relrob/certificates/checking/reading/litert.py",
        "self._graph.tensors[place].integers() != self._grid:",
        "False:",
        (
            "tests/certificates/test_reading_litert.py",
            "tests/certificates/test_reading_litert_rows.py",
            "tests/certificates/test_reading_litert_ends.py",
        ),
    ),
    Mutant(
        "checker: accumulators of any size",
        "relrob/certificates/checking/reading/litert_dense.py",
        "largest.max() >= 2**31",
        "largest.max() < 0",
        ("tests/certificates/test_reading_litert_sums.py",),
    ),
    Mutant(
        "checker: any node is delegated",
        "relrob/certificates/checking/reading/litert_dense.py",
        "plain and operator.version in _DELEGATED and (bias is None or bias.ndim == 1)",
        "True",
        (
            "tests/certificates/test_reading_litert.py",
            "tests/certificates/test_reading_litert_rows.py",
            "tests/certificates/test_reading_litert_ends.py",
        ),
    ),
    Mutant(
        "checker: a clip with any end",
        "relrob/certificates/checking/reading/onnx.py",
        "or ends[1] < _LARGEST",
        "",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "checker: dropout that is told to train",
        "relrob/certificates/checking/reading/onnx.py",
        'self._constant(name, "b").any()',
        "False",
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "real: checked with float32's error",
        "relrob/certificates/checking/reading/steps.py",
        "0 if self._real else len(weights)",
        "len(weights)",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "checker: softmax overlooked",
        "relrob/certificates/checking/reading/steps.py",
        'self._end = "float softmax"',
        'self._end = ""',
        (
            "tests/certificates/test_reading_onnx.py",
            "tests/certificates/test_reading_onnx_refused.py",
        ),
    ),
    Mutant(
        "certificates of balls without rules",
        "relrob/certificates/writing/ball.py",
        "if not has_rules(network, bounds=isinstance(proof, PhaseProof)):",
        "if False:",
        ("tests/certificates/test_rules.py",),
    ),
    Mutant(
        "certificates without rules",
        "relrob/certificates/writing/ladder.py",
        "if not has_rules(opened.network, any(leaf.bound for leaf in leaves)):",
        "if False:",
        ("tests/certificates/test_rules.py",),
    ),
    Mutant(
        "certificates of several files",
        "relrob/certificates/writing/ladder.py",
        "if sha256_bytes(checked_bytes(network)) != network.sha256:",
        "if False:",
        ("tests/certificates/test_rules.py",),
    ),
    Mutant(
        "checker: the format that the certificate names",
        "relrob/certificates/checking/named.py",
        "    check_container(str(file), data, described.format)\n",
        "",
        ("tests/certificates/test_container.py",),
    ),
    Mutant(
        "checker: arrays of two names",
        "relrob/certificates/checking/reading/fixed.py",
        "not plain\n                or len",
        "len",
        ("tests/certificates/test_container.py",),
    ),
    Mutant(
        "checker: any weight on the built-in kernel",
        "relrob/certificates/checking/reading/litert_dense.py",
        "if (stored == -128).any() and not taken:",
        "if (stored == -129).any() and not taken:",
        ("tests/networks/litert/test_far_rows.py",),
    ),
    Mutant(
        "checker: a sum times a row's scale is always finite",
        "relrob/certificates/checking/reading/linear.py",
        "_MOST_ROW: Final = Fraction(2**92)",
        "_MOST_ROW: Final = Fraction(2**127)",
        ("tests/networks/litert/test_far_rows.py",),
    ),
    Mutant(
        "checker: a row without an inverse loses nothing",
        "relrob/certificates/checking/reading/linear.py",
        "_ROWS: Final = 2**16",
        "_ROWS: Final = 1",
        ("tests/networks/litert/test_far_rows.py",),
    ),
)
