"""Bugs for compress."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "a folded copy is quantised",
        "relrob/compress/source.py",
        "return reference.dense is not None and not reference.folded",
        "return reference.dense is not None",
        ("tests/compress/test_source.py",),
    ),
    Mutant(
        "qdq: biases of two dimensions stay so",
        "relrob/compress/post_training/onnx_qdq.py",
        "            tensor.dims[:] = tensor.dims[1:]",
        "            pass",
        ("tests/compress/test_onnx_qdq.py",),
    ),
)
