"""Bugs for the comparison of runtimes."""

from tests.mutants.planting import Mutant

_AUDIT = ("tests/audit/test_runtimes.py",)
_DEPLOYED = ("tests/networks/test_deployed.py",)

MUTANTS = (
    Mutant(
        "runtimes: every difference a tie",
        "relrob/audit/runtimes.py",
        "tie = differ & (_tied(first) | _tied(second))",
        "tie = differ",
        _AUDIT,
    ),
    Mutant(
        "runtimes: ties of one of the two alone",
        "relrob/audit/runtimes.py",
        "(_tied(first) | _tied(second))",
        "_tied(first)",
        _AUDIT,
    ),
    Mutant(
        "runtimes: places named for indices",
        "relrob/audit/runtimes.py",
        "tuple(int(index) for index in indices[differ][:NAMED])",
        "tuple(int(index) for index in common[differ][:NAMED])",
        _AUDIT,
    ),
    Mutant(
        "runtimes: a sample beside other images",
        "relrob/audit/runtimes.py",
        "first, second = one.outputs[here], other.outputs[there]",
        "first, second = one.outputs[: len(here)], other.outputs[: len(here)]",
        _AUDIT,
    ),
    Mutant(
        "runtimes: logits beside probabilities",
        "relrob/audit/runtimes.py",
        "if len({*kinds}) == 1 or any",
        "if True or any",
        _AUDIT,
    ),
    Mutant(
        "runtimes: other bits in a batch overlooked",
        "relrob/networks/deployed.py",
        "images[:size], alone, None",
        "images[:size], alone, 1.0",
        _DEPLOYED,
    ),
    Mutant(
        "runtimes: one logit is sure beside its 0",
        "relrob/networks/deployed.py",
        'if opened.network.head != "logit":',
        "if True:",
        _DEPLOYED,
    ),
    Mutant(
        "runtimes: images that show nothing believed",
        "relrob/networks/deployed.py",
        "changes_bits(opened, images) or changes_bits(opened, _noise(images))",
        "changes_bits(opened, images)",
        _DEPLOYED,
    ),
    Mutant(
        "runtimes: near ties in a batch",
        "relrob/networks/deployed.py",
        "    near = ties(outputs, _scale(opened, images), share)\n",
        "    near = ties(outputs, _scale(opened, images), share)[:0]\n",
        _DEPLOYED,
    ),
    Mutant(
        "runtimes: the start of a batch compared",
        "relrob/networks/deployed.py",
        "np.unique(np.linspace(0, size - 1, COMPARED).astype(int))",
        "np.arange(min(size, COMPARED))",
        _DEPLOYED,
    ),
    Mutant(
        "runtimes: TFLM modelled by LiteRT's kernels",
        "relrob/networks/litert/enclosure.py",
        "if runtime not in LITERT:",
        "if runtime in LITERT:",
        ("tests/networks/litert/test_tflm.py",),
    ),
    Mutant(
        "runtimes: every level of onnxruntime the same",
        "relrob/networks/onnx/levels.py",
        "_LEVELS[ONNX_LEVELS[runtime]]",
        '_LEVELS["all"]',
        ("tests/networks/onnx/test_levels.py",),
    ),
)
