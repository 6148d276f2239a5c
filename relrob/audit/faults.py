"""Names for the differences between the weights of a quantised network and its reference's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.layers import Compared
from relrob.audit.matching import ALIKE, UNLIKE, cosine
from relrob.audit.standing import places
from relrob.networks.weighted import Weighted

# Layers of fewer weights say nothing of a whole network.
_TELLING: Final = 32
# Places that evidence names.
_NAMED: Final = 8
_SCALES: Final = (255.0, 127.5)
# So many layers of the reference, unchanged, make a network the reference's.
_KEPT: Final = 2
# Factors of a layer's channels that one wrong scale does not explain differ by so large a share.
_APART: Final = 0.02
# The cosine of a correction of biases with the biases, at most; and how rarely it is chance's.
_FOLLOWS: Final = 0.6
_CHANCE: Final = 1e-4
# Diagnoses of all weights, from which activations that differ follow.
WHOLE: Final = ("another-network", "stale-weights")
_QAT: Final = (
    "weights cannot tell quantisation-aware training from that: if the file was trained so, "
    "compare it with the float weights of the same training"
)


def weight_faults(layers: Sequence[Compared]) -> tuple[Diagnosis, ...]:
    """The faults that the weights and biases show, by name."""
    found = [*_order(layers), *_classes(layers)]
    whole = _whole(layers)
    if whole is not None:
        return (*found, whole)
    found += _steps(layers)
    for one in layers:
        found += [*_scales(one), *_unfit(one), *_zeros(one), *_weights(one), *_biases(one)]
    return (*found, *_swapped(layers))


def _steps(layers: Sequence[Compared]) -> Iterator[Diagnosis]:
    """Steps of the reference, a normalisation or constants, that the file makes otherwise or leaves
    out, beside weights that are the reference's."""
    changed = [one for one in layers if one.match.undone and not one.wide and not one.match.swapped]
    told = [(one.match.quantised.label, places(one.match.undone)) for one in changed]
    if len(told) > 1 and 2 * len(told) > len(layers):
        yield Diagnosis(
            "stale-weights",
            f"the normalisations or constants that stand beside the weights of "
            f"{_of(len(told), len(layers))} layers are not the reference's, whose weights these "
            "are: they are of another state of the reference, or were left out",
            {"layers": [label for label, _ in told]},
            "quantise this reference again",
        )
        return
    for label, count in told:
        yield Diagnosis(
            "changed-weights",
            f"{label}: the normalisation or the constants beside its weights are not the "
            f"reference's, or were left out, for {count} of its inputs or outputs",
            {"layer": label, "places": count},
            "convert again",
        )


def nothing_quantised(layers: Sequence[Weighted]) -> tuple[Diagnosis, ...]:
    """The diagnosis of a "quantised" file whose weights are all float32."""
    if not layers or any(layer.scheme not in ("float32", "float64") for layer in layers):
        return ()
    return (
        Diagnosis(
            "nothing-quantised",
            f"all {len(layers)} layers of the quantised network hold float32 weights",
            {"layers": len(layers)},
            "a float file may be the REFERENCE; give the quantised file as QUANTISED",
        ),
    )


def _order(layers: Sequence[Compared]) -> Iterator[Diagnosis]:
    """The order in which the first layers read the image."""
    views = {one.match.view for one in layers if one.match.view}
    label = next((one.match.quantised.label for one in layers if one.match.view), "")
    if "bgr" in views:
        yield Diagnosis(
            "channel-order",
            f"the weights of {label} are the reference's with the channels in reverse order: one "
            "of the networks reads blue, green, red",
            {"layer": label},
            "--channels bgr for the network that was trained so",
        )
    if "columns" in views:
        yield Diagnosis(
            "layout",
            f"the weights of {label} are the reference's with rows and columns exchanged: one of "
            "the networks reads the image column by column",
            {"layer": label},
            "turn the kernel, or the images, on one side",
        )
    if views & {"chw", "hwc"}:
        yield Diagnosis(
            "layout",
            f"the weights of {label} are the reference's in another order of the pixels: one of "
            "the networks reads channels, height, width",
            {"layer": label},
            "--layout chw for the network that was trained so",
        )


