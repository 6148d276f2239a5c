"""The kernel that runs each operator of a `.tflite` file, told by the interpreter's list of
operators that its delegate took."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ai_edge_litert.interpreter import Interpreter

from relrob.networks.litert.flat import Flat, NotModelledError
from relrob.networks.litert.graph import Graph
from relrob.system.quiet import quiet_native

# Batches for which the delegate is asked: one image, and as many as are usual in a call.
_BATCHES: Final = (1, 256)


def kernels_on_xnnpack(data: bytes, flat: Flat, graph: Graph) -> tuple[str, ...]:
    """The kernel of each node of the file's graph: "xnnpack" or, where the delegate leaves it,
    "builtin". Raises NotModelledError."""
    if flat.halved and has_halves():
        raise NotModelledError(
            "the file allows half precision, in which XNNPACK may compute on this processor"
        )
    found = {taken for size in _BATCHES if (taken := _taken(data, graph, size)) is not None}
    if not found:
        # LiteRT refuses the file, and says why when it is opened.
        return ("xnnpack",) * len(graph.nodes)
    if len(found) > 1:
        raise NotModelledError("XNNPACK takes other operators in a batch than of one image")
    taken = found.pop()
    return tuple("xnnpack" if node.position in taken else "builtin" for node in graph.nodes)


def has_halves(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """May this processor add and multiply in half precision?

    XNNPACK does so, in a file that allows it, on processors of ARM and on those of x86 with
    AVX512-FP16 or AMX-FP16. Linux names these. A processor that is not known to lack them may have
    them.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    try:
        told = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    flags = [line for line in told.splitlines() if line.startswith("flags")]
    return not flags or any("fp16" in line for line in flags)


def _taken(data: bytes, graph: Graph, size: int) -> frozenset[int] | None:
    """Positions of the operators on the path that the delegate runs in a batch of `size`; None
    where LiteRT refuses that batch."""
    delegates = _delegates(data, size)
    if delegates is None:
        return None
    return frozenset(
        position for inputs, outputs in delegates for position in _between(graph, inputs, outputs)
    )


def left_by_delegate(data: bytes, flat: Flat) -> frozenset[int]:
    """Positions of the operators of any graph that XNNPACK may leave to the built-in kernels, in a
    batch of one or of many images.

    They are all operators where LiteRT does not say which.
    """
    makers = {place: operator for operator in flat.operators for place in operator.outputs}
    every = frozenset(operator.number for operator in flat.operators)
    left: frozenset[int] = frozenset()
    for size in _BATCHES:
        try:
            delegates = _delegates(data, size)
        except NotModelledError:
            return every
        taken = set[int]()
        for inputs, outputs in delegates or ():
            waiting = [place for place in outputs if place not in inputs]
            while waiting:
                maker = makers.get(waiting.pop())
                if maker is not None and maker.number not in taken:
                    taken.add(maker.number)
                    waiting += [place for place in maker.inputs if place not in inputs]
        left |= every - taken if delegates is not None else frozenset()
    return left


def _delegates(data: bytes, size: int) -> list[tuple[list[int], list[int]]] | None:
    """The tensors that each delegate takes and gives in a batch of `size`; None where LiteRT
    refuses that batch."""
    try:
        with quiet_native():
            interpreter: Any = Interpreter(model_content=data, num_threads=1)
            given = interpreter.get_input_details()[0]
            shape = (size, *(int(n) for n in given["shape"][1:]))
            interpreter.resize_tensor_input(given["index"], shape, strict=False)
            interpreter.allocate_tensors()
            nodes = interpreter._get_ops_details()
    except (ValueError, RuntimeError):
        return None
    except AttributeError as error:
        raise NotModelledError(
            "this version of LiteRT does not say which layers XNNPACK takes"
        ) from error
    found = [node for node in nodes if node["op_name"] == "DELEGATE"]
    return [
        ([int(place) for place in node["inputs"]], [int(place) for place in node["outputs"]])
        for node in found
    ]


def _between(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Iterator[int]:
    """The operators between the tensors that a delegate takes and gives."""
    places = {int(tensor) for tensor in inputs}, {int(tensor) for tensor in outputs}
    start, stop = (
        [step for step, tensor in enumerate(graph.path) if tensor in some] for some in places
    )
    if not start and not stop:
        # The delegate unpacks constants.
        return
    if len(start) != 1 or len(stop) != 1 or start[0] >= stop[0]:
        raise NotModelledError("XNNPACK takes operators that do not follow one another")
    yield from graph.positions[start[0] : stop[0]]
