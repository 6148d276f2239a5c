"""LiteRT on the CPU: `.tflite` files on XNNPACK, on the built-in kernels without it, or on the reference kernels."""

from __future__ import annotations

import logging

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.batches import probe_images
from relrob.networks.content import checked_bytes
from relrob.networks.evaluator import Evaluator
from relrob.networks.interpreter import LiteRt, best_batch
from relrob.networks.kernels.emulate import emulator
from relrob.networks.kernels.litert_probes import hostile_images

log = logging.getLogger(__name__)


def open_litert(network: Network, threads: int, data: bytes | None = None, batch: int | None = None) -> Evaluator:
    """The file on `network.runtime`: "xnnpack", "builtin" or "reference". Raises NetworkError when LiteRT refuses it.

    A file whose graph holds its batch fixed is run image by image, and a warning says so. Where our emulator of the kernels is
    faster and `batch` is left open, it computes the same bits; `batch` 1 always runs LiteRT itself.
    """
    content = checked_bytes(network, data)
    best = batch or best_batch(network)
    evaluator = LiteRt(network, content, threads, best)
    single = evaluator if best == 1 else LiteRt(network, content, threads, 1)
    probes = probe_images(network)
    alone = single.outputs(probes)
    if best == 1:
        return evaluator
    if _agrees(evaluator, probes, alone):
        return _faster(network, content, evaluator, threads) if batch is None else evaluator
    log.warning("%s does not run in batches on %s: its images run one by one", network.path, network.runtime)
    return single


def _faster(network: Network, content: bytes, evaluator: LiteRt, threads: int) -> Evaluator:
    """The emulator where it is faster than the interpreter and gives the same bits on hostile images; else the interpreter."""
    dynamic = network.scheme.startswith("dynamic") and network.runtime in ("builtin", "reference")
    if not dynamic and not (network.scheme.startswith("int8") and network.runtime == "reference"):
        return evaluator
    found = emulator(network, content, threads)
    if found is None:
        return evaluator
    images = hostile_images(network)
    if np.array_equal(found.outputs(images).view(np.uint32), evaluator.outputs(images).view(np.uint32)):
        return found
    log.warning(
        "%s: our kernels for %s differ from LiteRT on this machine; LiteRT runs it", network.path, network.runtime
    )
    return evaluator


def _agrees(evaluator: LiteRt, probes: Floats, alone: Floats) -> bool:
    """Do the probes give the same in one batch as one by one, but for the rounding of floats and one output quantum?"""
    try:
        together = evaluator.outputs(np.concatenate([probes, probes[::-1]]))
    except NetworkError as error:
        log.debug("%s", error)
        return False
    expected = np.concatenate([alone, alone[::-1]])
    tolerance = 1e-5 * float(np.abs(expected).max(initial=0.0)) + 1.5 * evaluator.quantum
    return bool(np.allclose(together, expected, rtol=0, atol=tolerance))
