"""Two networks on all images of a data set, and the faults that runs alone show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.audit import faults_by_runs as faults
from relrob.audit.inputs import Tried
from relrob.audit.kinship import Kinship, as_probabilities, kinship, log_margins
from relrob.audit.misread import misread
from relrob.audit.pair_report import PairReport, Side
from relrob.audit.reading import Reader, present
from relrob.domain.arrays import Floats, Ints
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import ShapeError
from relrob.networks.evaluator import labels
from relrob_datasets.dataset import Dataset

# Outputs that differ by at most this share of the largest are those of one float network.
_SAME = 1e-5


def compare_pair(
    reference: Network,
    quantised: Network,
    data: Dataset,
    listener: Listener = silent,
    threads: int = 1,
) -> PairReport:
    """Run both networks on all images, compare their labels, and name what is wrong with the pair.

    Both run every image once, and some hundred images in each usual reading where too few labels
    are right. Raises ShapeError for networks of other images or classes than each other's;
    NetworkError.
    """
    if (reference.inputs, reference.classes) != (quantised.inputs, quantised.classes):
        raise ShapeError(
            f"{reference.path} has {reference.inputs} inputs and {reference.classes} outputs, "
            f"{quantised.path} {quantised.inputs} and {quantised.classes}",
            "two networks of the same images and classes",
        )
    readers, outputs = [], []
    for role, network in (("reference", reference), ("quantised", quantised)):
        listener(Event("note", f"labels of the {role} network on {len(data):,} images"))
        reader = Reader(network, threads)
        readers.append(reader)
        outputs.append(reader.outputs(data.images, present(network)))
    truth = data.labels if data.reading.labels != "reference" else None
    report = PairReport(
        _side(reference, outputs[0]),
        _side(quantised, outputs[1]),
        truth,
        reference.classes,
        log_margins(outputs[0]),
    )
    return _diagnosed(report, readers, outputs, data.images, listener)


def _side(network: Network, outputs: Floats) -> Side:
    top = np.partition(outputs, -2, axis=1)[:, -2:]
    given = labels(outputs)
    return Side(
        network.path,
        network.sha256,
        network.scheme,
        network.runtime,
        given,
        (top[:, 0] == top[:, 1]) & (given >= 0),
    )


def _diagnosed(
    report: PairReport,
    readers: list[Reader],
    outputs: list[Floats],
    pixels: NDArray[Any],
    listener: Listener,
) -> PairReport:
    """The report with its diagnoses: first how the networks read images, then, with images read as
    they should be, what their labels and logits show."""
    read = misread(report, readers, outputs, pixels, listener)
    first, second = (_outputs(each, now) for each, now in zip(read.tried, outputs, strict=True))
    seen = replace(report, reference=_again(report.reference, first), quantised=_again(report.quantised, second))
    order, permuted = faults.permuted(seen)
    found = [
        *read.diagnoses,
        *faults.constant(seen),
        *permuted,
        *faults.undertrained(seen, read.diagnoses),
        *faults.nothing_quantised(report, _equal(outputs[0], outputs[1])),
    ]
    near = _kin(first, second, order)
    candidates = faults.strangers(seen, near, readers[1].network) if near and not found else ()
    return replace(report, kinship=near, diagnoses=tuple(found), candidates=candidates)
