"""The differentiable model of a network of any kind, where there is one."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np

from relrob.attacks.chain_gradients import ChainGradients
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.victim import Gradients
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.evaluator import labels
from relrob.networks.flow import flow_of
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.networks.model import modelled_dense
from relrob.networks.open import Opened
from relrob.networks.weighted import NotReadError

log = logging.getLogger(__name__)

EMULATION: Final = "float emulation of its layers"


def gradients_of(network: Network, threads: int = 1) -> Gradients | None:
    """The model of a network: the weights of a float MLP, GradientTape through a Keras model, the
    emulation of the steps of a `.tflite`, ONNX or fixed-point file. None where there is none.

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
    return _emulated(network, threads)


def _emulated(network: Network, threads: int) -> Gradients | None:
    """The model that the steps of a file are, None where they are not read."""
    try:
        flow = flow_of(network)
    except NotReadError as reason:
        log.info("%s has no gradients: %s", network.path, reason)
        return None
    if flow is None:
        return None
    if flow.chain:
        return ChainGradients(network, flow, EMULATION)
    made: Gradients = load_on_tensorflow("relrob.attacks.flow_gradients:flow_gradients")(
        network, flow, EMULATION, threads
    )
    return made


def agreement(model: Gradients, opened: Opened, images: Floats) -> float:
    """Share of flat images (n, d) to which model and runtime give the same label."""
    same = labels(model.logits(images)) == labels(opened.evaluator.outputs(images))
    return float(np.mean(same))
