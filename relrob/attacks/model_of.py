"""The differentiable model of a network of any kind, where there is one."""

from __future__ import annotations

import numpy as np

from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.victim import Gradients
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.evaluator import labels
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.networks.model import modelled_dense
from relrob.networks.open import Opened


def gradients_of(network: Network, threads: int = 1) -> Gradients | None:
    """The model of a network: the weights of a float MLP, GradientTape through a Keras model. None
    where there is none.

    `threads`: of TensorFlow, which takes them before its first use in a process. Raises
    NetworkError where the file has changed.
    """
    dense = modelled_dense(network)
    if dense is not None:
        return DenseGradients(dense)
    if network.format in ("keras", "keras-h5", "savedmodel"):
        made: Gradients = load_on_tensorflow("relrob.attacks.tape_gradients:keras_gradients")(
            network, threads
        )
        return made
    return None


def agreement(model: Gradients, opened: Opened, images: Floats) -> float:
    """Share of flat images (n, d) to which model and runtime give the same label."""
    same = labels(model.logits(images)) == labels(opened.evaluator.outputs(images))
    return float(np.mean(same))
