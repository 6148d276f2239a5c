"""Two networks on all images of a data set, and the faults that runs alone show."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit import faults_by_runs as faults
from relrob.audit.classes import Permutation
from relrob.audit.inputs import Tried
from relrob.audit.kinship import Kinship, as_probabilities, kinship, log_margins
from relrob.audit.misread import misread
from relrob.audit.pair_report import PairReport, Side
from relrob.audit.reading import Reader, present
from relrob.audit.sample import spread
from relrob.domain.arrays import Floats
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import NetworkError, ShapeError, how_many
from relrob.networks.batches import one_line
from relrob.networks.evaluator import labels
from relrob.registry import load
from relrob_datasets.dataset import Dataset

# Outputs that differ by at most this share of the largest are those of one float network.
_SAME = 1e-5
# What opens a file that rounds no activations, and the images that it is run on.
_REALS: Final = {"tflite": "relrob.networks.litert.reals:open_in_reals"}
_SOME: Final = 500

log = logging.getLogger(__name__)


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
        listener(Event("note", f"labels of the {role} network on {how_many(len(data), 'image')}"))
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
    listener(Event("note", report.sentence))
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
    seen = replace(
        report,
        reference=_again(report.reference, first),
        quantised=_again(report.quantised, second),
    )
    constants = faults.constant_output(seen)
    order, permuted = (None, ()) if constants else faults.permuted_classes(seen)
    named = (*read.diagnoses, *constants, *permuted)
    found = (
        *named,
        *faults.undertrained(seen, named),
        *faults.nothing_quantised(report, _equal(outputs[0], outputs[1])),
    )
    near = kinship(first, second if order is None else _put_back(second, order))
    candidates = faults.strangers(seen, near, readers[1].network) if near and not found else ()
    if candidates and read.tried == (None, None):
        exact = _in_reals(readers[1].network, outputs[0], pixels)
        told = {} if exact is None else {"in_reals": exact.json()}
        candidates = tuple(replace(each, evidence={**each.evidence, **told}) for each in candidates)
    return replace(report, kinship=near, diagnoses=found, candidates=candidates)


def _in_reals(network: Network, first: Floats, pixels: NDArray[Any]) -> Kinship | None:
    """The kinship of the quantised network, where it rounds no activations, with the reference's
    outputs `first` (n, classes); None where that is not known."""
    if network.format not in _REALS:
        return None
    some = spread(len(pixels), _SOME)
    try:
        reader = Reader(network, 1, load(_REALS[network.format]))
        return kinship(first[some], reader.outputs(pixels[some], present(network)))
    except NetworkError as error:
        log.info("%s is not run in reals (%s)", network.path, one_line(error))
        return None


def _outputs(tried: Tried | None, now: Floats) -> Floats:
    return now if tried is None else tried.outputs


def _again(side: Side, outputs: Floats) -> Side:
    """The network with the labels of other outputs."""
    return replace(side, labels=labels(outputs))


def _put_back(outputs: Floats, found: Permutation) -> Floats:
    """The columns in the order of the other network's classes."""
    back = np.empty_like(outputs)
    back[:, list(found.order)] = outputs
    return back


def _equal(first: Floats, second: Floats) -> bool:
    """Are the outputs those of one float network, up to rounding?"""
    one, other = as_probabilities(first), as_probabilities(second)
    return bool(np.abs(one - other).max() <= _SAME)
