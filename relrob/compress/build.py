"""Quantisation by the name of a scheme. Neither TensorFlow nor onnxruntime is imported before a
call needs it."""

from __future__ import annotations

from relrob.compress.calibration import Calibration
from relrob.compress.source import check_source
from relrob.compress.table import scheme as scheme_entry
from relrob.domain.network import Network
from relrob.errors import QuantiseError, ShapeError, UsageError
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.registry import load
from relrob.system.quiet import quiet_native


def needs_calibration(scheme: str) -> bool:
    """Does the scheme learn the ranges of activations from images? Raises UsageError for an unknown
    scheme.

    >>> needs_calibration("int8"), needs_calibration("dynamic")
    (True, False)
    """
    return scheme_entry(scheme).calibrated


def suffix(scheme: str) -> str:
    """File suffix of the scheme's networks. Raises UsageError for an unknown scheme.

    >>> suffix("qdq")
    '.onnx'
    """
    return scheme_entry(scheme).suffix


def default_runtime(scheme: str) -> str:
    """The runtime that executes networks of the scheme by default. Raises UsageError for an unknown
    scheme.

    >>> default_runtime("dynamic")
    'xnnpack'
    """
    return scheme_entry(scheme).runtime


def check_quantisable(reference: Network) -> None:
    """Raise QuantiseError for a network that is quantised already."""
    if reference.scheme != "float32":
        raise QuantiseError(
            f"{reference.path} is quantised already ({reference.scheme})", "a float32 network"
        )


def quantised_bytes(
    reference: Network,
    scheme: str,
    calibration: Calibration | None,
    image_shape: tuple[int, int, int],
) -> bytes:
    """The bytes of the quantised file, checked to be of the scheme. The same arguments give the
    same bytes.

    `calibration` is needed by some schemes (`needs_calibration`) and ignored by the others;
    `image_shape` is (H, W, C). Cost: TensorFlow's import (four seconds, once) and under a second
    for an MLP. Raises UsageError, QuantiseError, ShapeError.
    """
    entry = scheme_entry(scheme)
    check_quantisable(reference)
    check_source(reference, scheme)
    if reference.image_shape != image_shape:
        raise ShapeError(
            f"{reference.path} was loaded for images of {reference.image_shape}", f"{image_shape}"
        )
    if not needs_calibration(scheme):
        calibration = None
    elif calibration is None:
        raise UsageError(
            f"scheme {scheme} without calibration images",
            "a Calibration",
            "relrob.compress.calibration.draw",
        )
    elif calibration.images.shape[1] != reference.inputs:
        raise ShapeError(
            f"calibration images of {calibration.images.shape[1]} values for {reference.path}",
            f"{reference.inputs} values",
        )
    with quiet_native():
        quantise = (
            load_on_tensorflow(entry.target) if entry.tool == "tensorflow" else load(entry.target)
        )
    data: bytes = quantise(reference, scheme, calibration, image_shape)
    return data
