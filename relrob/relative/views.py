"""What a picture of a witness needs: both networks on the perturbed image, one image at a time, as
deployed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, read_only
from relrob.domain.radius import RadiusRecord
from relrob.domain.record import Record, WitnessView
from relrob.domain.verdict import Witness
from relrob.networks.evaluator import labels, margins
from relrob.networks.open import Opened


def witness_view(
    networks: tuple[Opened, Opened],
    base: Floats,
    image: NDArray[Any],
    record: Record | RadiusRecord,
    network: str,
    witness: Witness,
) -> WitnessView:
    """`networks`: reference and quantised; `base`: the clean image as fed (d,), `image` as stored;
    `network`: the one it fools."""
    both = np.stack([np.asarray(base, np.float32), witness.image])
    scores = [np.asarray(opened.replayer.outputs(both), np.float32) for opened in networks]
    outputs = [each[1:] for each in scores]
    height, width, channels = (*image.shape, 1)[:3]
    return WitnessView(
        index=record.index,
        network=network,
        label=record.label,
        original=base,
        perturbed=witness.image,
        shape=(int(height), int(width), int(channels)),
        reference_label=int(labels(outputs[0])[0]),
        quantised_label=int(labels(outputs[1])[0]),
        reference_margin=float(margins(outputs[0], record.label)[0]),
        quantised_margin=float(margins(outputs[1], record.label)[0]),
        cost=str(witness.cost),
        moved=witness.moved,
        reference_scores=read_only(scores[0]),
        quantised_scores=read_only(scores[1]),
    )
