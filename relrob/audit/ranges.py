"""What the codes of activations tell: a wrong scale or zero point, and ranges that do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.weight_report import LEFT_OUT, USED, Activation
from relrob.errors import how_many
from relrob.networks.weighted import Codes, Weighted

# The shares of hidden activations and of outputs that may lie beyond their codes. Calibrations on a
# few images, and those by a percentile, leave up to 2 % and 7 % on pairs that agree on 99 % of the
# labels.
BEYOND: Final = 0.05
BEYOND_LAST: Final = 0.15
# Steps and share of all codes by which a zero point is told from a range that is too narrow.
_MOVED: Final = 4
_NEAR: Final = 0.12
_UNITS: Final = 0.05
# A zero point that is off moves the range away from more than a few unusual images.
_SEVERAL: Final = 0.05


def activation_faults(
    used: Sequence[Activation], layers: Sequence[Weighted], alone: bool = True
) -> tuple[Diagnosis, ...]:
    """The faults that the codes of activations show. `layers`: of the quantised network. `alone`:
    no other fault is known, of which codes that are out of use could be the effect."""
    scales = dict(_made_otherwise(layers))
    scales |= {codes.name: fault for codes, fault in _untied(layers) if codes.name not in scales}
    found = list(scales.values())
    # A range says nothing of a layer that gives one value whatever it reads.
    told = [each for each in used if each.tensor not in scales and not each.dead]
    moved = [each for each in told if _zero_is_off(each, alone)]
    others = [each for each in told if each not in moved and each.role == "output"]
    if not found and _no_exception(moved, others):
        return (_shifted(moved, others),)
    found += [_zero_point(each) for each in moved]
    rest = [each for each in told if each not in moved]
    if found:
        # What follows a wrong scale or zero point has ranges of other values.
        return tuple(found)
    if not alone:
        rest = [each for each in rest if each.reference is not None]
    narrow = [each for each in rest if _narrow(each)]
    # What is computed of values with heavy tails has them too.
    tail = max((each.tail for each in used if each.role == "input"), default=1.0)
    wide = [each for each in rest if _wide(each, tail)]
    given = [each for each in wide if each.role == "input"]
    lent = [each for each in wide if each.borrowed]
    wide = [each for each in wide if not each.borrowed]
    if given:
        return (_feed(given[0]),)
    if wide:
        return (_calibration(wide, narrow),)
    if narrow:
        return (_saturated(narrow),)
    doubtful = [each for each in rest if each.beyond is None and each.at_ends > _allowed(each)]
    return (*([_lent(lent)] if lent else []), *([_at_ends(doubtful)] if doubtful else []))


def _feed(given: Activation) -> Diagnosis:
    """Images that fill a small part of what the file says of its input.

    A much larger range is one in the units of the features, and not one of noise.
    """
    levels = abs(given.high - given.low - 255) < 2.55
    units = given.used < _UNITS
    return Diagnosis(
        "input-scale" if levels else "calibration",
        f"the codes of the input stand for {given.low:.4g} to {given.high:.4g}, and the images "
        f"fill {100 * given.used:.1f} % of that: "
        + ("these are levels" if levels else "it was calibrated on other values"),
        {"low": given.low, "high": given.high, "used": round(given.used, 4)},
        "--input-scale 255"
        if levels
        else f"--range {given.low:.4g}:{given.high:.4g}"
        if units
        else "calibrate on images like these",
        blocking=levels or not units,
    )


def _untied(layers: Sequence[Weighted]) -> Iterator[tuple[Codes, Diagnosis]]:
    """Inputs whose scale is not the one by which the biases of their layer were made: a bias has
    the scale of the input times that of the weights."""
    for layer in layers:
        stored, given = layer.stored, layer.given
        if not layer.tied or stored is None or given is None or layer.bias_steps is None:
            continue
        scales = np.broadcast_to(stored.scales, layer.bias_steps.shape)
        ratios = scales * given.scale / layer.bias_steps
        factor = float(np.median(ratios))
        if abs(factor - 1) < 1e-3 or np.mean(np.abs(ratios / factor - 1) < 1e-3) < 0.9:
            continue
        yield (
            given,
            Diagnosis(
                "changed-scale",
                f"{layer.label}: the scale of its input is {factor:.4g} times the one by which its "
                "biases were made",
                {"layer": layer.label, "tensor": given.name, "factors": [round(factor, 6)]},
                "convert again",
            ),
        )


def _made_otherwise(layers: Sequence[Weighted]) -> Iterator[tuple[str, Diagnosis]]:
    """Codes that are read by another scale or zero point than they were made by."""
    for layer in layers:
        for role, codes in (("input", layer.given), ("output", layer.result)):
            if codes is None or codes.made_by is None:
                continue
            scale, zero = codes.made_by
            same = scale == codes.scale
            found = f"zero point {codes.zero}" if same else f"scale {codes.scale:.6g}"
            yield (
                codes.name,
                Diagnosis(
                    "changed-zero-point" if same else "changed-scale",
                    f"{layer.label}: the codes of its {role} {codes.name!r} are read by the {found}"
                    f" and were made by the {zero if same else f'{scale:.6g}'}",
                    {
                        "layer": layer.label,
                        "tensor": codes.name,
                        "made_by": [scale, zero],
                        "read_by": [codes.scale, codes.zero],
                    },
                    "convert again",
                ),
            )


def _no_exception(moved: Sequence[Activation], others: Sequence[Activation]) -> bool:
    """Are ranges of outputs in the wrong place no exception, because half of the others do not fit
    either?"""
    if not moved or not others or any(each.relu or each.role == "input" for each in moved):
        return False
    return 2 * sum(each.misfit for each in others) >= len(others)


def _shifted(moved: Sequence[Activation], others: Sequence[Activation]) -> Diagnosis:
    """Ranges of a calibration on other images, some of which have the width of the right ones. It
    is no fault where all leave out as few values as those of a calibration on a few images may."""
    first = moved[0]
    return Diagnosis(
        "calibration",
        f"ranges of activations do not fit these images (the {first.role} of {first.layer} stands "
        f"for {first.low:.3g} to {first.high:.3g}; {_needed(first)}): the file was calibrated on "
        "other data",
        {"moved": {f"{each.layer} {each.role}": [each.low, each.high] for each in moved}},
        "calibrate on images like these, in the same units",
        blocking=any(map(_narrow, (*moved, *others))),
    )


def _wide(each: Activation, tail: float) -> bool:
    """Is little of the range in use, and would be of many more images? `tail`: of the input."""
    return each.filled * max(each.tail, tail) < USED and not each.wide_codes


def _narrow(each: Activation) -> bool:
    """Does the range leave out more than a calibration on a few images may?"""
    return each.saturated > _allowed(each)


def _allowed(each: Activation) -> float:
    """The share of values that may be left out."""
    return BEYOND_LAST if each.last else BEYOND


def _needed(each: Activation) -> str:
    """What the range should hold, in words."""
    if each.reference is None:
        return "the values are not below 0"
    return f"the reference's values run from {each.reference[0]:.3g} to {each.reference[1]:.3g}"


def _zero_is_off(each: Activation, alone: bool) -> bool:
    """Does the range have the right width and the wrong place? The reference's values say so where
    no other fault moves this network's."""
    if each.symmetric or each.wide_codes:
        return False
    if each.relu and not each.floor:
        return not _unrectified(each)
    if each.reference is None or not alone:
        return False
    low, high = (
        (each.reference[0] - each.low) / each.scale,
        (each.high - each.reference[1]) / (each.scale),
    )
    near = abs(low + high) <= _NEAR * (each.high - each.low) / each.scale
    # A range that was calibrated on other images leaves out fewer values, or those of few images.
    if each.role == "output" and (each.beyond or 0.0) < LEFT_OUT:
        return False
    if each.images_beyond is not None and each.images_beyond < _SEVERAL:
        return False
    return near and min(low, high) < -_MOVED and max(low, high) > _MOVED


