"""Which of the two networks reads images in another way than it is given them, and what option says
so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.classes import SKILL, skill
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.inputs import ENOUGH, Aim, Tried, found_reading, tried_on
from relrob.audit.pair_report import PairReport
from relrob.audit.reading import (
    AS_IS,
    DATA,
    RESHAPED,
    SIDEWAYS,
    TURNED,
    Reader,
    Reading,
    is_scale,
    present,
    same_values,
    usual,
)
from relrob.domain.arrays import Floats, Ints
from relrob.domain.events import Event, Listener
from relrob.domain.network import Layout, Network
from relrob.networks.evaluator import labels

_ROLES: Final = ("reference", "quantised network")
# Without labels both networks are only read in another way where they then agree so far.
_AGREE: Final = 0.95
_APART: Final = 0.9
# and by so much more than if one always said the other's most frequent label, as networks do on
# images that are nothing to them, such as noise.
_BEYOND: Final = 0.8
_SOME: Final = 200
# So much accuracy a reading may cost that brings the two networks together.
_COST: Final = 0.01


Pair = tuple[Tried | None, Tried | None]


@dataclass(frozen=True, eq=False)
class Misread:
    """The reading that fits each network better than the present one, None where none does, and
    the diagnoses."""

    tried: Pair
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
    tried = (
        _by_agreement(readers, outputs, pixels)
        if report.labels is None
        else _by_labels(report.labels, readers, outputs, pixels)
    )
    networks = (readers[0].network, readers[1].network)
    return Misread(tried, _diagnoses(tried, networks, _shares(report, tried)))


def _good(report: PairReport) -> bool:
    first = report.reference_accuracy
    return report.agreement >= ENOUGH and (first is None or first.share >= ENOUGH)


def _by_labels(
    truth: Ints, readers: Sequence[Reader], outputs: Sequence[Floats], pixels: NDArray[Any]
) -> Pair:
    """The reference against the true labels, the quantised network against the reference's, or the
    true ones where the reference is near chance."""
    true = Aim.true(truth, readers[0].network.classes)
    first = found_reading(readers[0], pixels, outputs[0], true)
    theirs = Aim.other(outputs[0] if first is None else first.outputs)
    liked = () if first is None else (first.reading,)
    aim = theirs if skill(theirs.labels, truth) >= SKILL else true
    second = found_reading(readers[1], pixels, outputs[1], aim, liked)
    before = float((labels(outputs[1]) == truth).mean())
    if second is not None and float((second.labels == truth).mean()) < before - _COST:
        second = None
    return first, second


def _by_agreement(
    readers: Sequence[Reader], outputs: Sequence[Floats], pixels: NDArray[Any]
) -> Pair:
    """The one network whose other reading brings the two together. If neither does, both."""
    aims = [Aim.other(each) for each in outputs]
    second = found_reading(readers[1], pixels, outputs[1], aims[0])
    if second is not None and _agree(second, aims[0]):
        return None, second
    first = found_reading(readers[0], pixels, outputs[0], aims[1])
    if first is not None and _agree(first, aims[1]):
        return first, None
    apart = (aims[0].labels == aims[1].labels).mean() < _APART
    return _together(readers, aims[1], pixels) if apart else (None, None)


def _together(readers: Sequence[Reader], aim: Aim, pixels: NDArray[Any]) -> Pair:
    """The reading under which both networks agree most, where that is far and not on one label."""
    some = np.random.default_rng(0).permutation(len(pixels))[:_SOME]
    readings = [
        each
        for each in usual(readers[0].network, pixels)
        if each.order in (AS_IS, DATA, RESHAPED, SIDEWAYS)
    ]
    if present(readers[0].network).contract != present(readers[1].network).contract:
        return None, None
    agreed = []
    for each in readings:
        one, other = (labels(reader.outputs(pixels[some], each)) for reader in readers)
        agreed.append(float((one == other).mean()) if _beyond_chance(other, one) else 0.0)
    best = readings[int(np.argmax(agreed))]
    first = tried_on(readers[0], pixels, aim, best)
    theirs = Aim.other(first.outputs)
    second = tried_on(readers[1], pixels, theirs, best)
    if not _agree(second, theirs):
        return None, None
    return replace(first, right=second.right), second


def _agree(tried: Tried, aim: Aim) -> bool:
    """Do the labels of a reading agree with the other network's so far, and beyond chance?"""
    return tried.share >= _AGREE and _beyond_chance(tried.labels, aim.labels)


