"""Bugs for networks of litert."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "softmax of the batch is apart",
        "relrob/networks/litert/apart.py",
        "if not walk.first(operator):",
        "if False:",
        ("tests/networks/litert/test_apart.py",),
    ),
    Mutant(
        "reductions of the batch are apart",
        "relrob/networks/litert/apart.py",
        "len(gone) != len(axes) or 0 in gone",
        "len(gone) != len(axes)",
        ("tests/networks/litert/test_apart.py",),
    ),
    Mutant(
        "sparse weights as they lie",
        "relrob/networks/litert/flat.py",
        "if tensor.sparsity is not None:",
        "if False:",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "two QUANTIZE in a row",
        "relrob/networks/litert/graph.py",
        "if last is not None and not dense:",
        "if False:",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "RESHAPE to another grid",
        "relrob/networks/litert/graph.py",
        "grid_of(before) != grid_of(after)",
        "False",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "int8 weights behind DEQUANTIZE",
        "relrob/networks/litert/graph.py",
        ('if source.type != "FLOAT16" or target.type != "FLOAT32" or source.scales is not None:'),
        "if False:",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "kernel by the runtime's name",
        "relrob/networks/litert/kernels.py",
        "if node.position in taken else",
        "if True else",
        ("tests/networks/litert/test_kernels.py",),
    ),
    Mutant(
        "left shift never overflows",
        "relrob/networks/litert/limits.py",
        "left > 30 or largest << left >= _INT32",
        "left > 30",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "reference never overflows",
        "relrob/networks/litert/limits.py",
        "largest * float(scales.max()) >= _INT32 - 256",
        "False",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "sums never wrap",
        "relrob/networks/litert/limits.py",
        "if largest >= _INT32:",
        "if False:",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "scales along the inputs on XNNPACK",
        "relrob/networks/litert/limits.py",
        'layer.turned and kernel == "xnnpack"',
        "False",
        ("tests/networks/litert/test_graph.py",),
    ),
    Mutant(
        "mixing graphs run in batches that agree",
        "relrob/networks/litert/runtime.py",
        "if apart else 1",
        "if True else 1",
        ("tests/networks/litert/test_apart.py",),
    ),
    Mutant(
        "mixing graphs run in batches",
        "relrob/networks/litert/runtime.py",
        "apart = network.apart and not",
        "apart = not",
        ("tests/networks/litert/test_apart.py",),
    ),
    Mutant(
        "halves round alike in a batch",
        "relrob/networks/litert/runtime.py",
        "(isinstance(layer, Quantise) and graph.widths[0] % _BLOCK != 0)",
        "False",
        ("tests/networks/litert/test_kernels.py",),
    ),
    Mutant(
        "loops of LiteRT",
        "relrob/networks/litert/info.py",
        "if _builtin(code) in _LOOPS:",
        "if False:",
        ('tests/networks/litert/test_runtime.py',),
    ),
    Mutant(
        "half precision modelled",
        "relrob/networks/litert/kernels.py",
        "if flat.halved and has_halves():",
        "if False:",
        ('tests/networks/litert/test_kernels.py',),
    ),
    Mutant(
        "half precision of AMX forgotten",
        "relrob/networks/litert/kernels.py",
        'any("fp16" in line',
        'any("avx512_fp16" in line',
        ('tests/networks/litert/test_kernels.py',),
    ),
    Mutant(
        "float layers in batches",
        "relrob/networks/litert/runtime.py",
        (
            "isinstance(layer, FloatFull)\n"
            "        or"
        ),
        "",
        ('tests/networks/litert/test_kernels.py',),
    ),
    Mutant(
        "floats of black boxes in batches",
        "relrob/networks/litert/runtime.py",
        "elif step.kind not in _EXACT.split() and",
        "elif False and",
        ('tests/networks/litert/test_kernels.py',),
    ),
    Mutant(
        "what XNNPACK leaves in batches",
        "relrob/networks/litert/runtime.py",
        "        file.left_by_delegate",
        "        frozenset[int]()",
        ('tests/networks/litert/test_kernels.py',),
    ),
)
