"""The arithmetic of shapes in an ONNX graph: lengths that depend on the number of images alone."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

# The lengths of a shape, or numbers that are made of them; None stands for the number of images.
Lengths = list[int | None]


def numbers(at: dict[str, Any]) -> onnx.TensorProto | None:
    """The value of a Constant that is written as numbers, None for one that is not."""
    for name in ("value_int", "value_ints", "value_float", "value_floats"):
        if name in at:
            values = at[name] if name.endswith("s") else [at[name]]
            kind = onnx.TensorProto.FLOAT if "float" in name else onnx.TensorProto.INT64
            return helper.make_tensor("", kind, [len(values)] if name.endswith("s") else [], values)
    return None


def stepped(kind: str, at: dict[str, Any], parts: list[Lengths]) -> Lengths | None:
    """The lengths after one step in the arithmetic of shapes, None for an operator that is not
    listed."""
    match kind:
        case "Identity" | "Squeeze" | "Unsqueeze":
            return parts[0]
        case "Cast" if at.get("to") in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
            return parts[0]
        case "Concat":
            return [length for part in parts for length in part]
        case "Gather" if all(
            n is not None and -len(parts[0]) <= n < len(parts[0]) for n in parts[1]
        ):
            return [parts[0][n] for n in parts[1] if n is not None]
        case "Slice" if len(parts) == 3 or (len(parts) == 4 and parts[3] == [0]):
            ends = parts[1] + parts[2]
            return (
                parts[0][slice(*ends)]
                if len(parts[1]) == len(parts[2]) == 1 and None not in ends
                else None
            )
    return None
