"""A mask behind one block of a trained network, before it trains on: activation pruning (PP) of
Matachana et al. 2020."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import keras
import numpy as np
import tensorflow as tf

from relrob.compress.graph import Graph
from relrob.compress.pruning.activations import kept_units
from relrob.domain.arrays import Doubles
from relrob.errors import UsageError
from relrob.networks.keras.quantisers import Mask

# Images whose activations are held at a time.
_CHUNK: Final = 200


@final
@dataclass(frozen=True)
class MaskedUnits:
    """The share `keep` of the units behind `block`, those of largest mean activation, stays.

    `block`: the name of a layer that ends in a ReLU; of ResNet-18 the number of a stage; "" for the
    ReLU that feeds the last layer alone. `granularity`: as `kept_units`.
    """

    block: str
    keep: float
    granularity: str

    def insertions(self, graph: Graph) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """(before, behind) named layers: the mask, of ones. Raises UsageError."""
        return {}, {self.found(graph): Mask(name=_NAME)}

    def look(self, model: Any, images: Any) -> None:
        """Set the mask by the means over images as the model reads them."""
        mask = model.get_layer(_NAME)
        mean = means(keras.Model(model.inputs[0], mask.input), images)
        kept = kept_units(mean, self.keep, self.granularity)
        mask.set_weights([kept.astype(np.float32)])

    def found(self, graph: Graph) -> str:
        """The name of the layer. Raises UsageError."""
        names = graph.rectified
        if self.block:
            stage = [name for name in names if name.startswith(f"stage{self.block}_")]
            chosen = [self.block] if self.block in names else stage if self.block.isdigit() else []
        else:
            chosen = [name for name in names if graph.only_last(name)]
        if not chosen:
            told = f"block {self.block!r}" if self.block else "no block named"
            raise UsageError(told, f"a layer that ends in a ReLU: {', '.join(names)}")
        return chosen[-1]


# The name of the mask.
_NAME: Final = "activation_mask"


def mask_of(model: Any) -> Doubles:
    """The mask of a model that `MaskedUnits` prepared."""
    return np.asarray(model.get_layer(_NAME).get_weights()[0], np.float64)


def means(probe: Any, images: Any) -> Doubles:
    """The mean of each value that a model gives, over images."""
    count = int(images.shape[0])
    total: Any = 0.0
    for start in range(0, count, _CHUNK):
        part = probe(tf.convert_to_tensor(images[start : start + _CHUNK]), training=False)
        total = total + np.asarray(part, np.float64).sum(axis=0)
    return np.asarray(total / count)
