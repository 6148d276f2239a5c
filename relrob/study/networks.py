"""The two networks of a run: the user's files, or the paper's MLP and its quantised form, each made
once."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from relrob.compress.build import (
    check_quantisable,
    default_runtime,
    needs_calibration,
    quantised_bytes,
    suffix,
)
from relrob.compress.calibration import Calibration, calibration_images, draw, judged
from relrob.compress.source import form_of, own_file, rebuilt
from relrob.compress.table import scheme as scheme_entry
from relrob.domain.contract import exactly
from relrob.domain.events import Event, Listener
from relrob.domain.network import Layout, Network
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.study.data import in_units
from relrob.study.request import Request
from relrob.system.files import cache_dir, check_writable, sha256_bytes, write_atomic
from relrob.training.architectures import default_architecture
from relrob.training.reference import cached_reference
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.names import naming


def reference_network(request: Request, data: Images | Dataset, listener: Listener) -> Network:
    """The user's reference, or the paper's MLP for the data set from the cache, trained if need
    be."""
    path = request.reference
    asked: dict[str, Any] = {
        "image_shape": data.image_shape,
        "classes": data.classes,
        "more_classes": not data.classes_known,
        "runtime": request.reference_runtime,
        "layout": request.layout,
        "inputs": in_units(request.inputs, data),
    }
    if path is None:
        path = str(cached_reference(request.dataset, default_architecture(data.name), 0, listener))
    else:
        with naming(data):
            try_network(path, memory=request.memory, **asked)
    return load_network(path, **asked)


def quantised_network(
    request: Request, data: Images | Dataset, reference: Network, listener: Listener
) -> Network:
    """The user's quantised file, or the reference quantised now (kept in the cache by digest)."""
    asked: dict[str, Any] = {
        "image_shape": data.image_shape,
        "classes": data.classes,
        "more_classes": not data.classes_known,
        "runtime": request.runtime,
        "layout": request.layout,
        "inputs": in_units(request.inputs, data),
        "like": reference.contract,
        "inherit": reference.layout if reference.layout is not Layout.HWC else None,
    }
    if request.quantised is not None:
        with naming(data):
            try_network(request.quantised, memory=request.memory, **asked)
        return load_network(request.quantised, **asked)
    path = _quantise(request, data, reference, listener)
    # A file that relrob makes reads what its reference reads, and has one output.
    made = {"inputs": exactly(reference.contract), "like": None}
    scheme = form_of(reference, request.quantise, request.runtime)
    runtime = request.runtime or default_runtime(scheme)
    network = load_network(path, **{**asked, "runtime": runtime, **made})
    how = rebuilt(reference, scheme)
    if how:
        listener(Event("note", f"the quantised network: {Path(reference.path).name}, {how}"))
        network = replace(network, conversion=how)
    return network


def _quantise(
    request: Request, data: Images | Dataset, reference: Network, listener: Listener
) -> Path:
    """The path of the quantised reference in the cache. Its name is a digest of all that decides
    its bytes."""
    scheme = form_of(reference, request.quantise, request.runtime)
    check_quantisable(reference)
    calibration: Calibration | None = None
    if needs_calibration(scheme):
        images = calibration_images(request.dataset, data, memory=request.memory)
        calibration = draw(images, seed=request.seed, own=judged(data))
    pixels = sha256_bytes(calibration.images.tobytes()) if calibration else ""
    own = ["own file"] if own_file(reference, scheme) else []
    described = repr(
        [
            reference.sha256,
            reference.layout.value,
            scheme,
            pixels,
            version(scheme_entry(scheme).tool),
            *own,
            *([] if reference.contract.identity else [reference.contract.text()]),
        ]
    )
    path = (
        cache_dir()
        / "quantised"
        / f"{scheme.replace(':', '')}-{sha256_bytes(described.encode())[:20]}{suffix(scheme)}"
    )
    if not path.is_file():
        check_writable(path)
        how = f", calibrated on {calibration.name}" if calibration else ""
        listener(Event("quantise", f"quantising {Path(reference.path).name} ({scheme}{how})"))
        write_atomic(path, quantised_bytes(reference, scheme, calibration, data.image_shape))
    return path
