"""The enclosure of a loaded network on its runtime, and the layers of a dynamic-range network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Network
from relrob.networks.content import gives_logits
from relrob.networks.enclosure import Enclosure, fixed_enclosure, float32_enclosure, real_enclosure
from relrob.networks.fixed.file import fixed_of
from relrob.networks.kept import kept
from relrob.networks.litert.layers import DynamicFull
from relrob.networks.model import modelled_dense
from relrob.networks.unharmed import Unharmed
from relrob.registry import load

_MOST_INPUTS: Final = 4096


@Unharmed
@kept
def enclosure_of(network: Network) -> Enclosure | None:
    """The enclosure of a float MLP, a dense `.tflite` file or a fixed-point network. None for a
    black box.

    The network keeps it: the file is read again only once. Raises NetworkError where the file has
    changed since it was loaded.
    """
    if network.black_box:
        return None
    if network.dense is not None and network.arithmetic is Arithmetic.FLOAT32:
        dense = modelled_dense(network)
        return None if dense is None else float32_enclosure(dense, not gives_logits(network))
    if network.dense is not None and network.arithmetic is Arithmetic.REAL:
        return real_enclosure(network.dense)
    if network.format == "tflite":
        found: Enclosure | None = load("relrob.networks.litert.enclosure:tflite_enclosure")(network)
        return found
    fixed = fixed_of(network)
    return None if fixed is None else fixed_enclosure(fixed)


def refusal(networks: Sequence[Network]) -> str | None:
    """None when every network has an enclosure, else the sentence that names those that have none.

    Raises NetworkError as `enclosure_of` does.
    """
    without = dict.fromkeys(unbounded(each) for each in networks if enclosure_of(each) is None)
    if not without:
        return None
    return (
        f"no bounds for {' and '.join(without)};"
        " float MLPs, dense .tflite files and fixed-point networks have them"
    )


def unbounded(network: Network) -> str:
    """The network by its file, with what of it has no bounds where that is known."""
    why = network.black_box
    return f"{network.path}{f' ({why})' if why else ''}"


@Unharmed
@kept
def dynamic_layers(network: Network) -> tuple[DynamicFull, ...] | None:
    """The layers of a dense dynamic-range `.tflite` file without its last softmax, two at least.
    None for any other network.

    Every layer but the last ends in a ReLU. All rows are quantised in one way: `asymmetric` says
    whether the kernel that runs a layer gives them a zero point. The network keeps the layers.
    Raises NetworkError where the file has changed since it was loaded.
    """
    found = _dynamic(network)
    return None if found is None else found[0]


@kept
def _dynamic(network: Network) -> tuple[tuple[DynamicFull, ...], str] | None:
    """The layers, and the kernel of the first."""
    # The levels of rows are counted from pixels as they are.
    if not network.contract.plain:
        return None
    if network.black_box or network.format != "tflite" or not network.scheme.startswith("dynamic"):
        return None
    found: tuple[tuple[DynamicFull, ...], str] | None = load(
        "relrob.networks.litert.enclosure:dynamic_model"
    )(network)
    return found


@kept
def row_quantiser(network: Network) -> Callable[[Floats], Floats] | None:
    """A function of images (n, d) that gives their rows as the runtime quantises them before the
    first of `dynamic_layers`.

    None where there are no such layers, or where d is too large for a file of d * d weights.
    """
    found = _dynamic(network)
    if found is None or network.inputs > _MOST_INPUTS:
        return None
    layers, kernel = found
    made: Callable[[Floats], Floats] = load("relrob.networks.litert.rows:RowQuantiser")(
        replace(network, runtime=kernel), layers[0].asymmetric
    )
    return made
