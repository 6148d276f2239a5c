"""The images of a run and their labels: those that came with them, or the reference's own."""

from __future__ import annotations

from dataclasses import replace

from relrob.compress.build import needs_calibration
from relrob.compress.calibration import judged
from relrob.domain.arrays import Ints
from relrob.domain.contract import InputOptions
from relrob.domain.events import Event, Listener
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.accuracy import clean_labels
from relrob.networks.open import open_network
from relrob.study.request import Request
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.first import class_names, load_images_guarded
from relrob_datasets.read_as import ReadAs
from relrob_datasets.select import clipped


def read_images(request: Request, listener: Listener) -> Images:
    """The images that a request names, guarded, as it wants them read. Raises DatasetError,
    UsageError."""
    if request.reference is None and (request.range or request.classes):
        raise UsageError(
            f"--{'range' if request.range else 'classes'} without REFERENCE, which relrob would "
            "train on the data as they are",
            "REFERENCE, the network that was trained with it",
        )
    names = class_names(request.classes, request.memory)
    found = load_images_guarded(
        request.dataset, request.split, request.memory, _read_as(request, names)
    )
    for sentence in found.reading.sentences:
        listener(Event("note", sentence))
    return found


def _read_as(request: Request, names: tuple[str, ...]) -> ReadAs:
    return ReadAs(names, request.labels, request.range, request.images_layout)


def in_units(inputs: InputOptions, data: Images | Dataset) -> InputOptions:
    """The input contract for data of a range: the networks read the units of the range, unless the
    user said otherwise."""
    found = data.reading.range
    if found is None or (inputs.scale, inputs.mean, inputs.std) != (None, None, None):
        return inputs
    mean = (-found.low,) if found.low else ()
    return replace(inputs, scale=found.high - found.low, mean=mean, std=())


def labelled(images: Images, reference: Network) -> Dataset:
    """The images with the labels that came with them; where there are none, with those that the
    reference gives to each image alone, as it is replayed."""
    if images.labels is not None:
        return images.dataset()
    labels = clean_labels(open_network(reference, 1, batch=1), images.images)
    return images.labelled(labels, reference.classes)


def notes(request: Request, images: Images) -> tuple[str, ...]:
    """Sentences on what a request took otherwise than it may have been meant: fewer images than it
    asked for, calibration on the images that the networks are judged by."""
    found = [clipped(images, request.images)]
    if request.quantised is None and needs_calibration(request.quantise) and judged(images):
        found.append(
            "the quantised network is calibrated on images of this very set"
            + ("" if images.reading.splits else ", which has no split train")
        )
    return tuple(note for note in found if note)


def planned(request: Request, images: Images, data: Dataset) -> tuple[ReadAs, Ints | None]:
    """How a worker reads the images, and the labels of the reference where there are no others."""
    given = images.reading.named_by == "classes"
    names = images.reading.class_names if given else ()
    return _read_as(request, names), data.labels if images.labels is None else None
