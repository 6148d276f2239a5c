"""Which kernel runs each operator: asked of the interpreter, which lists what its delegate took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from ai_edge_litert.interpreter import Interpreter

from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.graph import Graph, read_graph
from relrob.system.quiet import quiet_native

_BATCHES: Final = (1, 256)  # one image, and as many as are usual in a call


@lru_cache(maxsize=8)
def kernels_of(data: bytes, runtime: str) -> tuple[str, ...]:
    """For each node of the file's graph "xnnpack", "builtin" or "reference". Raises
    NotModelledError.

    On "xnnpack" an operator that the delegate leaves runs on LiteRT's built-in kernel.
    """
    graph = read_graph(data)
    if runtime != "xnnpack":
        return (runtime,) * len(graph.nodes)
    found = {taken for size in _BATCHES if (taken := _taken(data, graph, size)) is not None}
    if not found:
        return ("xnnpack",) * len(
            graph.nodes
        )  # LiteRT refuses the file, and says why when it is opened
    if len(found) > 1:
        raise NotModelledError("XNNPACK takes other operators in a batch than of one image")
    taken = found.pop()
    return tuple("xnnpack" if node.position in taken else "builtin" for node in graph.nodes)


def _taken(data: bytes, graph: Graph, size: int) -> frozenset[int] | None:
    """Positions of the operators on the path that the delegate runs in a batch of `size`; None
    where LiteRT refuses that batch."""
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
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    return frozenset(
        position
        for node in delegates
        for position in _between(graph, node["inputs"], node["outputs"])
    )


def _between(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Iterator[int]:
    """The operators between the tensors that a delegate takes and gives."""
    places = {int(tensor) for tensor in inputs}, {int(tensor) for tensor in outputs}
    start, stop = (
        [step for step, tensor in enumerate(graph.path) if tensor in some] for some in places
    )
    if not start and not stop:
        return  # constants that are unpacked
    if len(start) != 1 or len(stop) != 1 or start[0] >= stop[0]:
        raise NotModelledError("XNNPACK takes operators that do not follow one another")
    yield from graph.positions[start[0] : stop[0]]
