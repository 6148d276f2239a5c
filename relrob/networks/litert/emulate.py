"""Dense LiteRT files in NumPy, equal to the runtime bit for bit, and faster where its kernels are
slow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import pixel_order, run_in_batches
from relrob.networks.details import LITERT
from relrob.networks.litert.dynamic import dynamic_full
from relrob.networks.litert.file import LiteRtFile, litert_file
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.graph import Graph
from relrob.networks.litert.int8 import int8_full
from relrob.networks.litert.interpreter import quantised
from relrob.networks.litert.layers import (
    Dequantise,
    DynamicFull,
    FloatFull,
    Grid,
    Int8Full,
    Layer,
    Quantise,
    Recode,
    Softmax,
)
from relrob.networks.litert.limits import check_limits
from relrob.networks.litert.native import native
from relrob.networks.litert.requantise import quantise
from relrob.networks.litert.softmax import int8_softmax

log = logging.getLogger(__name__)
Step = Callable[[Floats], Floats]
# Images at a time: a multiple of every batch of the interpreter, so that its float operators see
# the same batches.
_CHUNK = 1024


def emulator(network: Network, data: bytes | None = None, threads: int = 0) -> Emulator | None:
    """The emulator of a dense `.tflite` file on `network.runtime`. None, with the reason logged,
    where there is none.

    `data`: the file's bytes, read from `network.path` when not given. `threads`: 0 for integer
    products by NumPy alone. Any other number runs XNNPACK's int8 kernels on so many threads, which
    is several times faster. Raises NetworkError when the file has changed.
    """
    if network.format != "tflite" or network.runtime not in LITERT:
        return None
    file = litert_file(network, data)
    try:
        return Emulator(network, file, threads)
    except NotModelledError as reason:
        log.info("%s on %s is not emulated: %s", network.path, network.runtime, reason)
        return None


@final
class Emulator:
    """An `Evaluator` whose outputs equal those of `open_network(network).outputs` in every bit.
    Raises NotModelledError.

    `layers`: the file's layers in order, with rows of the first in the file's pixel order.
    `kernels`: the kernel that runs each, "builtin" also on `xnnpack` where the delegate leaves a
    layer.

    `exact`: the outputs are also those of every image run alone. They are not where `builtin` runs
    float operators (a float SOFTMAX, small float layers, QUANTIZE, DEQUANTIZE), whose rounding
    depends on the batch.
    """

    def __init__(self, network: Network, file: LiteRtFile, threads: int = 0) -> None:
        graph = file.graph
        if graph.widths[0] != network.inputs:
            raise NotModelledError(
                f"the file reads {graph.widths[0]} values, an image has {network.inputs}"
            )
        self._network, self._graph = network, graph
        self._order = pixel_order(network)
        self.layers: tuple[Layer, ...] = graph.layers
        self.kernels = file.kernels(network.runtime)
        each = list(zip(self.layers, self.kernels, strict=True))
        for layer, kernel in each:
            check_limits(layer, kernel)
        self._steps = tuple(_steps(network, file.data, graph, self.kernels, threads))
        self.exact = not any(kernel == "builtin" and _in_batches(layer) for layer, kernel in each)

    @property
    def runtime(self) -> str:
        """The runtime that is emulated."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """Images a chunk."""
        return _CHUNK

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes) float32 of flat images (n, d) float32 in raster order, as LiteRT
        gives them (int8: dequantised)."""
        return run_in_batches(images, self._network, _CHUNK, self._run, self._order)

    def _entered(self, images: Floats) -> Floats:
        """Images as the input tensor stores them."""
        grid = self._graph.given
        if grid is None:
            return images
        kind = np.int8 if grid.least else np.uint8
        return quantised(images, {"dtype": kind, "quantization": (grid.scale, grid.zero)}).astype(
            np.float32
        )

    def _run(self, images: Floats) -> NDArray[Any]:
        values = self._entered(images)
        for run in self._steps:
            values = run(values)
        grid = self._graph.result
        return values if grid is None else (values - np.float32(grid.zero)) * grid.scale32


def _in_batches(layer: Layer) -> bool:
    """Do the last bits of this layer depend on the batch on `builtin`?"""
    return isinstance(layer, FloatFull | Quantise | Dequantise) or (
        isinstance(layer, Softmax) and layer.given is None
    )


def _by_litert(layer: Layer, kernel: str) -> bool:
    """Is this layer left to LiteRT itself?"""
    return _in_batches(layer) and not (
        isinstance(layer, Quantise | Dequantise) and kernel != "builtin"
    )


def _steps(
    network: Network, data: bytes, graph: Graph, kernels: tuple[str, ...], threads: int
) -> Iterator[Step]:
    """One emulated layer, or a run of layers of one kernel that LiteRT executes."""
    nodes, start = graph.nodes, 0
    while start < len(nodes):
        kernel, stop = kernels[start], start
        while (
            stop < len(nodes) and kernels[stop] == kernel and _by_litert(nodes[stop].layer, kernel)
        ):
            stop += 1
            if stop < len(nodes) and nodes[stop].source != nodes[stop - 1].target:
                # A RESHAPE stands between the two nodes.
                break
        if stop == start:
            stop += 1
            yield _emulated(nodes[start].layer, kernel, threads)
        else:
            if graph.widths[stop] < 2:
                raise NotModelledError("a float layer of one output")
            if graph.halves:
                raise NotModelledError("float16 weights")
            positions = tuple(node.position for node in nodes[start:stop])
            part = native(
                replace(network, runtime=kernel),
                data,
                positions,
                (graph.widths[start], graph.widths[stop]),
            )
            yield _natively(part.outputs, nodes[start].layer, nodes[stop - 1].layer)
        start = stop


def _natively(run: Step, first: Layer, last: Layer) -> Step:
    """A part that LiteRT runs on numbers: integers are multiplied out, and divided to the same
    integers again."""

    def through(values: Floats) -> Floats:
        given = (
            (values - np.float32(first.given.zero)) * first.given.scale32
            if isinstance(first, Dequantise)
            else values
        )
        result = run(given)
        return (
            np.rint(result / last.out.scale32) + np.float32(last.out.zero)
            if isinstance(last, Quantise)
            else result
        )

    return through


def _emulated(layer: Layer, runtime: str, threads: int) -> Step:
    """One layer as a function of float32 arrays (n, n_in) -> (n, n_out)."""
    match layer:
        case DynamicFull():
            return dynamic_full(layer, runtime, threads)
        case Int8Full():
            return int8_full(layer, runtime, threads)
        case Softmax(given=Grid() as given):
            return int8_softmax(given, runtime)
        case Quantise(out=out):
            return lambda values: quantise(values, out, runtime)
        case Dequantise(given=given):
            return lambda values: (values - np.float32(given.zero)) * given.scale32
        case Recode(given=given, out=out):
            return lambda values: values + np.float32(out.zero - given.zero)
        case _:
            raise NotModelledError(f"a {type(layer).__name__} layer")
