"""`diagnose` joins the diagnoses of runs with those of weights: one right name a fault.

A fault leaves several traces. Weights, where they are read, say which it is; runs say how a network
reads its input, which weights do not show; a wrong reading of the input explains activations out of
range, and a wrong weight explains labels that differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.kinship import STALE
from relrob.audit.weight_report import USED, WeightReport

# Which network it is: weights decide.
KINSHIP: Final = ("another-network", "stale-weights", "permuted-classes")
# How a network reads the image: runs try every reading on all images.
READING: Final = ("input-scale", "normalisation", "channel-order", "layout")
# What the file holds; these explain labels that differ.
CONTENT: Final = (
    *("swapped-layers", "changed-scale", "changed-zero-point", "changed-weights", "changed-bias"),
    *("changed-operations", "nothing-quantised"),
)
RANGES: Final = ("calibration", "saturated-activations")
# Effects that any of the others can have.
EFFECTS: Final = ("constant-output", "undertrained-reference")
# Above this agreement, noise that the converter's own ranges make is told and refuses nothing.
_AGREE: Final = 0.95
ORDER: Final = (*READING, *KINSHIP, *CONTENT, *RANGES, "wrong-runtime", *EFFECTS)


class Diagnosed(Protocol):
    """The part of a pair's report that is read."""

    @property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """What runs alone tell."""
        ...

    @property
    def candidates(self) -> tuple[Diagnosis, ...]:
        """What runs suggest and only weights can settle."""
        ...


def diagnose(pair: Diagnosed, weights: WeightReport) -> tuple[Diagnosis, ...]:
    """The faults of a pair, the cause before its effects; several only where there are several.

    - Where weights were read, runs do not say whose weights they are; where they were not, what
      runs suggest stands. Where nothing is wrong with the weights and the logits are those of
      another network, something else is computed with them.
    - Codes of the input for levels are the network's own only where images that are read so fit the
      reference, or by trial the quantised network; else it was calibrated on levels.
    - Where one network alone reads other values, its first layer holds other weights for that; and
      other biases, where a mean is taken off.
    - Where a network reads its input wrongly, ranges of activations say nothing.
    - Where a cause is known, an output that is constant or seldom right is its effect.
    """
    runs, read = [*pair.diagnoses, *pair.candidates], list(weights.diagnoses)
    known = {each.id for each in read}
    if weights.read:
        blamed = [] if any(each.blocking for each in read) else _computed(pair.candidates, weights)
        runs = [*(each for each in runs if not _refuted(each, known)), *blamed]
    elif known & set(KINSHIP):
        runs = [each for each in runs if each.id not in KINSHIP]
    runs, read = _calibrated(runs, read)
    runs = [each for each in runs if not _scaled_alone(each, read, weights)]
    read = [each for each in read if not _first_of_another(each, runs, weights)]
    # The option that was tried on the images is the better hint.
    tried = {each.id for each in runs}
    read = [each for each in read if each.id not in tried]
    found = [*runs, *read]
    ids = {each.id for each in found}
    if ids & set(READING):
        found = [each for each in found if each.id not in RANGES]
    causes = {each.id for each in found if each.blocking} - set(EFFECTS)
    if causes:
        found = [each for each in found if not _effect(each, causes)]
    return tuple(sorted(found, key=lambda each: ORDER.index(each.id)))


def _calibrated(
    runs: list[Diagnosis], read: list[Diagnosis]
) -> tuple[list[Diagnosis], list[Diagnosis]]:
    """The diagnoses of runs and weights, with a range of the input that nobody reads as one of the
    calibration; a reading that fits its coarse steps better is an effect. A reading that was tried
    tells more than the range."""
    levels = any(
        each.id == "input-scale" or "reference" in each.evidence.get("networks", ())
        for each in runs
        if each.id in READING
    )
    if levels:
        return runs, [each for each in read if not _of_input(each)]
    if not any(_of_input(each) for each in read):
        return runs, read
    return [each for each in runs if each.id not in READING], [
        replace(
            each, id="calibration", hint=f"calibrate on images as they are read, or {each.hint}"
        )
        if _of_input(each)
        else each
        for each in read
    ]


def _first_of_another(each: Diagnosis, runs: Sequence[Diagnosis], weights: WeightReport) -> bool:
    """Is it said of the weights of the first layer, which fit values of another scale or mean?"""
    values = [one for one in runs if one.id in ("input-scale", "normalisation")]
    alone = any(len(one.evidence.get("networks", ())) == 1 for one in values)
    return alone and each.id in (*CONTENT, "input-scale") and _of_first(each, weights)


