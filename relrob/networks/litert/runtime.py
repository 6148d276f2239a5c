"""LiteRT on the CPU: `.tflite` files on XNNPACK, on the built-in kernels without it, or on the
reference kernels."""

from __future__ import annotations

import logging
from math import prod
from typing import Final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.batches import differs_in_batches, probe_images
from relrob.networks.content import checked_bytes
from relrob.networks.evaluator import Evaluator
from relrob.networks.litert.emulate import emulator
from relrob.networks.litert.flat import read_flat
from relrob.networks.litert.graph import read_graph
from relrob.networks.litert.interpreter import LiteRt, best_batch
from relrob.networks.litert.kernels import kernels_of
from relrob.networks.litert.layers import Quantise
from relrob.networks.litert.probes import hostile_images

log = logging.getLogger(__name__)

_BLOCK: Final = 8  # values that LiteRT's built-in QUANTIZE rounds at once


def open_litert(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> Evaluator:
    """The file on `network.runtime`: "xnnpack", "builtin" or "reference". Raises NetworkError when
    LiteRT refuses it.

    A graph that is not known to treat images apart, that rounds by the place in a batch, or that
    holds its batch fixed is run image by image. Where our emulator of the kernels is faster and
    `batch` is left open, it computes the same bits; `batch` 1 always runs LiteRT itself.
    """
    content = checked_bytes(network, data)
    apart = network.apart and not rounds_by_place(network, content)
    best = (batch or best_batch(network)) if apart else 1
    evaluator = LiteRt(network, content, threads, best)
    single = evaluator if best == 1 else LiteRt(network, content, threads, 1)
    probes = probe_images(network)
    alone = single.outputs(probes)
    if best == 1:
        return evaluator
    images, expected = (np.concatenate([each, each[::-1]]) for each in (probes, alone))
    why = differs_in_batches(evaluator.outputs, images, expected, 1.5 * single.quantum)
    if not why:
        return _faster(network, content, evaluator, threads) if batch is None else evaluator
    log.warning("%s %s: its images run one by one", network.path, why)
    return single


def rounds_by_place(network: Network, data: bytes) -> bool:
    """Can an image have other outputs in a batch, because the built-in QUANTIZE rounds halves to
    even in whole blocks of the batch, and away from zero in what is left over? What a black box
    quantises may also be a float that depends on the batch itself."""
    if network.runtime == "reference":
        return False
    if not network.black_box:
        graph, kernels = read_graph(data), kernels_of(data, network.runtime)
        left = any(
            isinstance(a, Quantise) and kernel == "builtin"
            for a, kernel in zip(graph.layers, kernels, strict=True)
        )
        return left and graph.widths[0] % _BLOCK != 0
    flat = read_flat(data)
    pixels, left = {flat.inputs[0]}, False
    for step in flat.operators:
        given = flat.tensors[step.inputs[0]] if step.inputs and step.inputs[0] >= 0 else None
        if given is not None and step.kind == "RESHAPE" and given.number in pixels:
            pixels.update(step.outputs)
        elif given is not None and step.kind == "QUANTIZE" and given.type == "FLOAT32":
            left |= given.number not in pixels or prod(given.shape) % _BLOCK != 0
    return left


def _faster(network: Network, content: bytes, evaluator: LiteRt, threads: int) -> Evaluator:
    """The emulator where it is faster than the interpreter and gives the same bits on hostile
    images; else the interpreter."""
    dynamic = network.scheme.startswith("dynamic") and network.runtime in ("builtin", "reference")
    if network.black_box or not (
        dynamic or (network.scheme.startswith("int8") and network.runtime == "reference")
    ):
        return evaluator
    found = emulator(network, content, threads)
    if found is None:
        return evaluator
    if same_on_hostile_images(found, evaluator, network):
        return found
    log.warning(
        "%s: our kernels for %s differ from LiteRT on this machine; LiteRT runs it",
        network.path,
        network.runtime,
    )
    return evaluator


def same_on_hostile_images(one: Evaluator, other: Evaluator, network: Network) -> bool:
    """Do two evaluators give the same numbers on images that tell kernels apart? Their zeros may
    differ in sign."""
    images = hostile_images(network)
    return bool(np.array_equal(one.outputs(images), other.outputs(images), equal_nan=True))


def in_batches(network: Network, images: Floats) -> Floats:
    """Outputs of the images in batches of 64, even where images are run one by one."""
    return LiteRt(network, checked_bytes(network, None), 1, 64).outputs(images)
