"""Dense quantised ONNX networks in NumPy, equal bit for bit to the CPU kernels of onnxruntime.

The graph is the one that onnxruntime makes of the file on this processor, its QDQ fusions included,
so that no fusion is guessed. Integer products are exact. Requantisation is one float32 product, a
clamp and a rounding half to even.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final, final

import numpy as np
import onnx

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import check_images, pixel_order, probe_images
from relrob.networks.content import checked_bytes
from relrob.networks.feed import fed
from relrob.networks.onnx import kernel_graph as onnx_graph
from relrob.networks.onnx.operands import NotEmulatedError
from relrob.networks.onnx.plan import KernelPlan, plan
from relrob.networks.onnx.steps import DynamicDense, FloatDense, IntegerDense, Step, enclose
from relrob.networks.open import open_network
from relrob.networks.shapes import without_batch

log = logging.getLogger(__name__)

BATCH: Final = 512
Layer = IntegerDense | DynamicDense | FloatDense


def onnx_emulator(network: Network, data: bytes) -> OnnxEmulator | None:
    """The emulator of a quantised dense `.onnx` network. None, with the reason logged, for any
    other.

    `data`: the file's bytes; others are refused, with the reason logged. The emulator is first
    compared with onnxruntime on probe images, and the processor's 8-bit products are checked.
    """
    try:
        return _emulator(network, checked_bytes(network, data))
    except (NotEmulatedError, NetworkError) as error:
        log.info("%s is not emulated: %s", network.path, error)
        return None


def _emulator(network: Network, data: bytes) -> OnnxEmulator:
    """Plan, then compare. Raises NotEmulatedError, NetworkError."""
    if network.format != "onnx" or network.runtime != "onnxruntime" or network.scheme == "float32":
        raise NotEmulatedError("it is not a quantised .onnx network on onnxruntime")
    model = onnx_graph.optimised(data)
    held = {tensor.name for tensor in model.graph.initializer}
    given = next(value for value in model.graph.input if value.name not in held).type.tensor_type
    if given.elem_type != onnx.TensorProto.FLOAT:
        raise NotEmulatedError("its input is not float32")
    dims = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in given.shape.dim)
    image, batched = without_batch(dims, network.image_shape)
    if not batched:
        raise NotEmulatedError("its input has no batch dimension")
    emulator = OnnxEmulator(network, plan(model, image))
    if onnx_graph.may_saturate(model) and onnx_graph.products_saturate():
        raise NotEmulatedError("its 8-bit products saturate on this processor (x86 without VNNI)")
    _compare(emulator, data)
    return emulator


def _compare(emulator: OnnxEmulator, data: bytes) -> None:
    """Refuse an emulator that a probe contradicts."""
    network = emulator.network
    noise = np.random.default_rng(1).random((5, network.inputs), dtype=np.float32)
    ends = np.zeros((2, network.inputs), np.float32)
    ends[1] = 1
    probes = np.concatenate([probe_images(network), ends, noise, np.rint(noise)])
    runtime = open_network(network, data=data, batch=1 if emulator.per_image else None).outputs(
        probes
    )
    low, high = emulator.sure(probes)
    if not ((low <= runtime) & (runtime <= high)).all():
        raise NotEmulatedError("onnxruntime disagrees on a probe image")


@final
class OnnxEmulator:
    """The outputs of one network, and the steps of its layers. It never changes, so that threads
    may share it."""

    def __init__(self, network: Network, steps: KernelPlan) -> None:
        self._network = network
        self._plan = steps
        self._order = pixel_order(network)

    @property
    def network(self) -> Network:
        """The network."""
        return self._network

    @property
    def runtime(self) -> str:
        """ "onnxruntime"."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """Images at a time."""
        return BATCH

    @property
    def exact(self) -> bool:
        """Are `outputs` equal to onnxruntime's to the bit? A float32 Gemm makes it False: only
        `sure` holds then."""
        return self._plan.exact

    @property
    def per_image(self) -> bool:
        """Does onnxruntime's output for an image depend on its batch? `outputs` are then those of
        each image alone."""
        return any(isinstance(step, DynamicDense) for step in self._plan.steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every operator in order, pixels already in the file's order."""
        return self._plan.steps

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The dense layers among the steps."""
        return tuple(step for step in self._plan.steps if isinstance(step, Layer))

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes) float32 of flat images (n, d) float32 in raster order."""
        return self.sure(images)[0] if self.exact else self._run(images)

    def sure(self, images: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bounds, (n, classes) each, of the outputs of onnxruntime. Both are
        `outputs` when `exact`."""
        if self.exact:
            values = self._run(images)
            return values, values
        low = np.empty((len(images), self._network.classes), np.float32)
        high = np.empty_like(low)
        for start, part in self._parts(images):
            ends = (part, part)
            for step in self._plan.steps:
                ends = enclose(step, *ends)
            low[start : start + len(part)], high[start : start + len(part)] = ends
        return low, high

    def _run(self, images: Floats) -> Floats:
        """Every step on one batch after another."""
        outputs = np.empty((len(images), self._network.classes), np.float32)
        for start, part in self._parts(images):
            values = part
            for step in self._plan.steps:
                values = step.apply(values)
            outputs[start : start + len(part)] = values
        return outputs

    def _parts(self, images: Floats) -> Iterator[tuple[int, Floats]]:
        """(first index, images in the file's pixel order) of each batch."""
        images = check_images(images, self._network)
        for start in range(0, len(images), BATCH):
            part = fed(images[start : start + BATCH], self._network)
            yield start, part if self._order is None else part[:, self._order]
