"""The Keras runtime, TensorFlow on the CPU: `.keras` and `.h5` files, and SavedModels. Its import
takes seconds."""

from __future__ import annotations

import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import one_line, padded, pixel_order, probe_images, run_in_batches
from relrob.networks.content import checked_bytes
from relrob.networks.keras.own_layers import LAYERS
from relrob.networks.keras.savedmodel import frozen
from relrob.networks.shapes import without_batch
from relrob.system.files import sha256_path
from relrob.system.quiet import quiet_native
from relrob.system.temporary import temporary_folder

log = logging.getLogger(__name__)
# The largest difference that is rounding, relative to the largest output.
_ALIKE: Final = 2.0**-10


def open_keras(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> Keras:
    """The model, loaded in safe mode and not compiled.

    It runs one image at a time where it is not known to treat images apart. Raises NetworkError
    when Keras refuses it.
    """
    if not network.apart:
        batch = 1
    # TensorFlow prints that it looks for a GPU, the first time.
    with quiet_native():
        limit_threads(threads)
    if network.format == "savedmodel":
        return Keras(network, *_from_directory(network), batch)
    opened = Keras(network, *_from_file(network, checked_bytes(network, data)), batch)
    _check_steps(opened, network)
    return opened


def _check_steps(opened: Keras, network: Network) -> None:
    """Raise NetworkError where a model gives other outputs when it is traced than step by step, by
    more than rounding.

    Keras calls a model step by step, or traces it first, as `predict` does. TensorFlow merges
    constants of a trace as if nothing were rounded between them.
    """
    probes = probe_images(network)
    traced, stepped = opened.outputs(probes), opened.stepped(probes)
    most = _ALIKE * max(float(np.abs(stepped[np.isfinite(stepped)]).max(initial=0.0)), 1e-30)
    if not np.allclose(traced, stepped, rtol=0, atol=most, equal_nan=True):
        raise NetworkError(
            f"Keras gives {network.path} other outputs when it is traced than step by step: "
            "its rounding decides",
            "a model whose constants are not far larger than its values",
            "export it to ONNX",
        )


def _from_file(network: Network, content: bytes) -> tuple[Any, Any]:
    """The model of a file, and the shape of its input."""
    model = loaded_model(network, content)
    return (lambda images: model(images, training=False)), input_shape(network, model)


def loaded_model(network: Network, content: bytes) -> Any:
    """The Keras model of a file, not compiled. Raises NetworkError."""
    with quiet_native(), temporary_folder() as folder:
        copy = folder / f"network{'.keras' if network.format == 'keras' else '.h5'}"
        copy.write_bytes(content)
        try:
            return keras.saving.load_model(
                copy, custom_objects=LAYERS, compile=False, safe_mode=True
            )
        # Keras raises ValueError, TypeError, KeyError, OSError and errors of its layers.
        except Exception as error:
            raise NetworkError(
                f"Keras refuses {network.path}: {one_line(error)}", "a model that it can load"
            ) from error


def input_shape(network: Network, model: Any) -> Any:
    """The shape of a model's input, its batch first and None where open."""
    return model.input_shape if model.built else (None, *network.image_shape)


def _from_directory(network: Network) -> tuple[Any, Any]:
    """The model of a SavedModel, and the shape of its input."""
    function = frozen_function(network)
    shape = function.inputs[0].shape
    return (lambda images: function(images)[0]), shape.as_list() if shape.rank else (
        None,
        *network.image_shape,
    )


def frozen_function(network: Network) -> Any:
    """The frozen function of a SavedModel. Raises NetworkError where it has changed."""
    if sha256_path(Path(network.path)) != network.sha256:
        raise NetworkError(
            f"{network.path} has changed since it was loaded",
            "the directory that was loaded",
            "load it again",
        )
    return frozen(network.path)


def limit_threads(threads: int) -> None:
    """Use the CPU alone, and so many threads. TensorFlow takes both only before its first use in a
    process."""
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        log.debug("TensorFlow runs already: its threads stay as they are")


@final
class Keras:
    """One model, traced once for any number of images, or for the number that it fixes."""

    def __init__(self, network: Network, model: Any, shape: Any, batch: int | None) -> None:
        dims = tuple(-1 if n is None else int(n) for n in shape)
        image, _ = without_batch((-1, *dims[1:]), network.image_shape)
        self._network = network
        self._image = image
        self._order = pixel_order(network)
        self._fixed = max(dims[0], 0)
        wanted = batch or 1024
        self._batch = min(wanted, self._fixed or wanted)
        if self._batch < wanted:
            log.warning(
                "%s has a fixed batch: its images run %d at a time", network.path, self._batch
            )
        signature = [tf.TensorSpec((self._fixed or None, *image), tf.float32)]
        # The model keeps the variables alive that the traced function reads.
        self._model = model
        traced = tf.function(model, input_signature=signature)
        try:
            with quiet_native():
                self._call = traced.get_concrete_function()
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
            raise NetworkError(
                f"Keras cannot run {network.path}: {one_line(error)}", "a model of images"
            ) from error

    @property
    def runtime(self) -> str:
        """ "keras"."""
        return self._network.runtime

    @property
    def best_batch(self) -> int:
        """Images a call."""
        return self._batch

    def outputs(self, images: Floats) -> Floats:
        """Outputs (n, classes) as the model gives them."""
        return run_in_batches(
            images, self._network, self._batch, partial(self._run, self._call), self._order
        )

    def stepped(self, images: Floats) -> Floats:
        """Outputs (n, classes) without a trace, operator by operator."""
        with warnings.catch_warnings():
            # The trace has said the same.
            warnings.simplefilter("ignore")
            return run_in_batches(
                images, self._network, self._batch, partial(self._run, self._model), self._order
            )

    def _run(self, call: Any, images: Floats) -> NDArray[Any]:
        """Up to `best_batch` images."""
        size = self._fixed or len(images)
        try:
            rows = call(tf.constant(padded(images, size).reshape(size, *self._image)))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise NetworkError(
                f"Keras cannot run {self._network.path}: {one_line(error)}", "one row an image"
            ) from error
        if not tf.is_tensor(rows):
            raise NetworkError(
                f"{self._network.path} has several outputs", "one output, a score a class"
            )
        wide = rows.dtype in (tf.float64, tf.int32, tf.int64)
        array: NDArray[Any] = (rows if wide else tf.cast(rows, tf.float32)).numpy()
        return array[: len(images)]
