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

    A graph that is not known to treat images apart, or that holds its batch fixed, is run image by image, and a warning says so.
    Where our emulator of the kernels is faster and `batch` is left open, it computes the same bits; `batch` 1 always runs LiteRT
    itself.
    """
    content = checked_bytes(network, data)
    best = (batch or best_batch(network)) if network.apart else 1
    evaluator = LiteRt(network, content, threads, best)
    single = evaluator if best == 1 else LiteRt(network, content, threads, 1)
    probes = probe_images(network)
    alone = single.outputs(probes)
    if best == 1:
        if not network.apart and batch != 1:
            log.warning("%s may mix the images of a batch: they run one by one", network.path)
        return evaluator
    if _agrees(evaluator, probes, alone):
        return _faster(network, content, evaluator, threads) if batch is None else evaluator
    log.warning("%s does not run in batches on %s: its images run one by one", network.path, network.runtime)
    return single


def _faster(network: Network, content: bytes, evaluator: LiteRt, threads: int) -> Evaluator:
    """The emulator where it is faster than the interpreter and gives the same bits on hostile images; else the interpreter."""
    dynamic = network.scheme.startswith("dynamic") and network.runtime in ("builtin", "reference")
    if network.black_box or not (dynamic or (network.scheme.startswith("int8") and network.runtime == "reference")):
        return evaluator
    found = emulator(network, content, threads)
    if found is None:
        return evaluator
    if same_on_hostile_images(found, evaluator, network):
        return found
    log.warning(
        "%s: our kernels for %s differ from LiteRT on this machine; LiteRT runs it", network.path, network.runtime
    )
    return evaluator


def same_on_hostile_images(one: Evaluator, other: Evaluator, network: Network) -> bool:
    """Do two evaluators give the same bits on images that tell kernels apart?"""
    images = hostile_images(network)
    return bool(np.array_equal(one.outputs(images).view(np.uint32), other.outputs(images).view(np.uint32)))


def kernels_differ(network: Network, data: bytes | None = None) -> str:
    """How our model of the kernels differs from LiteRT on this machine, "" where it does not or where nothing is emulated: the
    bounds of such a file are void. For `networks/probes.py`."""
    content = checked_bytes(network, data)
    found = emulator(network, content)
    if found is None or not network.apart:
        return ""
    own = LiteRt(network, content, 1, best_batch(network))
    if same_on_hostile_images(found, own, network):
        return ""
    return f"our model of LiteRT's {network.runtime} kernels differs from LiteRT on this machine"


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