def _scaled_alone(each: Diagnosis, read: Sequence[Diagnosis], weights: WeightReport) -> bool:
    """Is it said of the values of one network, less a mean, whose first layer has other scales and
    the right biases? They would hold that mean times the weights."""
    if each.id not in ("input-scale", "normalisation"):
        return False
    if len(each.evidence.get("networks", ())) != 1:
        return False
    shifted = "mean" in each.evidence.get("contract", {})
    return shifted and {one.id for one in read if _of_first(one, weights)} == {"changed-scale"}


def _of_first(each: Diagnosis, weights: WeightReport) -> bool:
    """Is it said of the first layer?"""
    first = next((layer.get("layer") for layer in weights.layers), None)
    return first is not None and each.evidence.get("layer") == first


def _of_input(each: Diagnosis) -> bool:
    """Does the range of the input's codes alone say so?"""
    return each.id == "input-scale" and "used" in each.evidence


def _computed(suggested: Sequence[Diagnosis], weights: WeightReport) -> list[Diagnosis]:
    """The diagnosis of right weights behind wrong logits. Logits that are nearly right tell only
    where a ReLU is known to be missing, or one too many; those of weights that were rounded
    coarsely tell nothing."""
    layers = weights.rectified
    if weights.coarse or not suggested or not (layers or suggested[0].id == "another-network"):
        return []
    evidence = suggested[0].evidence
    apart = f"the logits deviate by {100 * evidence['noise']:.0f} % of the reference's spread"
    outputs = [one for one in weights.activations if one.role == "output" and one.reference]
    if not layers and _misfit_from_the_first([one.misfit for one in outputs]):
        return [
            Diagnosis(
                "calibration",
                f"{apart}, and the ranges of the activations do not fit these images: the file was "
                "calibrated on other data",
                dict(evidence),
                "calibrate on images like these, in the same units",
            )
        ]
    if not layers and _right_in_reals(evidence):
        return [_coarse(apart, evidence, weights)]
    if not layers and _lent(weights) and evidence.get("agreement", 0.0) >= _AGREE:
        return []
    which = f"; {', '.join(layers)}: one of the networks has a ReLU there" if layers else ""
    return [
        Diagnosis(
            "changed-operations",
            f"all weights are the reference's, and {apart}, with the slope "
            f"{evidence['slope']:.2f}{which}",
            {**evidence, "layers": list(layers)},
            "look at activations, pooling, strides, and the order of the features",
        )
    ]


def _lent(weights: WeightReport) -> bool:
    """Have activations coarse codes, because their ranges are those of the steps behind them?"""
    return any(one.borrowed and one.filled < USED for one in weights.activations)


def _right_in_reals(evidence: Mapping[str, Any]) -> bool:
    """Are the logits the reference's where the same file rounds no activations?"""
    exact = evidence.get("in_reals")
    return exact is not None and exact["noise"] < STALE and abs(exact["slope"] - 1) < STALE


def _coarse(apart: str, evidence: Mapping[str, Any], weights: WeightReport) -> Diagnosis:
    """Right weights, computed rightly, with codes of activations that are too coarse."""
    notes = [each for each in weights.diagnoses if each.id == "calibration"]
    also = "".join(f"; {each.sentence}" for each in notes)
    exact = 100 * evidence["in_reals"]["noise"]
    return Diagnosis(
        "calibration",
        f"{apart}, and by {exact:.0f} % where this file rounds no activations: their ranges are "
        f"too coarse for this network{also}",
        {**evidence, **{key: value for each in notes for key, value in each.evidence.items()}},
        "calibrate on images like these; where that was done, activations of 16 bits",
        blocking=not _lent(weights) or evidence.get("agreement", 0.0) < _AGREE,
    )


def _misfit_from_the_first(misfits: Sequence[bool]) -> bool:
    """Do the ranges of the first layer and of at least half of all layers not fit? Where something
    else is computed, those before it fit."""
    return bool(misfits) and misfits[0] and 2 * sum(misfits) >= len(misfits)


def _refuted(each: Diagnosis, known: set[str]) -> bool:
    """Do weights that were read speak against what a run suggests?"""
    if each.id in ("another-network", "stale-weights"):
        return True
    # Outputs may be permuted behind the last layer, but not where something else explains them.
    return each.id == "permuted-classes" and bool(known & {*KINSHIP, *CONTENT})


def _effect(each: Diagnosis, causes: set[str]) -> bool:
    """Is it what the causes do?"""
    if each.id == "undertrained-reference":
        return bool(causes & set(READING))
    return each.id == "constant-output"
