"""What a run's page shows beside its records: the weights compared, the layer that flips an image,
small pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import weights_on
from relrob.domain.network import Network
from relrob.domain.record import Record, Set, WitnessView
from relrob.errors import RelrobError
from relrob.networks.weighted import NotReadError
from relrob.registry import load
from relrob.store.evidence import Evidence, damage, read_evidence, write_evidence
from relrob.store.run_directory import Store
from relrob.system.files import readable
from relrob_datasets.dataset import Dataset

# Images whose layer is looked for.
_FLIPS: Final = 200


def keep_evidence(
    directory: Path,
    networks: tuple[Network, Network],
    data: Dataset,
    records: Sequence[Record],
    command: str,
    weights: WeightReport | None,
) -> None:
    """Write evidence.json into a run directory. `weights`: the comparison, None where it could not
    be made. Raises StoreError."""
    lost = [record.index for record in records if record.set is Set.RFP]
    views = []
    with Store.read(directory) as store:
        for index in lost[:_FLIPS]:
            views += [view for view in store.witnesses(index) if view.network == "quantised"]
    flips, told = _flips(networks, views)
    if len(lost) > _FLIPS:
        told = f"{told} The first {_FLIPS} of {len(lost):,} lost images were looked at.".strip()
    evidence = Evidence(
        command=readable(command),
        weights=None if weights is None else weights.json(),
        flips=flips,
        flips_told=told,
        pictures=_pictures(data, records),
    )
    write_evidence(directory, evidence)


def compared(
    directory: Path, reference: Network, quantised: Network, data: Dataset
) -> WeightReport | None:
    """The weights of both files side by side: as a run directory, which may be yet to be made,
    keeps them, or else compared now. None where a file cannot be read again. Raises StoreError for
    a damaged evidence.json."""
    kept = read_evidence(directory).weights
    # One that was kept before it had all that is judged is made again.
    if kept is not None and "coarse" in kept:
        with damage(directory):
            return WeightReport.of(kept)
    try:
        return weights_on(reference, quantised, data)
    except RelrobError:
        return None


def keep_weights(directory: Path, weights: WeightReport) -> None:
    """Write the comparison into a run directory that has no evidence.json yet, so that an
    interrupted run need not make it again. Raises StoreError."""
    if read_evidence(directory) == Evidence():
        write_evidence(directory, Evidence(weights=weights.json()))


def _flips(
    networks: tuple[Network, Network], views: Sequence[WitnessView]
) -> tuple[dict[int, str], str]:
    """Image to layer, and what to know of it."""
    if not views:
        return {}, ""
    images = np.stack([view.perturbed for view in views])
    wanted = np.array([view.label for view in views])
    given = np.array([view.quantised_label for view in views])
    find: Callable[..., list[str | None]] = load("relrob.attacks.first_flip:first_flips")
    try:
        layers = find(*networks, images, wanted, given)
    except (NotReadError, RelrobError) as reason:
        return {}, f"Which layer flips the lost images cannot be told: {reason}."
    found = {
        view.index: layer for view, layer in zip(views, layers, strict=True) if layer is not None
    }
    missing = len(views) - len(found)
    told = (
        "Layers are rounded one after the other, the first one first; the one that is named is the "
        "first with which the label of the witness is wrong. It is a model of the file, no proof."
    )
    if missing:
        told += f" On {missing} lost images the model does not say what the network says."
    return found, told


def _pictures(data: Dataset, records: Sequence[Record]) -> dict[int, str]:
    """Small pictures of images that no witness shows."""
    wanted = load("relrob.report.html.run_data:without_witness")(records)
    draw: Callable[..., str] = load("relrob.report.html.thumbnails:picture_of")
    pixels, shape = data.pixels(wanted), data.image_shape
    return {index: draw(image, shape) for index, image in zip(wanted, pixels, strict=True)}
