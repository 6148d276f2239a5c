"""The wiring of a `.tflite` graph: one input, one output, every value written once and before it is
read."""

from __future__ import annotations

from relrob.networks.litert.flat import Flat, NotModelledError


def check_wiring(flat: Flat) -> None:
    """Raise NotModelledError unless the graph runs as it reads."""
    if flat.odd:
        raise NotModelledError(flat.odd)
    for tensor in flat.tensors:
        if tensor.odd:
            raise NotModelledError(f"tensor {tensor.number} {tensor.odd}")
    if len(flat.inputs) != 1 or len(flat.outputs) != 1:
        raise NotModelledError(
            f"the graph has {len(flat.inputs)} inputs and {len(flat.outputs)} outputs"
        )
    written = set(flat.inputs)
    if flat.tensors[flat.inputs[0]].constant:
        raise NotModelledError("the input is a constant")
    for operator in flat.operators:
        if operator.odd:
            raise NotModelledError(f"{operator.name} {operator.odd}")
        for place in operator.inputs:
            if place != -1 and place not in written and not flat.tensors[place].constant:
                raise NotModelledError(f"{operator.name} reads tensor {place} before it is written")
        for place in operator.outputs:
            if place == -1 or place in written or flat.tensors[place].constant:
                raise NotModelledError(
                    f"{operator.name} writes tensor {place}, which is written already or a constant"
                )
            written.add(place)
