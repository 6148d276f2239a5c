"""LiteRT's interpreter on the CPU: on XNNPACK, on the built-in kernels without it, or on the
reference kernels."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import one_line, padded, pixel_order, run_in_batches
from relrob.networks.shapes import without_batch
from relrob.system.quiet import quiet_native

# The runtimes, as LiteRT names its choices of kernels.
RESOLVERS: Final = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
# Values that are quantised at once, and stay in the processor's cache.
_CACHED: Final = 2**15


def best_batch(network: Network) -> int:
    """Batch size at which a scheme is fastest on a runtime (measured; only speed depends on it)."""
    if network.runtime != "xnnpack" or network.scheme == "int16x8":
        return 64
    return 256 if network.scheme.startswith("dynamic") else 1024


@final
class LiteRt:
    """One interpreter for each batch size (1, 4, 16, ... up to `best_batch`), made when first
    needed and then kept."""

    def __init__(self, network: Network, data: bytes, threads: int, batch: int) -> None:
        self._network = network
        self._data = data
        self._threads = threads
        self._order = pixel_order(network)
        self._sizes: list[int] = sorted({batch, *(4**k for k in range(6) if 4**k < batch)})
        self._interpreters: dict[int, _Sized] = {}

    @property
    def runtime(self) -> str:
        """ "xnnpack", "builtin" or "reference"."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """Images a call."""
        return self._sizes[-1]

    @property
    def quantum(self) -> float:
        """The scale of an integer output, 0 for a float one."""
        return (
            float(next(iter(self._interpreters.values())).output_scale)
            if self._interpreters
            else 0.0
        )

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes): float outputs as they are, integer outputs as (q - zero_point) *
        scale in float32.

        An integer input is clip(rint(x / scale) + zero_point), in float32, halves to even.
        """
        return run_in_batches(images, self._network, self.best_batch, self._run, self._order)

    def _run(self, images: Floats) -> NDArray[Any]:
        """Up to `best_batch` images on the smallest interpreter that holds them."""
        size = next(size for size in self._sizes if size >= len(images))
        if size not in self._interpreters:
            self._interpreters[size] = _Sized(self._network, self._data, self._threads, size)
        return self._interpreters[size].run(padded(images, size))[: len(images)]


@final
class _Sized:
    """An interpreter whose input holds `size` images."""

    def __init__(self, network: Network, data: bytes, threads: int, size: int) -> None:
        try:
            with quiet_native():
                self._interpreter = Interpreter(
                    model_content=data,
                    num_threads=threads,
                    experimental_op_resolver_type=RESOLVERS[network.runtime],
                )
                given = self._interpreter.get_input_details()[0]
                dims = tuple(int(n) for n in given["shape_signature"]) or tuple(
                    int(n) for n in given["shape"]
                )
                image, has_batch = without_batch(dims, network.image_shape)
                shape = (size, *image) if has_batch else image
                if not has_batch and size != 1:
                    raise NetworkError(f"{network.path} has no batch dimension", "one image a call")
                self._interpreter.resize_tensor_input(given["index"], shape, strict=False)
                self._interpreter.allocate_tensors()
                self._given = self._interpreter.get_input_details()[0]
                # A name that is no text is a ValueError.
                self._result = _scores(self._interpreter, network.contract.output)
        except (ValueError, RuntimeError) as error:
            raise NetworkError(
                f"LiteRT ({network.runtime}) refuses {network.path}: {one_line(error)}",
                hint="another --runtime",
            ) from error
        self._name = network.path
        self._shape = shape
        self._size = size
        self.output_scale = float(self._result["quantization"][0])

    def run(self, images: Floats) -> NDArray[Any]:
        """Exactly `size` images in, `size` rows out."""
        try:
            self._interpreter.set_tensor(
                self._given["index"], quantised(images, self._given).reshape(self._shape)
            )
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._result["index"])
        except (ValueError, RuntimeError) as error:
            raise NetworkError(
                f"LiteRT cannot run {self._name}: {one_line(error)}", hint="another --runtime"
            ) from error
        if raw.shape[:1] != (self._size,) and self._size > 1:
            raise NetworkError(
                f"{self._name} gave outputs of shape {raw.shape} for {self._size} images",
                "a row an image",
            )
        return dequantised(raw, self._result).reshape(self._size, -1)


def _scores(interpreter: Interpreter, name: str) -> dict[str, Any]:
    """The details of the output of that name, of the first for ""."""
    found: list[dict[str, Any]] = interpreter.get_output_details()
    return next((each for each in found if each["name"] == name), found[0])


def quantised(images: Floats, details: dict[str, Any]) -> NDArray[Any]:
    """Images as the input tensor stores them: clip(rint(x / scale) + zero_point) in float32, or as
    they are."""
    kind = np.dtype(details["dtype"])
    if kind.kind == "f":
        return images
    scale, zero = details["quantization"]
    limits = np.iinfo(kind)
    if images.ndim == 1:
        return quantised(images[None], details).reshape(-1)
    found = np.empty(images.shape, kind)
    rows = max(1, _CACHED // images.shape[1])
    for first in range(0, len(images), rows):
        levels = images[first : first + rows] / np.float32(scale)
        np.rint(levels, out=levels)
        levels += np.float32(zero)
        found[first : first + rows] = np.clip(levels, limits.min, limits.max, out=levels)
    return found


def dequantised(raw: NDArray[Any], details: dict[str, Any]) -> Floats:
    """Outputs as float32: (q - zero_point) * scale, which keeps order and ties, or as they are."""
    if raw.dtype.kind == "f":
        return raw.astype(np.float32, copy=False)
    scale, zero = details["quantization"]
    return (raw.astype(np.int32) - np.int32(zero)).astype(np.float32) * np.float32(scale)