def _beyond_chance(one: Ints, other: Ints) -> bool:
    """Do two networks agree for another reason than that both give one label to nearly all?"""
    most = np.unique(other, return_counts=True)[1].max() / len(other)
    return bool(most <= _AGREE and skill(one, other) >= _BEYOND)


def _shares(report: PairReport, tried: Pair) -> tuple[tuple[float, float], ...]:
    """For each network the share of right labels before and after: of the data's, or else of the
    other network's."""
    now = (report.reference.labels, report.quantised.labels)
    then = [old if each is None else each.labels for old, each in zip(now, tried, strict=True)]
    target = report.labels
    return tuple(
        (
            float((now[at] == (now[1 - at] if target is None else target)).mean()),
            float((then[at] == (then[1 - at] if target is None else target)).mean()),
        )
        for at in (0, 1)
    )


def _diagnoses(
    tried: Pair, networks: tuple[Network, Network], shares: tuple[tuple[float, float], ...]
) -> tuple[Diagnosis, ...]:
    """One for each kind of change and each way to read, about one network or both."""
    told: dict[Words, list[tuple[int, Tried]]] = {}
    for words_of in (_values, _channels, _order):
        for at, each in enumerate(tried):
            if each is not None and (words := words_of(each.reading, networks[at])) != NOTHING:
                told.setdefault(words, []).append((at, each))
    return tuple(
        _diagnosis(words, sides, shares, _hint(words, sides, networks))
        for words, sides in told.items()
    )


def _diagnosis(
    words: Words,
    sides: Sequence[tuple[int, Tried]],
    shares: tuple[tuple[float, float], ...],
    hint: str,
) -> Diagnosis:
    name, what, _ = words
    places = [at for at, _ in sides]
    both, reading = len(sides) == 2, sides[0][1].reading
    who = "both networks read" if both else f"the {_ROLES[places[0]]} reads"
    before, after = shares[places[0]]
    return Diagnosis(
        name,
        f"{who} {what}: {100 * after:.1f} % of the labels are right so, {100 * before:.1f} % "
        "as given",
        {
            "networks": ["reference" if at == 0 else "quantised" for at in places],
            "reading": reading.name,
            "contract": reading.contract.json(),
            "order": reading.order,
            "before": [round(shares[at][0], 6) for at in places],
            "after": [round(shares[at][1], 6) for at in places],
        },
        hint,
    )


def _hint(
    words: Words, sides: Sequence[tuple[int, Tried]], networks: tuple[Network, Network]
) -> str:
    """The option, which holds for both networks, or the action where it is wrong for one."""
    option = words[2]
    at, tried = sides[0]
    other, wanted = networks[1 - at].contract, tried.reading.contract
    # Its file may say already how the other network reads: then the option changes nothing there.
    read_so = words[0] in VALUES and same_values(other, wanted) and other.bgr == wanted.bgr
    return option if len(sides) == 2 or read_so else _alone(option, at)


def _alone(option: str, at: int) -> str:
    """The action where the option is right for one network and wrong for the other."""
    if at == 0:
        return f"{option} is right for the reference alone: quantise this reference again"
    return f"{option} is right for the quantised network alone: quantise the reference again"


Words = tuple[str, str, str]  # id, what is read, option
NOTHING: Final = ("", "", "")
VALUES: Final = ("input-scale", "normalisation", "channel-order")


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
    if reading.order == RESHAPED:
        option = "images.reshape(-1, C, H, W).transpose(0, 2, 3, 1)"
        return "layout", "images of (C, H, W) that were reshaped and not turned", option
    if reading.order == SIDEWAYS:
        option = "images.transpose(0, 2, 1, 3)"
        return "layout", "images whose columns are stored first, as (W, H)", option
    if reading.order != TURNED:
        return NOTHING
    wanted = "hwc" if network.layout is Layout.CHW else "chw"
    return "layout", f"values in the order {', '.join(wanted.upper())}", f"--layout {wanted}"