def _classes(layers: Sequence[Compared]) -> Iterator[Diagnosis]:
    match = layers[-1].match
    if match.outputs is None:
        return
    moved = [(place, each) for place, each in enumerate(match.outputs) if place != each]
    told = ", ".join(f"{place} is class {each}" for place, each in moved[:_NAMED])
    yield Diagnosis(
        "permuted-classes",
        f"{len(moved)} outputs of the quantised network hold the weights of other classes: "
        f"output {told}",
        {"map": [int(each) for each in match.outputs]},
        "convert with the reference's order of classes",
    )


def _whole(layers: Sequence[Compared]) -> Diagnosis | None:
    """The diagnosis of a network whose layers differ throughout."""
    telling = [one for one in layers if one.left.size >= _TELLING] or list(layers)
    cosines = [one.match.cosine for one in telling]
    evidence = {
        "cosines": [round(each, 4) for each in cosines],
        "beyond_rounding": [int(one.left.sum()) for one in telling],
    }
    # Layers that are the reference's tell that the others were replaced.
    kept = sum(not one.wide or one.learned for one in telling)
    if sum(each < UNLIKE for each in cosines) * 2 > len(cosines) and kept < _KEPT:
        return Diagnosis(
            "another-network",
            f"the weights of {_of(sum(c < UNLIKE for c in cosines), len(cosines))} layers have "
            f"nothing to do with the reference's (median cosine {np.median(cosines):.3f}, of a "
            "quantised copy above 0.9)",
            evidence,
            "quantise this reference, or name the reference of this file",
        )
    if (found := _normalised(layers)) is not None:
        return found
    wide = [one for one in telling if one.resembles]
    drifted = [one for one in telling if one.left.any() and one.bias_wide]
    scattered = len(drifted) * 3 >= 2 * len(telling) and len(telling) > 1
    none_is_kept = bool(wide) and all(one.resembles or one.unlike for one in telling)
    if not (len(wide) >= min(2, len(telling)) or none_is_kept or scattered):
        return None
    worst = max((one.found.largest for one in (wide or drifted)), default=0.0)
    share = sum(int(one.left.sum()) for one in telling) / sum(one.left.size for one in telling)
    count = len(wide) if len(wide) >= len(drifted) else len(drifted)
    return Diagnosis(
        "stale-weights",
        f"the weights of {_of(count, len(telling))} layers resemble the reference's (least cosine "
        f"{min(cosines):.4f}) and are no rounding of them: {100 * share:.3g} % are more than half "
        f"a step away, the furthest {worst:.3g} steps. The file was made from another state of the "
        f"reference (another epoch, fine-tuned); {_QAT}",
        evidence,
        "quantise this reference again",
    )


def _normalised(layers: Sequence[Compared]) -> Diagnosis | None:
    """The diagnosis of batch normalisations of another state: each channel has a factor of its own
    to the reference's, and another bias."""
    folded = [one for one in layers if one.match.reference.folded or one.match.quantised.folded]
    other = [
        one
        for one in folded
        if one.bias_wide
        and one.match.quantised.stored is not None
        and 2 * len(one.scales.groups) > len(one.match.quantised.stored.scales) > 1
        and np.ptp(one.scales.factors) > _APART * np.median(one.scales.factors)
    ]
    if not other or len(other) < min(2, len(folded)):
        return None
    factors = np.concatenate([one.scales.factors for one in other])
    return Diagnosis(
        "stale-weights",
        f"the integers of {_of(len(other), len(folded))} layers before a batch normalisation are "
        "the reference's weights rounded, with a factor of its own for each channel "
        f"({factors.min():.4g} to {factors.max():.4g}), and their biases differ: the "
        "normalisations are of another state of the reference, or were left out",
        {
            "layers": [one.match.quantised.label for one in other],
            "factors": [round(float(each), 5) for each in (factors.min(), factors.max())],
        },
        "quantise this reference again",
    )


