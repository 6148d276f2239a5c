"""Bugs for networks."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "onnx: weights run for the file",
        "relrob/networks/content.py",
        ' and network.format != "onnx"',
        "",
        ("tests/networks/test_inputs.py",),
    ),
    Mutant(
        "folded weights run for the file",
        "relrob/networks/content.py",
        " and network.dense.plain and not network.folded",
        "",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "real: proved by float32's bounds",
        "relrob/networks/enclose.py",
        "is Arithmetic.REAL:",
        "is None:",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "modelled: slack not enclosed",
        "relrob/networks/enclosure.py",
        "slack=layer.slack",
        "slack=None",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "branch: softmax ties overlooked",
        "relrob/networks/enclosure.py",
        "return 2.0**-10",
        "return 0.0",
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
        "ball: too wide",
        "relrob/networks/enclosure.py",
        "len(self.weights) > WIDEST",
        "len(self.weights) < 0",
        ("tests/bounding/test_extremes.py",),
    ),
    Mutant(
        "float32: proved by the reals' bounds",
        "relrob/networks/enclosure.py",
        "_layers(dense, rounds=True)",
        "_layers(dense, rounds=False)",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "levels: near a half is sure",
        "relrob/networks/enclosure.py",
        "_HALF: Final = 2.0**-11",
        "_HALF: Final = 0.0",
        ("tests/bounding/test_levels.py",),
    ),
    Mutant(
        "levels: cut too late",
        "relrob/networks/enclosure.py",
        "level = np.minimum(level * step, self.input_cap)",
        "level = level * step",
        ("tests/bounding/test_levels.py",),
    ),
    Mutant(
        "ties go to the last maximum",
        "relrob/networks/evaluator.py",
        "outputs.argmax(axis=1))",
        "outputs.shape[1] - 1 - outputs[:, ::-1].argmax(axis=1))",
    ),
    Mutant(
        "NaN is class 0",
        "relrob/networks/evaluator.py",
        "np.where(np.isnan(outputs).any(axis=1), -1,",
        "np.where(False, -1,",
    ),
    Mutant(
        "real: folded weights taken for the file's",
        "relrob/networks/load.py",
        "if not dense or folded or",
        "if not dense or",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "modelled: slack dropped",
        "relrob/networks/operators.py",
        "np.maximum(self.steps.size - np.abs(bias), 0.0) + _LOST",
        "_LOST",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: steps round nothing",
        "relrob/networks/operators.py",
        "extra = self.extra + self.steps.roundings",
        "extra = 0 * self.extra",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: roundings before a layer",
        "relrob/networks/operators.py",
        "weights, value.roundings",
        "weights, 0",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: two layers as their product",
        "relrob/networks/operators.py",
        "size=steps.size + excess",
        "size=steps.size",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: underflow dropped",
        "relrob/networks/operators.py",
        (
            "        slack = (\n"
            "            gamma(terms) * (np.maximum(self.steps.size - np.abs(bias), 0.0) "
            "+ _LOST)\n"
            "            + self.steps.lost\n"
            "        )"
        ),
        (
            "        slack = gamma(terms) * (np.maximum(self.steps.size - np.abs(bias), 0"
            ".0) + _LOST)"
        ),
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: constants with their signs",
        "relrob/networks/operators.py",
        "self.size * np.abs(scale) + size,",
        "size,",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: any constant",
        "relrob/networks/operators.py",
        "bool((np.abs(part) <= _LARGE).all())",
        "True",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "modelled: a second bias is one",
        "relrob/networks/operators.py",
        (
            "        plain = (\n"
            "            not last.modelled\n"
            "            and not last.steps.shift.any()\n"
            "            and np.array_equal(offset, offset.astype(np.float32))\n"
            "        )"
        ),
        "        plain = True and np.array_equal(offset, offset.astype(np.float32))",
        ("tests/networks/onnx/test_modelled.py",),
    ),
    Mutant(
        "probes: the model unread",
        "relrob/networks/probes.py",
        "outside = np.flatnonzero(~shape.holds(alone))",
        "outside = np.zeros(0)",
        ("tests/networks/test_probes.py",),
    ),
    Mutant(
        "probes: the emulator unread",
        "relrob/networks/probes.py",
        "if _same(found.outputs(shown), expected).all():",
        "if True:",
        ("tests/networks/test_probes.py",),
    ),
    Mutant(
        "probes: random is fine",
        "relrob/networks/probes.py",
        "outputs[some]).all():",
        "outputs[some]).any():",
        ("tests/networks/test_probes.py",),
    ),
    Mutant(
        "probes: batches unread",
        "relrob/networks/probes.py",
        "shown, alone, step\n",
        "shown, alone, step + 1e9\n",
        ("tests/networks/test_probes.py",),
    ),
    Mutant(
        "real: float64 believed",
        "relrob/networks/real.py",
        "return first if bool((lead > ",
        "return first if True or bool((lead > ",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "real: the bound of one layer",
        "relrob/networks/real.py",
        "terms * reach) * _LOOSE + _TINY * len(layer.weights)",
        "terms * 0)",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "real: rounding makes ties",
        "relrob/networks/real.py",
        "np.minimum(rounded, below)",
        "rounded",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "real: exact ties broken",
        "relrob/networks/real.py",
        "index(largest), values == largest)",
        "index(largest), False)",
        ("tests/networks/test_real.py", "tests/networks/test_inputs.py"),
    ),
    Mutant(
        "batches: any outputs agree",
        "relrob/networks/batches.py",
        "rtol=0, atol=most,",
        "rtol=0, atol=most + 1e9,",
        ("tests/networks/test_probes.py",),
    ),
    Mutant(
        "batches: refusing them is agreeing",
        "relrob/networks/batches.py",
        'return f"does not run in batches ({error})"',
        'return ""',
        ("tests/networks/litert/test_runtime.py",),
    ),
    Mutant(
        "probes: mixing untold",
        "relrob/networks/probes.py",
        "if why or place:",
        "if False:",
        ("tests/networks/onnx/test_files.py",),
    ),
    Mutant(
        "derivations of another network",
        "relrob/networks/kept.py",
        "return network.derived.once(",
        'return found.__dict__.setdefault("derived", network.derived).once(',
        ("tests/networks/test_derived.py",),
    ),
    Mutant(
        "derivations made again",
        "relrob/networks/kept.py",
        "return network.derived.once(",
        "return type(network.derived)().once(",
        ("tests/networks/test_derived.py",),
    ),
    Mutant(
        "the file of another network",
        "relrob/networks/litert/file.py",
        "content = checked_bytes(network, data)",
        "content = data or checked_bytes(network)",
        ("tests/networks/test_derived.py",),
    ),
)
