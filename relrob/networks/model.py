"""The weights of a float MLP as a function of pixels: those of its file, behind the input
contract."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from relrob.domain.network import Dense, Layout, Network
from relrob.errors import NetworkError
from relrob.networks.feed import Entry, entry, reversed_channels
from relrob.networks.kept import kept
from relrob.networks.load import in_raster_order, read_source, two_outputs
from relrob.networks.operators import NotDenseError, OperatorChain
from relrob.networks.shapes import raster, without_batch

log = logging.getLogger(__name__)


@kept
def modelled_dense(network: Network) -> Dense | None:
    """The MLP that bounds and folded arithmetic speak of, rows in the order of the pixels. None for
    a network without float weights.

    It is `network.dense` where the file reads pixels as they are. Any other contract is steps on
    constants before the first layer, whose roundings are modelled as those of a layer inside the
    file (docs/inputs.md, "Bounds, judges and replays"). The network keeps it.

    Raises NetworkError where the file has changed since it was loaded.
    """
    if network.dense is None or network.contract.plain:
        return network.dense
    try:
        found = _read_again(network) if network.folded else _behind(network.dense, entry(network))
    except NotDenseError as reason:
        log.info("%s has no bounds behind %s: %s", network.path, network.contract.text(), reason)
        return None
    if not network.contract.bgr:
        return found
    first = found.layers[0]
    rows = first.weights[reversed_channels(network)]
    return replace(found, layers=(replace(first, weights=rows), *found.layers[1:]))


def _behind(dense: Dense, steps: Entry) -> Dense:
    """Plain dense layers behind some steps. Raises NotDenseError."""
    chain = OperatorChain((dense.inputs,), steps)
    for layer in dense.layers:
        chain.dense(layer.weights, layer.bias)
        if layer.relu:
            chain.relu()
    if dense.softmax:
        chain.softmax()
    return chain.finish()


def _read_again(network: Network) -> Dense:
    """The model of a file that does more than plain dense layers. Raises NotDenseError,
    NetworkError."""
    source = read_source(Path(network.path), network.path, network.contract.output)
    if source.sha256 != network.sha256:
        raise NetworkError(
            f"{network.path} has changed since it was loaded",
            f"the file of SHA-256 {network.sha256[:12]}...",
            "load it again",
        )
    shape = network.image_shape
    dims = shape if source.dims is None else without_batch(source.dims, shape)[0]
    order = raster(network.layout, shape)
    steps = tuple(
        (np.ascontiguousarray(scale[order]), np.ascontiguousarray(shift[order]))
        for scale, shift in entry(network)
    )
    dense, _ = source.dense(dims, steps)
    if network.head and dense.classes == 1:
        dense = two_outputs(dense)
    return in_raster_order(dense, Layout(network.layout), shape)
