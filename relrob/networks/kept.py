"""Functions of a network that compute their value once, and keep it with the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TypeVar

from relrob.domain.network import Network

T = TypeVar("T")


def kept(make: Callable[[Network], T]) -> Callable[[Network], T]:
    """`make` as a function that computes its value once for each `Network`.

    The value lives as long as the network. A network that `dataclasses.replace` changed, or that
    came from another process, computes its own. An error is raised again on every call.
    """

    @wraps(make)
    def found(network: Network) -> T:
        return network.derived.once(make, partial(make, network))

    return found
