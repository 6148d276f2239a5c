"""A Keras model for ART, the oracle of attacks, and the same weights for ours."""

from __future__ import annotations

from typing import Any

import pytest

from relrob.attacks.dense_gradients import DenseGradients
from relrob.domain.network import Dense
from relrob.networks.open import Opened
from tests.make_networks import keras, keras_model
from tests.support import numpy_opened

SHAPE = (6, 6, 1)


def art_classifier(dense: Dense) -> Any:
    """ART's classifier of the logits of an MLP over images of `SHAPE`."""
    module = pytest.importorskip(
        "art.estimators.classification", reason="needs ART: pip install 'relrob[art]'"
    )
    return module.TensorFlowV2Classifier(
        keras_model(dense, SHAPE),
        nb_classes=dense.classes,
        input_shape=SHAPE,
        loss_object=keras().losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=(0, 1),
    )


def ours(dense: Dense) -> tuple[Opened, DenseGradients]:
    """The same weights, opened, and their gradients."""
    return numpy_opened(dense, SHAPE), DenseGradients(dense)
