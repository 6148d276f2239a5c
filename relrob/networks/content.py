"""The bytes that a runtime executes: the loaded file, unchanged, or the weights of plain dense
layers."""

from __future__ import annotations

from pathlib import Path

from relrob.domain.network import Arithmetic, Network
from relrob.errors import NetworkError
from relrob.registry import load
from relrob.system.files import sha256_bytes


def runs_weights(network: Network) -> bool:
    """Does the runtime execute the weights in the value, exported to ONNX or over the reals, and
    not the file?

    Only the weights of plain dense layers are the whole file. Its own runtime executes a file that
    does more. An `.onnx` file always runs as it is.
    """
    exported = network.runtime == "onnxruntime" and network.format != "onnx"
    return network.dense is not None and (
        network.arithmetic is Arithmetic.REAL
        or (exported and network.dense.plain and not network.folded)
    )


def conversion_of(network: Network) -> str:
    """The form in which the runtime executes the network, as `Network.conversion` says it. ""
    stands for the file as given."""
    return (
        "as ONNX: plain dense layers"
        if runs_weights(network) and network.runtime == "onnxruntime"
        else ""
    )


def checked_bytes(network: Network, data: bytes | None = None) -> bytes:
    """The file's bytes, or `data`, whose digest is the one that `load_network` saw. Raises
    NetworkError otherwise."""
    path = Path(network.path)
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NetworkError(
                f"cannot read {path}: {error.strerror or error}", "the file that was loaded"
            ) from error
    if sha256_bytes(data) == network.sha256:
        return data
    if (
        network.format == "onnx"
        and load("relrob.networks.onnx.files:digest_onnx")(path, data) == network.sha256
    ):
        return data
    raise NetworkError(
        f"{path} has changed since it was loaded",
        f"the file of SHA-256 {network.sha256[:12]}...",
        "load it again",
    )


def gives_logits(network: Network) -> bool:
    """Are the outputs of its runtime the logits of its weights? They are probabilities
    otherwise."""
    return network.dense is not None and (not network.dense.softmax or runs_weights(network))
