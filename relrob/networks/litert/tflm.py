"""TFLM (LiteRT for microcontrollers) through its interpreter in Python: `.tflite` files as a
microcontroller computes them. Needs `relrob[tflm]`."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from tflite_micro import runtime as tflite_micro

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import one_line, pixel_order, run_in_batches
from relrob.networks.content import checked_bytes
from relrob.networks.litert.interpreter import dequantised, quantised
from relrob.system.quiet import heard, quiet_native

# Bytes of the arena: these and ten times the file. A microcontroller has far less; the arena only
# decides whether a file runs.
_ARENA: Final = 1 << 26
_FAILURES: Final = (ValueError, RuntimeError, TypeError)


def open_tflm(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> Tflm:
    """The file on TFLM, which runs one image at a time on one thread. Raises NetworkError when TFLM
    refuses the file."""
    return Tflm(network, checked_bytes(network, data))


@final
class Tflm:
    """One interpreter, with the arena that it works in."""

    def __init__(self, network: Network, data: bytes) -> None:
        said: list[str] = []
        try:
            with heard() as said:
                self._interpreter = tflite_micro.Interpreter.from_bytes(
                    data, arena_size=_ARENA + 10 * len(data)
                )
                given = self._interpreter.get_input_details(0)
                self._place = _place(network.contract.output, data)
                result = self._interpreter.get_output_details(self._place)
        except _FAILURES as error:
            raise _refused(network, said, error) from error
        self._network = network
        self._order = pixel_order(network)
        self._shape = tuple(int(n) for n in given["shape"])
        self._given, self._result = _details(given), _details(result)
        if int(np.prod(self._shape)) != network.inputs:
            raise NetworkError(
                f"{network.path} reads values of shape {self._shape} on TFLM",
                f"{network.inputs} an image, one image at a time",
            )

    @property
    def runtime(self) -> str:
        """ "tflm"."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """One image: TFLM takes the shapes of the file as they are."""
        return 1

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes): integers are quantised and given back as LiteRT's are."""
        with quiet_native():
            return run_in_batches(images, self._network, 1, self._run, self._order)

    def _run(self, images: Floats) -> NDArray[Any]:
        """One image."""
        try:
            self._interpreter.set_input(quantised(images, self._given).reshape(self._shape), 0)
            self._interpreter.invoke()
            raw = np.array(self._interpreter.get_output(self._place))
        except _FAILURES as error:
            raise NetworkError(
                f"TFLM cannot run {self._network.path}: {one_line(error)}", hint="another --runtime"
            ) from error
        return dequantised(raw, self._result)


def _place(output: str, data: bytes) -> int:
    """The place among the file's outputs of the one with that name, 0 for ""."""
    graph: Any = schema.Model.GetRootAsModel(data, 0).Subgraphs(0)
    tensors = (graph.Tensors(graph.Outputs(n)) for n in range(graph.OutputsLength()))
    names = [(each.Name() or b"").decode(errors="replace") for each in tensors]
    return names.index(output) if output else 0


def _details(tensor: dict[str, Any]) -> dict[str, Any]:
    """A tensor's type, scale and zero point under LiteRT's own words."""
    held = tensor["quantization_parameters"]
    scales, zeros = held["scales"], held["zero_points"]
    one = (scales[0], zeros[0]) if len(scales) else (0.0, 0)
    return {"dtype": tensor["dtype"], "quantization": one}


def _refused(network: Network, said: list[str], error: Exception) -> NetworkError:
    """TFLM prints its reasons, and raises a poorer one."""
    reasons = " ".join(line.strip() for line in said if line.strip()) or one_line(error)
    return NetworkError(
        f"TFLM refuses {network.path}: {one_line(ValueError(reasons))}", hint="another --runtime"
    )
