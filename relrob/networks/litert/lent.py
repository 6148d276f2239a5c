"""Ranges that activations of a `.tflite` file may have from the steps behind them.

TensorFlow's converter calibrates the float file after each operator, and a step that computes value
for value may write its output over its input by then: the input gets the range of the output. A
convolution with a ReLU before a normalisation that stands as MUL and ADD has that of the MUL.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from relrob.domain.network import Network
from relrob.networks.litert.file import litert_file
from relrob.networks.litert.flat import NotModelledError
from relrob.networks.litert.weighted import codes_of
from relrob.networks.weighted import Codes

# Operators that compute each value of their output from one of their input.
_STEPS: Final = ("MUL", "ADD", "SUB", "DIV", "LEAKY_RELU", "ELU", "PRELU", "RELU")
# Those that cut their input off above: what leaves the range there is lost anyway.
_CUTTING: Final = ("MINIMUM", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1")


class Lender(NamedTuple):
    """The codes of a step with the range of what it reads. `cuts`: has it a largest value?"""

    codes: Codes
    cuts: bool


def lenders(network: Network) -> dict[str, tuple[Lender, ...]]:
    """For tensors by their numbers, the steps that read them and have their range, up to rounding;
    a ReLU keeps its 0 as the lower end. Raises NetworkError when the file has changed."""
    try:
        flat = litert_file(network).flat
    except NotModelledError:
        return {}
    found: dict[str, tuple[Lender, ...]] = {}
    for operator in flat.operators:
        cuts = operator.kind in _CUTTING
        if not (cuts or operator.kind in _STEPS) or not operator.outputs:
            continue
        given = [flat.at(place) for place in operator.inputs if place >= 0]
        read = [tensor for tensor in given if not tensor.constant]
        made = codes_of(flat.at(operator.outputs[0]))
        own = codes_of(read[0]) if len(read) == 1 else None
        if own is not None and made is not None and _of_one_range(own, made):
            found[own.name] = (*found.get(own.name, ()), Lender(made, cuts))
    return found


def _of_one_range(own: Codes, behind: Codes) -> bool:
    loose = own.scale + behind.scale
    bottom = own.zero == own.least or abs(own.bottom - behind.bottom) <= loose
    return bottom and abs(own.top - behind.top) <= loose
