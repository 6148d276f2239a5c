"""The bytes that a runtime executes: the file that was loaded, unchanged, or the weights in the value."""

from __future__ import annotations

from pathlib import Path

from relrob.domain.network import Arithmetic, Network
from relrob.errors import NetworkError
from relrob.files import sha256_bytes
from relrob.registry import load


def runs_weights(network: Network) -> bool:
    """Does the runtime execute the weights in the value (exported to ONNX, or over the reals), and not the file?"""
    own = network.runtime == "onnxruntime" and (network.format != "onnx" or network.folded)
    return network.dense is not None and (own or network.arithmetic is Arithmetic.REAL)


def checked_bytes(network: Network, data: bytes | None = None) -> bytes:
    """The file's bytes (or `data`), which have the digest that `load_network` saw. Raises NetworkError otherwise."""
    path = Path(network.path)
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NetworkError(f"cannot read {path}: {error.strerror or error}", "the file that was loaded") from error
    if sha256_bytes(data) == network.sha256:
        return data
    if network.format == "onnx" and load("relrob.networks.onnx_files:digest_onnx")(path, data) == network.sha256:
        return data
    raise NetworkError(
        f"{path} has changed since it was loaded", f"the file of SHA-256 {network.sha256[:12]}...", "load it again"
    )