def _unrectified(each: Activation) -> bool:
    """Does the range hold all that the reference has, and all values below 0 besides? Then the ReLU
    is gone; a zero point that is off loses above what it gains below, and cuts off below 0."""
    if each.fused or each.reference is None or each.at_low > BEYOND:
        return False
    return each.reference[1] - each.high < -each.low / 2


def _zero_point(each: Activation) -> Diagnosis:
    return Diagnosis(
        "changed-zero-point",
        f"{each.layer}: the zero point {each.zero_point} of its {each.role} gives a range from "
        f"{each.low:.3g} to {each.high:.3g}; {_needed(each)}",
        {"layer": each.layer, "tensor": each.tensor, "zero_point": each.zero_point},
        "convert again",
    )


def _calibration(wide: Sequence[Activation], narrow: Sequence[Activation]) -> Diagnosis:
    least = min(wide, key=lambda each: each.filled)
    also = f"; {len(narrow)} others are too narrow" if narrow else ""
    return Diagnosis(
        "calibration",
        f"{len(wide)} activations use a small part of their range on these images (the "
        f"{least.role} of {least.layer} {100 * least.filled:.0f} %){also}: the file was calibrated "
        "on other data",
        {
            "wide": {f"{each.layer} {each.role}": round(each.filled, 4) for each in wide},
            "narrow": {f"{each.layer} {each.role}": round(each.saturated, 4) for each in narrow},
        },
        "calibrate on images like these, in the same units",
    )


def _lent(lent: Sequence[Activation]) -> Diagnosis:
    """Ranges of the steps behind the layers, which fit these."""
    least = min(lent, key=lambda each: each.filled)
    return Diagnosis(
        "calibration",
        f"the range of {how_many(len(lent), 'activation')} is that of the step behind, as "
        f"TensorFlow's converter calibrates, and little of it is in use (the {least.role} of "
        f"{least.layer} {100 * least.filled:.0f} %): the codes are coarse",
        {"lent": {f"{each.layer} {each.role}": round(each.filled, 4) for each in lent}},
        "activations of 16 bits, or a model with its normalisations before the activations",
        blocking=False,
    )


def _saturated(narrow: Sequence[Activation]) -> Diagnosis:
    most = max(narrow, key=lambda each: each.saturated)
    return Diagnosis(
        "saturated-activations",
        f"{len(narrow)} activations leave the range of their codes on these images (the "
        f"{most.role} of {most.layer} {100 * most.saturated:.1f} % of the time): they are cut off",
        {f"{each.layer} {each.role}": round(each.saturated, 4) for each in narrow},
        "calibrate on images like these, in the same units",
    )


def _at_ends(told: Sequence[Activation]) -> Diagnosis:
    """Values that equal inputs gave: the end may be their own value."""
    most = max(told, key=lambda each: each.at_ends)
    return Diagnosis(
        "saturated-activations",
        f"{100 * most.at_ends:.1f} % of the {most.role} of {most.layer} have a code at an end of "
        "its range, most of them from equal inputs: whether they are cut off is not known",
        {f"{each.layer} {each.role}": round(each.at_ends, 4) for each in told},
        "look at the range of this activation",
        blocking=False,
    )
