"""The operators of `.tflite` files that are known, with their versions and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from relrob.networks.litert.flat import NotModelledError, Operator

NONE, RELU = 0, 1
_DEFAULTS: Final = (None, 0, False, ())


@dataclass(frozen=True)
class _Known:
    """One operator that is known.

    `versions`: those that compute the same. `form`: the table of options, `needed` or not. `free`:
    options and their allowed values, None for any that the reader looks at itself. Every other
    option has its default.
    """

    versions: range
    form: str = ""
    needed: bool = False
    free: Mapping[str, tuple[object, ...] | None] = field(default_factory=dict)


_KNOWN: Final[Mapping[str, _Known]] = {
    "FULLY_CONNECTED": _Known(
        range(1, 14),
        "FullyConnectedOptions",
        True,
        {"fusedActivationFunction": (NONE, RELU), "asymmetricQuantizeInputs": (False, True)},
    ),
    "SOFTMAX": _Known(range(1, 4), "SoftmaxOptions", True, {"beta": (1.0,)}),
    "QUANTIZE": _Known(range(1, 4), "QuantizeOptions"),
    "DEQUANTIZE": _Known(range(1, 7), "DequantizeOptions"),
    "RESHAPE": _Known(range(1, 2), "ReshapeOptions", False, {"newShape": None}),
    "SHAPE": _Known(range(1, 2), "ShapeOptions", True, {"outType": (2,)}),
    "STRIDED_SLICE": _Known(range(1, 9), "StridedSliceOptions", True, {"shrinkAxisMask": (1,)}),
    "PACK": _Known(range(1, 5), "PackOptions", True, {"valuesCount": None}),
}


def check_options(operator: Operator) -> None:
    """Is the operator known with all that the file says of it? Raises NotModelledError."""
    known = _KNOWN.get(operator.kind)
    if known is None:
        raise NotModelledError(f"{operator.name} is not one that is modelled")
    if operator.version not in known.versions:
        raise NotModelledError(f"{operator.name} has version {operator.version}")
    if operator.form not in ({known.form} if known.needed else {known.form, ""}):
        raise NotModelledError(f"{operator.name} has {'other' if operator.form else 'no'} options")
    for name, value in operator.options.items():
        allowed = known.free.get(name, _DEFAULTS)
        if name == "fusedActivationFunction" and value not in (NONE, RELU):
            raise NotModelledError(f"{operator.name} has another activation than ReLU")
        if allowed is not None and value not in allowed:
            raise NotModelledError(f"{operator.name} has {name} {value}")