def _of(count: int, whole: int) -> str:
    return f"all {whole}" if count == whole else f"{count} of {whole}"


def _scales(one: Compared) -> Iterator[Diagnosis]:
    groups, factors = one.scales.groups, one.scales.factors
    stored, label = one.match.quantised.stored, one.match.quantised.label
    if not len(groups) or stored is None:
        return
    count, factor = len(stored.scales), float(np.median(factors))
    evidence: dict[str, Any] = {
        "layer": label,
        "scales": [int(each) for each in groups[:_NAMED]],
        "factors": [round(float(each), 5) for each in factors[:_NAMED]],
    }
    alike = len(groups) == count and float(np.ptp(factors)) < 0.01 * factor
    pixels = next((s for s in _SCALES for f in (factor, 1 / factor) if abs(f / s - 1) < 0.01), None)
    if alike and one.match.reference.depth == 1 and pixels is not None:
        yield Diagnosis(
            "input-scale",
            f"the weights of {label} are the reference's times {factor:.5g}: one of the networks "
            f"reads pixels of 0..1, the other of 0..{pixels:g}",
            evidence,
            f"--input-scale {pixels:g} for the network that reads levels",
        )
        return
    which = "its scale" if count == 1 else f"{len(groups)} of its {count} scales"
    places = "" if count == 1 else f" (number {', '.join(str(g) for g in groups[:_NAMED])})"
    yield Diagnosis(
        "changed-scale",
        f"{label}: the integers are the reference's weights rounded, {which}{places} "
        f"{'is' if len(groups) == 1 else 'are'} not the one by which they were: "
        f"{factor:.4g} times too large",
        evidence,
        "convert again",
    )


def _unfit(one: Compared) -> Iterator[Diagnosis]:
    """Scales by which the weights were rounded, and that do not fit them."""
    stored, label = one.match.quantised.stored, one.match.quantised.label
    if stored is None or not one.left.sum() == len(one.scales.groups) == 0:
        return
    for groups, told in zip(
        one.unfit,
        ("too small: weights are cut off", "too large: few codes are in use"),
        strict=True,
    ):
        if len(groups):
            places = ", ".join(str(each) for each in groups[:_NAMED])
            yield Diagnosis(
                "changed-scale",
                f"{label}: {_of(len(groups), len(stored.scales))} scales of its weights (number "
                f"{places}) {'is' if len(groups) == 1 else 'are'} {told}",
                {"layer": label, "scales": [int(each) for each in groups[:_NAMED]]},
                "convert again",
            )


def _zeros(one: Compared) -> Iterator[Diagnosis]:
    groups, shifts = one.moved
    label = one.match.quantised.label
    if len(groups):
        yield Diagnosis(
            "changed-zero-point",
            f"{label}: the weights under {len(groups)} zero point"
            f"{'' if len(groups) == 1 else 's'} all lie {int(shifts[0])} steps from the "
            "reference's",
            {
                "layer": label,
                "zero_points": [int(each) for each in groups[:_NAMED]],
                "steps": [int(each) for each in shifts[:_NAMED]],
            },
            "convert again",
        )


