"""The differentiable model of a network, where relrob has one."""

from __future__ import annotations

from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.victim import Gradients
from relrob.domain.network import Network
from relrob.networks.model import modelled_dense


def gradients_of(network: Network) -> Gradients | None:
    """The weights of a float MLP; None for other networks."""
    dense = modelled_dense(network)
    return None if dense is None else DenseGradients(dense)
