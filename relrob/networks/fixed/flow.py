"""A fixed-point network as steps for gradients, in units of codes."""

from __future__ import annotations

import numpy as np

from relrob.domain.network import Network
from relrob.networks.content import checked_bytes
from relrob.networks.fixed.file import parse_fixed
from relrob.networks.flow import Affine, Flow, Product, Rounded, Step
from relrob.networks.weighted import Codes

# Logits beyond some tens leave a cross-entropy without a gradient: the largest output becomes this.
_LARGEST = 16.0


def read_flow(network: Network) -> Flow:
    """The steps; outputs are scaled by one factor, which changes no label."""
    fixed = parse_fixed(network.path, checked_bytes(network))
    none = np.zeros((), np.float32)
    steps: list[Step] = []
    steps.append(Affine(0, np.full((), fixed.pixel_scale, np.float32), none))
    steps.append(Rounded(1, Codes("pixels", 1.0, 0, fixed.low, fixed.high)))
    for number, layer in enumerate(fixed.layers, start=1):
        unit = 2.0**-layer.shift
        weights = (layer.weights * unit).astype(np.float32)
        bias = ((layer.bias << layer.bias_shift) * unit).astype(np.float32)
        steps.append(Product(len(steps), weights, bias))
        codes = Codes(f"layer {number}", 1.0, 0, layer.low, layer.high)
        steps.append(Rounded(len(steps), codes))
    last = fixed.layers[-1]
    most = max(abs(last.low), abs(last.high))
    factor = np.full((), min(1.0, _LARGEST / most), np.float32)
    steps.append(Affine(len(steps), factor, none))
    return Flow((fixed.inputs,), tuple(steps))
