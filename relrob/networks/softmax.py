"""The softmax at the end of a network, and the error that it adds to bounds of margins."""

from __future__ import annotations

from typing import Final

from relrob.domain.network import Arithmetic, Network
from relrob.networks.content import gives_logits
from relrob.networks.enclosure import Enclosure, float_softmax_gap

# Error of a difference of float32 probabilities, whose exp is within 2^-14.
_FLOAT: Final = 2.0**-10
# Error of a difference of int8 probabilities: two quanta for each, and one rounding.
_INTEGER: Final = 5 / 256


def outputs_are_probabilities(network: Network, enclosure: Enclosure) -> bool:
    """Does the runtime give probabilities, where the enclosure's layers end in logits?"""
    return enclosure.probabilities or (network.dense is not None and not gives_logits(network))


def softmax_slack(network: Network, enclosure: Enclosure) -> float:
    """The most by which a difference of two of the runtime's probabilities is off from exact
    arithmetic."""
    integer = network.arithmetic is Arithmetic.INTEGER and enclosure.gap > float_softmax_gap()
    return _INTEGER if integer else _FLOAT
