"""Has a file weights of fewer than 8 bits?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto

from relrob.domain.network import Network
from relrob.networks.content import checked_bytes
from relrob.networks.litert.file import LiteRtFile

_SMALL: Final = (TensorProto.INT4, TensorProto.UINT4)
_PACKED: Final = ("MatMulNBits", "GatherBlockQuantized")


def few_bits(network: Network) -> bool:
    """Does the file hold weights of fewer than 8 bits, or may it, because nothing is known of its
    format?"""
    if network.format == "tflite":
        tensors = LiteRtFile(checked_bytes(network, None)).flat.tensors
        return any(each.type in ("INT4", "UINT4", "INT2") for each in tensors)
    if network.format != "onnx":
        return network.format == "fixed" or "4" in network.scheme
    graph = onnx.load(Path(network.path), load_external_data=False).graph
    small = any(each.data_type in _SMALL for each in graph.initializer)
    return small or any(node.op_type in _PACKED for node in graph.node)
