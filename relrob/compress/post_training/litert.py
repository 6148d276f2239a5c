"""Post-training quantisation with TensorFlow's converter, whose file is read back and checked
against the scheme's name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from relrob.compress.calibration import Calibration
from relrob.compress.post_training.keras_model import from_dense, from_file
from relrob.compress.post_training.tflite_file import Contents, Weights, contents
from relrob.compress.source import plain
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import QuantiseError, ShapeError
from relrob.networks.batches import one_line
from relrob.networks.feed import fed
from relrob.networks.keras.savedmodel import frozen
from relrob.networks.shapes import Shape, raster, without_batch
from relrob.system.files import sha256_path
from relrob.system.quiet import quiet_native
from relrob.system.temporary import temporary_folder

log = logging.getLogger(__name__)
# Dynamic-range quantisation leaves weight tensors of fewer elements alone.
SMALL = 1024


@dataclass(frozen=True)
class Scheme:
    """The options of a scheme for the converter, and the contents that its file must have.

    `weights`, `activations`, `ends`: type names of the weights, of the inputs of dense and
    convolution operators, and of the file's input and output. `per_tensor`: one scale a weight
    tensor. `partial`: tensors too small for the converter may stay float. `symmetric`: inputs that
    are quantised at run time have no zero point.
    """

    weights: str
    activations: str
    ends: str
    per_tensor: bool = False
    partial: bool = False
    symmetric: bool = False


SCHEMES = {
    "dynamic": Scheme("int8", "float32", "float32", per_tensor=True, partial=True, symmetric=True),
    "dynamic-per-channel": Scheme("int8", "float32", "float32", partial=True),
    "int8": Scheme("int8", "int8", "int8"),
    "int8-per-tensor": Scheme("int8", "int8", "int8", per_tensor=True),
    "int16x8": Scheme("int8", "int16", "float32"),
    "float16": Scheme("float16", "float32", "float32"),
}


def quantise(
    reference: Network, scheme: str, calibration: Calibration | None, image_shape: Shape
) -> bytes:
    """The `.tflite` bytes of a float network, which reads pixels in the order of its reference. The
    same input gives the same bytes.

    An MLP of plain dense layers becomes a flat (d,) input and dense layers. Other .keras, .h5 and
    SavedModels are converted as they are. `int16x8` has float input and output. Cost: under a
    second for an MLP, after TensorFlow's import.

    Raises QuantiseError: the converter refuses the network, nothing was quantised, or the file is
    not of the scheme.
    """
    wanted = SCHEMES[scheme]
    with (
        quiet_native(),
        warnings.catch_warnings(),
        tf.device("/CPU:0"),
        temporary_folder() as folder,
    ):
        warnings.simplefilter("ignore")
        converter, dims = _converter(reference, image_shape, folder)
        images = (
            None
            if calibration is None
            else _arranged(calibration.images, reference, dims, image_shape)
        )
        _ask(converter, wanted, images)
        try:
            data = bytes(converter.convert())
        # The converter raises errors of any class.
        except Exception as error:
            raise QuantiseError(
                f"{reference.path} as {scheme}: {one_line(error)}",
                hint="another scheme, such as qdq",
            ) from error
    check(contents(data), scheme, reference.path)
    return data


def _converter(reference: Network, image_shape: Shape, folder: Path) -> tuple[Any, Any]:
    """A converter of the network, and its input's shape with the batch. `folder` is for it to
    use."""
    if reference.dense is not None and plain(reference):
        model = from_dense(reference.dense, reference.layout, image_shape)
    elif reference.format == "savedmodel":
        if sha256_path(Path(reference.path)) != reference.sha256:
            raise QuantiseError(
                f"{reference.path} has changed since it was loaded", hint="load it again"
            )
        dims = _exported(frozen(reference.path), folder / "saved")
        return tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")), dims
    else:
        model = from_file(reference)
    return tf.lite.TFLiteConverter.from_keras_model(model), model.input_shape


def _exported(function: Any, path: Path) -> Any:
    """The input's shape of a SavedModel of our own around a frozen function. The converter would
    run the functions of any other SavedModel."""
    module: Any = tf.Module()
    given = tf.TensorSpec(function.inputs[0].shape, function.inputs[0].dtype, "image")
    module.serve = tf.function(lambda image: function(image)[0], input_signature=[given])
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return given.shape.as_list()


def _arranged(images: Floats, reference: Network, dims: Any, image_shape: Shape) -> Floats:
    """Flat (H, W, C) images as the network reads them: (k, *shape)."""
    shape, _ = without_batch(tuple(-1 if size is None else size for size in dims), image_shape)
    if prod(shape) != images.shape[1]:
        raise ShapeError(f"{reference.path} reads {dims}", f"batches of images of {image_shape}")
    values = fed(images, reference)
    return values[:, raster(reference.layout, image_shape)].reshape(len(images), *shape)


def _ask(converter: Any, wanted: Scheme, images: Floats | None) -> None:
    """Set the converter's options."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel = wanted.per_tensor
    # the older quantiser is the one that leaves the zero point of run-time inputs out, as in 2020
    if wanted.symmetric:
        converter.experimental_new_dynamic_range_quantizer = False
    if wanted.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if wanted.activations == "float32":
        return
    if images is None:
        raise QuantiseError("calibration images are missing", "a Calibration")

    def representative() -> Iterator[list[Floats]]:
        for image in images:
            yield [image[None]]

    converter.representative_dataset = representative
    sets = tf.lite.OpsSet
    if wanted.activations == "int16":
        converter.target_spec.supported_ops = [
            sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        return
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def check(found: Contents, scheme: str, path: str) -> None:
    """Raise QuantiseError for a file that is not of its scheme. `path` names it."""
    wanted = SCHEMES[scheme]
    quantised = [weights for weights in found.weights if weights.type == wanted.weights]
    if not quantised and wanted.partial:
        small = f"the converter leaves weight tensors under {SMALL:,} elements in float"
        raise QuantiseError(
            f"{path}: nothing was quantised as {scheme}; {small}",
            "a larger network",
            "the scheme int8",
        )
    if not quantised:
        raise QuantiseError(
            f"{path}: nothing was quantised as {scheme}", "dense or convolution layers"
        )
    if set(found.inputs + found.outputs) != {wanted.ends}:
        raise QuantiseError(
            f"{path} as {scheme}: input and output are {found.inputs + found.outputs}", wanted.ends
        )
    left = [weights for weights in found.weights if weights.type != wanted.weights]
    if left and not wanted.partial:
        raise QuantiseError(
            f"{path} as {scheme}: {left[0].name} stayed {left[0].type}", f"{wanted.weights} weights"
        )
    for weights in left:
        if weights.values.size >= SMALL:
            log.warning("%s as %s: the converter left %s in float", path, scheme, weights.name)
    for weights in quantised:
        _check_weights(weights, wanted, scheme, path)


def _check_weights(weights: Weights, wanted: Scheme, scheme: str, path: str) -> None:
    """The number of scales and the type of the activations of one operator."""
    if wanted.symmetric and weights.asymmetric:
        raise QuantiseError(
            f"{path} as {scheme}: {weights.name} has a zero point at run time", "symmetric inputs"
        )
    if weights.activations != wanted.activations:
        raise QuantiseError(
            f"{path} as {scheme}: {weights.name} reads {weights.activations}", wanted.activations
        )
    if wanted.weights == "float16":
        return
    scales = 1 if wanted.per_tensor else weights.channels
    if len(weights.scales) != scales or not np.isfinite(weights.scales).all():
        raise QuantiseError(
            f"{path} as {scheme}: {weights.name} has {len(weights.scales)} scales", f"{scales}"
        )
