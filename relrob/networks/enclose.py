"""The enclosure of a loaded network on the runtime that it names, and the layers of a dynamic-range one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Network
from relrob.networks.content import checked_bytes
from relrob.networks.enclosure import Enclosure, fixed_enclosure, float32_enclosure, real_enclosure
from relrob.networks.folded import gives_logits
from relrob.networks.kernels.fixed_file import fixed_of
from relrob.networks.kernels.litert_layers import DynamicFull, Softmax
from relrob.networks.unharmed import Unharmed
from relrob.registry import load

_MOST_INPUTS: Final = 4096


@Unharmed
@lru_cache(maxsize=8)
def enclosure_of(network: Network) -> Enclosure | None:
    """Float MLPs, dense `.tflite` files and fixed-point networks have one; None for black boxes. Reads the file again, once."""
    if network.black_box:
        return None
    if network.dense is not None and network.arithmetic is Arithmetic.FLOAT32:
        return float32_enclosure(network.dense, softmax=not gives_logits(network))
    if network.dense is not None and network.arithmetic is Arithmetic.REAL:
        return real_enclosure(network.dense)
    if network.format == "tflite":
        found: Enclosure | None = load("relrob.networks.tflite_enclosure:tflite_enclosure")(
            network, checked_bytes(network)
        )
        return found
    fixed = fixed_of(network)
    return None if fixed is None else fixed_enclosure(fixed)


@Unharmed
@lru_cache(maxsize=8)
def dynamic_layers(network: Network) -> tuple[DynamicFull, ...] | None:
    """The layers of a dense dynamic-range `.tflite` file (ReLU, ..., ReLU, none: two at least), less a last softmax, else None.

    Every row is quantised alike: with a zero point on `xnnpack`, elsewhere as the file asks. Reads the file again, once.
    """
    if network.black_box or network.format != "tflite" or not network.scheme.startswith("dynamic"):
        return None
    chain = load("relrob.networks.kernels.emulate:chain_of")(network, checked_bytes(network))
    layers = () if chain is None else chain.layers
    layers = layers[:-1] if layers and isinstance(layers[-1], Softmax) else layers
    if len(layers) < 2 or not all(isinstance(layer, DynamicFull) for layer in layers):
        return None
    alike = len({layer.asymmetric for layer in layers}) == 1
    relus = [layer.relu for layer in layers] == [True] * (len(layers) - 1) + [False]
    return tuple(layers) if alike and relus else None


@lru_cache(maxsize=8)
def row_quantiser(network: Network) -> Callable[[Floats], Floats] | None:
    """What the runtime makes of images (n, d) before the first of `dynamic_layers`; None where there are none, or d is too large
    for a file of d * d weights."""
    layers = dynamic_layers(network)
    if layers is None or network.inputs > _MOST_INPUTS:
        return None
    made: Callable[[Floats], Floats] = load("relrob.networks.kernels.litert_rows:RowQuantiser")(
        network, layers[0].asymmetric
    )
    return made
