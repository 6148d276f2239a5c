"""A `.tflite` file with its flat buffer, graph and kernels, each of which is read once, when first
asked for."""

from __future__ import annotations

from functools import cached_property
from typing import final

from relrob.domain.network import Network
from relrob.networks.content import checked_bytes
from relrob.networks.litert.flat import Flat, read_flat
from relrob.networks.litert.graph import Graph, read_graph
from relrob.networks.litert.kernels import kernels_on_xnnpack, left_by_delegate


@final
class LiteRtFile:
    """The bytes of a file, `data`, that `flatbuffer.verify` lets through.

    Every part raises NotModelledError where the file has no such part.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def flat(self) -> Flat:
        """The flat buffer."""
        return read_flat(self.data)

    @cached_property
    def graph(self) -> Graph:
        """The chain of layers."""
        return read_graph(self.flat)

    @cached_property
    def left_by_delegate(self) -> frozenset[int]:
        """Positions of the operators that XNNPACK may leave to the built-in kernels."""
        return left_by_delegate(self.data, self.flat)

    @cached_property
    def _on_xnnpack(self) -> tuple[str, ...]:
        return kernels_on_xnnpack(self.data, self.flat, self.graph)

    def kernels(self, runtime: str) -> tuple[str, ...]:
        """The kernel of each node of the graph: "xnnpack", "builtin" or "reference".

        On "xnnpack" an operator that the delegate leaves runs on LiteRT's built-in kernel.
        """
        return self._on_xnnpack if runtime == "xnnpack" else (runtime,) * len(self.graph.nodes)


def litert_file(network: Network, data: bytes | None = None) -> LiteRtFile:
    """The file of a loaded network, which keeps it. `data`: its bytes, read from `network.path`
    when not given.

    Raises NetworkError when the file is not the one that was loaded.
    """
    content = checked_bytes(network, data)
    return network.derived.once(LiteRtFile, lambda: LiteRtFile(content))