def _weights(one: Compared) -> Iterator[Diagnosis]:
    if not one.left.any() or one.match.swapped or (one.wide and one.learned):
        return
    label, errors = one.match.quantised.label, one.found.errors
    places, rows = np.argwhere(one.left), int(one.left.any(axis=1).sum())
    places = places[np.argsort(-np.abs(errors[one.left]), kind="stable")]
    evidence = {
        "layer": label,
        "weights": len(places),
        "places": [[int(n) for n in place] for place in places[:_NAMED]],
        "steps": [round(float(errors[tuple(place)]), 3) for place in places[:_NAMED]],
    }
    if one.wide:
        sentence = (
            f"{label}: {len(places):,} of its {one.left.size:,} weights, of {rows} of its "
            f"{len(one.left)} outputs, are not the reference's (cosine {one.match.cosine:.4f}"
            f"{_turned(one)})"
        )
    else:
        out, place = (int(n) for n in places[0])
        sentence = (
            f"{label}: {len(places)} of its {one.left.size:,} weights "
            f"{'is' if len(places) == 1 else 'are'} no rounding of the reference's; the weight "
            f"from input {place} to output {out} is {errors[out, place]:+.3g} steps away"
        )
    yield Diagnosis("changed-weights", sentence, evidence, "convert again")


def _turned(one: Compared) -> str:
    """A square matrix that was not turned, or was turned once too often."""
    ours, theirs = one.match.reference.values, one.match.quantised.values
    turned = ours.shape == ours.T.shape and cosine(ours.T, theirs) > ALIKE
    return f", of the transposed matrix {cosine(ours.T, theirs):.4f}" if turned else ""


def _biases(one: Compared) -> Iterator[Diagnosis]:
    """Biases of a layer whose weights are right. A correction of the bias, which some quantisers
    make, is smaller than the error that the rounding of the weights can cause."""
    if one.bias is None or not one.bias_beyond.any() or one.match.swapped:
        return
    if one.wide and not one.learned:
        # The whole layer is another one.
        return
    small = (np.abs(one.bias) <= _correction(one)).all()
    if one.bias_wide and bool(small and not _unrelated(one)):
        return
    label = one.match.quantised.label
    places = np.flatnonzero(one.bias_beyond)
    places = places[np.argsort(-np.abs(one.bias[places]), kind="stable")]
    place, many = int(places[0]), len(places) > 1
    yield Diagnosis(
        "changed-bias",
        f"{label}: {len(places)} of its {len(one.bias)} biases {'are' if many else 'is'} not the "
        f"reference's; that of output {place} is {one.bias[place]:+.4g} away",
        {
            "layer": label,
            "outputs": [int(each) for each in places[:_NAMED]],
            "differences": [float(f"{one.bias[each]:.6g}") for each in places[:_NAMED]],
        },
        "convert again",
    )


def _unrelated(one: Compared) -> bool:
    """Are the biases gone, or others? A correction follows the errors of the weights, and not the
    biases: its cosine with these is that of chance, which is above c for n biases with a
    probability near (1 - c^2)^((n - 1) / 2)."""
    ours, theirs = one.match.reference.bias, one.match.quantised.bias
    if ours is None or one.bias is None:
        return False
    if theirs is None or not theirs.any():
        return True
    chance = np.sqrt(1 - _CHANCE ** (2 / max(len(ours) - 1, 1)))
    bound = max(_FOLLOWS, chance)
    return bool(abs(cosine(one.bias, ours)) > bound)


def _correction(one: Compared) -> Any:
    """The largest correction of each bias (out,) that the errors of its weights call for."""
    given = one.match.quantised.given
    reach = 1.0 if given is None else max(abs(given.bottom), abs(given.top))
    if given is None and one.match.reference.depth > 1:
        reach = 10.0
    # Each weight errs by half a step at most, and errors of one output have random signs.
    size = np.abs(one.match.quantised.values - one.match.reference.values)
    return 2 * reach * np.sqrt((size**2).sum(axis=1)) + 1e-6


def _swapped(layers: Sequence[Compared]) -> Iterator[Diagnosis]:
    moved = [one.match for one in layers if one.match.swapped]
    if moved:
        names = " and ".join(match.quantised.label for match in moved[:_NAMED])
        yield Diagnosis(
            "swapped-layers",
            f"{names} hold each other's weights: each has those of another layer of the reference "
            "of the same shape",
            {"layers": [[match.quantised.label, match.reference.label] for match in moved]},
            "convert again",
        )
