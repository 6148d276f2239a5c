"""The weights of onnxruntime's MatMulNBits: integers of 2, 4 or 8 bits, in blocks along the inputs
that share a scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.domain.arrays import Ints
from relrob.networks.onnx.constants import Constant
from relrob.networks.weighted import NotReadError, Stored, Weighted


def in_blocks(
    settings: dict[str, Any], packed: Constant, scales: Constant, zeros: Constant | None
) -> Weighted:
    """The layer of a node's attributes and constants. Without zero points they are the middle code.

    Raises NotReadError.
    """
    bits, block = int(settings["bits"]), int(settings["block_size"])
    inputs, outputs = int(settings["K"]), int(settings["N"])
    blocks = -(-inputs // block)
    if bits not in (2, 4, 8):
        raise NotReadError(f"a MatMulNBits of {bits} bits")
    codes = _unpacked(packed.values, bits).reshape(outputs, -1)[:, :inputs]
    steps = scales.values.astype(np.float64).ravel()
    if len(steps) != outputs * blocks:
        raise NotReadError("a MatMulNBits whose scales do not fit its blocks")
    middle = np.full(len(steps), 1 << (bits - 1), np.int64)
    if zeros is not None:
        if zeros.kind != "uint8":
            raise NotReadError("a MatMulNBits with float zero points")
        rows = _unpacked(zeros.values.reshape(outputs, -1), bits).reshape(outputs, -1)
        middle = rows[:, :blocks].ravel()
    groups = np.arange(outputs)[:, None] * blocks + np.arange(inputs)[None, :] // block
    stored = Stored(codes, steps, middle, groups, 0, (1 << bits) - 1, f"int{bits}")
    return Weighted("", "dense", stored.values, (inputs,), stored.scheme, 0, stored)


def _unpacked(packed: Any, bits: int) -> Ints:
    """Integers of a few bits, the low ones first."""
    per = 8 // bits
    whole = np.asarray(packed, np.int64)
    parts = [(whole >> (bits * place)) & ((1 << bits) - 1) for place in range(per)]
    return np.stack(parts, axis=-1).reshape(*whole.shape[:-1], -1)
