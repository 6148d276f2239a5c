"""Bugs for networks of onnx."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "onnx: images mixed",
        "relrob/networks/onnx/apart.py",
        "0 < axis < rank if axis >= 0 else",
        "axis < rank if axis >= 0 else",
        ("tests/networks/onnx/test_apart.py",),
    ),
    Mutant(
        "onnx: images mixed, counted back",
        "relrob/networks/onnx/apart.py",
        "rank > 0 and -rank < axis",
        "rank > 0 and -rank <= axis",
        ("tests/networks/onnx/test_apart.py",),
    ),
    Mutant(
        "onnx: turned images apart",
        "relrob/networks/onnx/apart.py",
        "[:1] == [0]",
        "[:1] != [9]",
        ("tests/networks/onnx/test_apart.py",),
    ),
    Mutant(
        "onnx: unknown attributes",
        "relrob/networks/onnx/graph.py",
        "if unknown:",
        "if False:",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: any version",
        "relrob/networks/onnx/graph.py",
        "versions[0] not in OPSETS:",
        "False:",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: any domain",
        "relrob/networks/onnx/graph.py",
        "node.domain not in DOMAINS or",
        "",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: several outputs",
        "relrob/networks/onnx/graph.py",
        "len(node.output) != 1 or",
        "",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: names twice",
        "relrob/networks/onnx/graph.py",
        "if operator.output in named:",
        "if False:",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: dropout trains",
        "relrob/networks/onnx/random.py",
        "return tensor is None or bool(",
        "return False and bool(",
        ("tests/networks/onnx/test_graph.py",),
    ),
    Mutant(
        "onnx: mixed images in batches",
        "relrob/networks/onnx/runtime.py",
        "if network.apart and",
        "if",
        ("tests/networks/onnx/test_apart.py",),
    ),
)
