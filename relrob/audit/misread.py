"""Which of the two networks reads images in another way than it is given them, and what option says
so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.classes import SKILL, skill
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.inputs import ENOUGH, Right, Tried, found_reading
from relrob.audit.pair_report import PairReport
from relrob.audit.reading import (
    DATA,
    Reader,
    Reading,
    is_scale,
    same_values,
)
from relrob.domain.arrays import Floats, Ints
from relrob.domain.events import Event, Listener
from relrob.domain.network import Layout, Network
from relrob.networks.evaluator import labels

_ROLES: Final = ("reference", "quantised network")
# Without labels both networks are only read in another way where they then agree so far.
_AGREE: Final = 0.95
# So much accuracy a reading may cost that brings the two networks together.
_COST: Final = 0.01


@dataclass(frozen=True, eq=False)
class Misread:
    """The reading that fits each network better than the present one, None where none does, and
    the diagnoses."""

    tried: tuple[Tried | None, Tried | None]
    diagnoses: tuple[Diagnosis, ...]


def misread(
    report: PairReport,
    readers: Sequence[Reader],
    outputs: Sequence[Floats],
    pixels: NDArray[Any],
    listener: Listener,
) -> Misread:
    """Try the usual readings of images (n, H, W, C).

    The reference is held against the true labels, the quantised network against the reference's
    labels (as it should be read) and its own accuracy. Of unlabelled data each is held against the
    other.
    """
    if _good(report):
        return Misread((None, None), ())
    listener(Event("note", "other readings of the images: scales, channels, layouts"))
    find = _by_labels if report.labels is not None else _by_agreement
    tried = find(report, readers, outputs, pixels)
    networks = (readers[0].network, readers[1].network)
    return Misread(tried, _diagnoses(tried, networks, _before(report, tried)))


def _good(report: PairReport) -> bool:
    first = report.reference_accuracy
    return report.agreement >= ENOUGH and (first is None or first.share >= ENOUGH)


def _by_labels(
    report: PairReport, readers: Sequence[Reader], outputs: Sequence[Floats], pixels: NDArray[Any]
) -> tuple[Tried | None, Tried | None]:
    truth = report.labels
    assert_truth: Ints = np.zeros(0, np.int64) if truth is None else truth
    first = found_reading(readers[0], pixels, outputs[0], _equal_to(assert_truth))
    theirs = labels(outputs[0]) if first is None else first.labels
    target = theirs if skill(theirs, assert_truth) >= SKILL else assert_truth
    second = found_reading(
        readers[1],
        pixels,
        outputs[1],
        _equal_to(target),
        () if first is None else (first.reading,),
    )
    if second is not None:
        before = float((labels(outputs[1]) == assert_truth).mean())
        if float((second.labels == assert_truth).mean()) < before - _COST:
            second = None
    return first, second


def _by_agreement(
    report: PairReport, readers: Sequence[Reader], outputs: Sequence[Floats], pixels: NDArray[Any]
) -> tuple[Tried | None, Tried | None]:
    """The one network whose other reading brings the two together; if neither does, both."""
    second = found_reading(readers[1], pixels, outputs[1], _equal_to(labels(outputs[0])))
    first = found_reading(readers[0], pixels, outputs[0], _equal_to(labels(outputs[1])))
    best = max((first, second), key=lambda each: -1.0 if each is None else each.share)
    if best is not None and best.share >= _AGREE:
        return (first, None) if best is first else (None, second)
    return None, None


def _equal_to(target: Ints) -> Right:
    return lambda given, images: given == target[images]


def _before(
    report: PairReport, tried: tuple[Tried | None, Tried | None]
) -> tuple[tuple[float, float], ...]:
    """For each network the share of right labels before and after: of the data's, or else of the
    other network's."""
    sides = (report.reference.labels, report.quantised.labels)
    target = report.labels
    found = []
    for at, each in enumerate(tried):
        right = sides[1 - at] if target is None else target
        after = sides[at] if each is None else each.labels
        found.append((float((sides[at] == right).mean()), float((after == right).mean())))
    return tuple(found)


def _diagnoses(
    tried: tuple[Tried | None, Tried | None],
    networks: tuple[Network, Network],
    shares: tuple[tuple[float, float], ...],
) -> tuple[Diagnosis, ...]:
    """One for each kind of change, about one network or both."""
    found: list[Diagnosis] = []
    for name, said in _KINDS:
        told = [
            (at, words)
            for at, each in enumerate(tried)
            if each is not None and (words := said(each.reading, networks[at]))[0] == name
        ]
        if not told:
            continue
        places = [at for at, _ in told]
        _, what, option = told[0][1]
        both = len(told) == 2
        who = "both networks read" if both else f"the {_ROLES[places[0]]} reads"
        before, after = shares[places[0]]
        numbers = f"{100 * after:.1f} % of the labels are right so, {100 * before:.1f} % as given"
        reading = tried[places[0]]
        found.append(
            Diagnosis(
                name,
                f"{who} {what}: {numbers}",
                {
                    "networks": ["reference" if at == 0 else "quantised" for at in places],
                    "reading": reading.reading.name if reading else "",
                    "contract": reading.reading.contract.json() if reading else {},
                    "order": reading.reading.order if reading else "",
                    "before": [round(shares[at][0], 6) for at in places],
                    "after": [round(shares[at][1], 6) for at in places],
                },
                option if both else _alone(option, places[0]),
            )
        )
    return tuple(found)


def _alone(option: str, at: int) -> str:
    """The action where one network alone is read in another way; options hold for both."""
    if at == 0:
        return f"{option} is right for the reference alone: quantise this reference again"
    return f"{option} is right for the quantised network alone: quantise the reference again"


Words = tuple[str, str, str]  # id, what is read, option
NOTHING: Final = ("", "", "")


def _values(reading: Reading, network: Network) -> Words:
    now, then = network.contract, reading.contract
    if same_values(now, then):
        return NOTHING
    name = "input-scale" if is_scale(now) and is_scale(then) else "normalisation"
    text = replace(then, bgr=False, output="").text()
    return name, reading.name, text or f"without {replace(now, bgr=False, output='').text()}"


def _channels(reading: Reading, network: Network) -> Words:
    if reading.contract.bgr == network.contract.bgr:
        return NOTHING
    if reading.contract.bgr:
        return "channel-order", "blue, green, red", "--channels bgr"
    return "channel-order", "red, green, blue", "without --channels bgr"


def _order(reading: Reading, network: Network) -> Words:
    if reading.order == DATA:
        return "layout", "images that are stored as (C, H, W)", "--images-layout chw"
    if reading.order != "turned":
        return NOTHING
    wanted = "hwc" if network.layout is Layout.CHW else "chw"
    return "layout", f"values in the order {', '.join(wanted.upper())}", f"--layout {wanted}"


_KINDS: Final[tuple[tuple[str, Callable[[Reading, Network], Words]], ...]] = (
    ("input-scale", _values),
    ("normalisation", _values),
    ("channel-order", _channels),
    ("layout", _order),
)
