"""The LiteRT runtime on the CPU: `.tflite` files on XNNPACK, on the built-in kernels without it, or
on the reference kernels."""

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
from relrob.networks.litert.file import LiteRtFile, litert_file
from relrob.networks.litert.graph import FULL
from relrob.networks.litert.interpreter import LiteRt, best_batch
from relrob.networks.litert.layers import Dequantise, FloatFull, Quantise
from relrob.networks.litert.probes import hostile_images

log = logging.getLogger(__name__)

# Values that LiteRT's built-in QUANTIZE rounds at once.
_BLOCK: Final = 8
# Operators that round a value once, or not at all, on its way: the same in any place.
_EXACT: Final = (
    "RESHAPE RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 MAXIMUM MINIMUM NEG ABS PAD PADV2 "
    "CONCATENATION TRANSPOSE MAX_POOL_2D CAST "
    "REDUCE_MAX REDUCE_MIN ADD SUB MUL DIV SHAPE STRIDED_SLICE PACK"
)


def open_litert(
    network: Network, threads: int, data: bytes | None = None, batch: int | None = None
) -> Evaluator:
    """The file on `network.runtime`: "xnnpack", "builtin" or "reference". Raises NetworkError when
    LiteRT refuses it.

    A graph runs image by image where it is not known to treat images apart, where it rounds by the
    place in a batch, or where it holds its batch fixed. Our emulator of the kernels computes the
    same bits where it is faster and `batch` is left open. `batch` 1 always runs LiteRT itself.
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


def rounds_by_place(network: Network, data: bytes | None = None) -> bool:
    """Can an image have other outputs in a batch, because the built-in kernels round floats in
    whole blocks in one way, and in the rest of the batch in another?

    Last bits of logits or probabilities alone do not matter here, because points near a tie run by
    themselves. QUANTIZE moves a value by a step, and a float layer may cancel or be quantised
    again. A black box may enlarge any rounding.

    `data`: the file's bytes, read from `network.path` when not given. Raises NetworkError when the
    file is not the one that was loaded.
    """
    if network.runtime in ("reference", "tflm"):
        return False
    file = litert_file(network, data)
    if network.black_box:
        return _rounds_somewhere(file, network.runtime)
    graph, kernels = file.graph, file.kernels(network.runtime)
    own = [
        layer for layer, kernel in zip(graph.layers, kernels, strict=True) if kernel == "builtin"
    ]
    dense = [layer for layer in graph.layers if isinstance(layer, FULL)]
    middle = graph.layers.index(dense[-1]) if dense else 0
    return any(
        isinstance(layer, FloatFull)
        or (isinstance(layer, Quantise) and graph.widths[0] % _BLOCK != 0)
        or (isinstance(layer, Dequantise) and graph.layers.index(layer) < middle)
        for layer in own
    )


def _rounds_somewhere(file: LiteRtFile, runtime: str) -> bool:
    """The answer for a graph that is not modelled, from the operators that run on the built-in
    kernels."""
    flat = file.flat
    own = (
        file.left_by_delegate
        if runtime == "xnnpack"
        else frozenset(step.number for step in flat.operators)
    )
    pixels = {flat.inputs[0]}
    for step in flat.operators:
        given = flat.tensors[step.inputs[0]] if step.inputs and step.inputs[0] >= 0 else None
        if given is not None and step.kind == "RESHAPE" and given.number in pixels:
            pixels.update(step.outputs)
        elif given is None or given.constant or step.number not in own:
            continue
        elif step.kind == "QUANTIZE" and given.type == "FLOAT32":
            if given.number not in pixels or prod(given.shape) % _BLOCK != 0:
                return True
        elif step.kind not in _EXACT.split() and any(
            flat.tensors[place].type == "FLOAT32" for place in step.outputs
        ):
            return True
    return False


def _faster(network: Network, content: bytes, evaluator: LiteRt, threads: int) -> Evaluator:
    """The emulator where it is faster than the interpreter and gives the same bits on hostile
    images. Else the interpreter."""
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
