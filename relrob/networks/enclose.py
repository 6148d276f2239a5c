"""The enclosure of a loaded network on the runtime that it names."""

from __future__ import annotations

from functools import lru_cache

from relrob.domain.network import Arithmetic, Network
from relrob.networks.content import checked_bytes
from relrob.networks.enclosure import Enclosure, fixed_enclosure, float32_enclosure
from relrob.networks.folded import gives_logits
from relrob.networks.kernels.fixed_file import fixed_of
from relrob.registry import load


@lru_cache(maxsize=8)
def enclosure_of(network: Network) -> Enclosure | None:
    """Float MLPs, dense `.tflite` files and fixed-point networks have one; None for black boxes. Reads the file again, once."""
    if network.dense is not None and network.arithmetic is Arithmetic.FLOAT32:
        return float32_enclosure(network.dense, softmax=not gives_logits(network))
    if network.format == "tflite":
        found: Enclosure | None = load("relrob.networks.tflite_enclosure:tflite_enclosure")(
            network, checked_bytes(network)
        )
        return found
    fixed = fixed_of(network)
    return None if fixed is None else fixed_enclosure(fixed)
