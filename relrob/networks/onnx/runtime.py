"""The onnxruntime runtime on the CPU: `.onnx` files as they are, and float MLPs of every format as
an exported graph."""

from __future__ import annotations

import logging
from typing import Any, Final, final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import (
    differs_in_batches,
    one_line,
    padded,
    pixel_order,
    probe_images,
    run_in_batches,
    step_of_8_bits,
)
from relrob.networks.content import checked_bytes, runs_weights
from relrob.networks.kept import kept
from relrob.networks.onnx.levels import level_of
from relrob.networks.onnx.outputs import scores
from relrob.networks.shapes import without_batch
from relrob.registry import load
from relrob.system.files import sha256_bytes

log = logging.getLogger(__name__)

_ERRORS_ONLY: Final = 3
# The most pixels of a fixed batch.
_MOST_VALUES: Final = 1 << 28
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


def open_onnxruntime(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> OnnxRuntime:
    """A session on the CPU provider.

    It runs one image at a time where the graph is not known to treat images apart. Raises
    NetworkError when onnxruntime refuses the file.
    """
    weights = runs_weights(network)
    if weights:
        session = _session(network, _exported(network), threads)
    else:
        content = checked_bytes(network, data)
        # True without tensors in other files, which need the path.
        alone = data is not None or sha256_bytes(content) == network.sha256
        session = _session(network, content if alone else network.path, threads)
    # One range over the whole batch: an image's output depends on the others.
    if network.scheme == "dynamic":
        return OnnxRuntime(network, session, in_raster_order=weights, batch=batch, alone=True)
    evaluator = OnnxRuntime(network, session, in_raster_order=weights, batch=batch)
    if weights or evaluator.best_batch == 1:
        return evaluator
    single = OnnxRuntime(network, session, in_raster_order=weights, batch=batch, alone=True)
    why = _differs(network, evaluator, single) if network.apart else ""
    if network.apart and not why:
        return evaluator
    if why:
        log.warning("%s %s: its images run one by one", network.path, why)
    return single


@kept
def _exported(network: Network) -> bytes:
    """A float MLP as ONNX; it is opened several times."""
    exported: bytes = load("relrob.networks.onnx.export:to_onnx")(network.dense)
    return exported


def _differs(network: Network, evaluator: OnnxRuntime, single: OnnxRuntime) -> str:
    """The reason not to run the probes, forwards and backwards, in batches. "" where there is
    none."""
    probes = probe_images(network)
    images = np.concatenate([probes, probes[::-1]])
    alone = single.outputs(images)
    return differs_in_batches(evaluator.outputs, images, alone, step_of_8_bits(network, alone))


def _session(network: Network, model: bytes | str, threads: int) -> Any:
    """Threads that do not spin, and no messages below errors."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = level_of(network.runtime)
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        # Names that are no text raise here.
        _ = given.name, given.shape, given.type
        return session
    # The exceptions of onnxruntime have no base class of their own.
    except Exception as error:
        raise NetworkError(
            f"onnxruntime refuses {network.path}: {one_line(error)}",
            "a model it runs",
            "export again",
        ) from error


@final
class OnnxRuntime:
    """One session. A graph with a fixed batch is fed that many images at a time. `alone`: no two
    different images share a call."""

    def __init__(
        self,
        network: Network,
        session: Any,
        in_raster_order: bool,
        batch: int | None,
        alone: bool = False,
    ) -> None:
        given = session.get_inputs()[0]
        dims = tuple(n if isinstance(n, int) else -1 for n in given.shape) or (-1, network.inputs)
        self._image, has_batch = without_batch(dims, network.image_shape)
        self._network = network
        self._session = session
        self._input = given.name
        named = network.contract.output and not in_raster_order
        self._output = [network.contract.output] if named else None
        self._type = _TYPES[given.type]
        self._order = None if in_raster_order else pixel_order(network)
        self._has_batch = has_batch
        self._fixed = max(dims[0], 0) if has_batch else 1
        if self._fixed * network.inputs > _MOST_VALUES:
            raise NetworkError(
                f"{network.path} reads {self._fixed} images at a time",
                "an open batch",
                "export it with one",
            )
        wanted = batch or (256 if network.scheme != "float32" else 1024)
        self._batch = min(wanted, self._fixed or wanted)
        self._alone = alone
        if self._batch < wanted and not alone:
            log.warning(
                "%s has a fixed batch: its images run %d at a time", network.path, self._batch
            )

    @property
    def runtime(self) -> str:
        """ "onnxruntime", with its level of optimisation unless that is "all"."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """Images a call."""
        return 1 if self._alone else self._batch

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes) as the graph gives them, float32."""
        return run_in_batches(images, self._network, self.best_batch, self._run, self._order)

    def _run(self, images: Floats) -> NDArray[Any]:
        """Up to `best_batch` images."""
        size = self._fixed or len(images)
        filled = np.repeat(images, size, axis=0) if self._alone else padded(images, size)
        batch = filled.astype(self._type, copy=False)
        try:
            rows = self._session.run(
                self._output,
                {
                    self._input: batch.reshape(
                        (size, *self._image) if self._has_batch else self._image
                    )
                },
            )[0]
        # The exceptions of onnxruntime have no base class of their own.
        except Exception as error:
            raise NetworkError(
                f"onnxruntime cannot run {self._network.path}: {one_line(error)}",
                "one row an image",
            ) from error
        array = scores(rows)
        if array.size not in (size * self._network.classes, size if self._network.head else -1):
            return array
        return array.reshape(size, -1)[: len(images)]
