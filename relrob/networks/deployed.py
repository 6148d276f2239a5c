"""The outputs of a network as it is deployed, one image at a time, in batches where these were seen
to change no bit."""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.domain.arrays import Floats
from relrob.networks.batches import differs_in_batches
from relrob.networks.evaluator import near_ties
from relrob.networks.open import Opened

# Images that are compared, from all over a batch.
COMPARED: Final = 64


def deployed_outputs(opened: Opened, images: Floats) -> Floats:
    """Outputs (n, classes) of flat images (n, d) with the bits of each image alone, as far as is
    known.

    The first batch is compared with `COMPARED` of its images alone. Where it has other bits, every
    image runs alone. Images near a tie always do.
    """
    size = opened.evaluator.best_batch
    if size == 1:
        return opened.replayer.outputs(images)
    some = np.unique(np.linspace(0, min(len(images), size) - 1, COMPARED).astype(int))
    alone = opened.replayer.outputs(images[some])
    if differs_in_batches(
        lambda batch: opened.evaluator.outputs(batch)[some], images[:size], alone, None
    ):
        return opened.replayer.outputs(images)
    outputs = opened.evaluator.outputs(images)
    near = near_ties(outputs)
    outputs[near] = opened.replayer.outputs(images[near])
    return outputs
