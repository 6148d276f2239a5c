"""Enclosures: a dense network in real arithmetic, and the most by which a runtime is off, layer by
layer.

The inputs h >= 0 of a layer are pixels or outputs of a ReLU. A runtime computes some y with
    |y - (h @ weights + bias)| <= error(h),
    error(h) = |weights|.(h moved by quantising it) + rounding,
and passes on min(max(y, 0), cap). Quantising an input moves it once, the same for every output.
Float32 kernels, LiteRT's dynamic range and LiteRT's int8 all have this form. docs/kernels.md
describes them, and `tests/networks/test_enclosure.py` compares the form with the runtimes. Signed
inputs are not covered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf, log
from typing import Final, final

import numpy as np

from relrob.domain.arrays import Doubles, read_only
from relrob.domain.network import Dense
from relrob.domain.rounding import WIDEST, float32_error
from relrob.errors import NetworkError
from relrob.networks.fixed.network import FixedNetwork

# Factor on every quantisation step, for the float32 arithmetic that forms scales and quotients.
LOOSE: Final = 1.0 + 2.0**-12


# A value this near (in steps) to the half between two levels may become either: more than float32
# can be off up to 255 steps.
_HALF: Final = 2.0**-11


@dataclass(frozen=True, eq=False)
class Deviation:
    """How a runtime's layer differs from the real one: each input is `moved` (n_in,) by at most
    that much, which moves every output with its weight; each output then by at most `rest`
    (n_out,), infinite where float32 may overflow."""

    moved: Doubles
    rest: Doubles

    def total(self, size: Doubles) -> Doubles:
        """Of each output alone (n_out,); `size`: |weights|."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(np.isposinf(self.rest), inf, self.moved @ size + self.rest)


@final
@dataclass(frozen=True, eq=False)
class EnclosedLayer:
    """One layer: `weights` (n_in, n_out), `bias` (n_out,), float64, exactly the values that the
    runtime's integers stand for.

    `share`: an input h is moved by at most share * max(h) when the row is quantised at run time;
    `moved`: by at most this when it is quantised by a fixed scale (0 stays 0 in both); `input_cap`:
    inputs above it are cut to it; `rounding`: error of storing the output; `terms`: float32
    operations on the way to an output, 0 for none (real arithmetic); `most`: from this input on
    something may overflow; `floor`, `cap`: the smallest and largest output; `relu`; `slack`
    (n_out,): a further error of each output; `size`: |weights|.

    `off_grid`: the levels of an input lie anywhere, by an input contract that shifts pixels. Then 0
    is moved too.
    """

    weights: Doubles
    bias: Doubles
    relu: bool
    terms: int
    share: float = 0.0
    moved: float = 0.0
    input_cap: float = inf
    rounding: float = 0.0
    cap: float = inf
    floor: float = -inf
    slack: Doubles | None = None
    off_grid: bool = False
    most: float = inf
    size: Doubles = field(init=False)

    def __post_init__(self) -> None:
        weights = read_only(np.asarray(self.weights, dtype=np.float64))
        bias = read_only(np.asarray(self.bias, dtype=np.float64))
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise NetworkError(
                f"an enclosed layer has weights {weights.shape} and bias {bias.shape}",
                "(n_in, n_out), (n_out,)",
            )
        if min(self.share, self.moved, self.rounding, self.input_cap, self.cap, self.terms) < 0:
            raise NetworkError("an enclosed layer has an error below 0", "errors of at least 0")
        if self.slack is not None and not (
            self.slack.shape == bias.shape and (self.slack >= 0).all()
        ):
            raise NetworkError(
                "an enclosed layer has an error below 0, or not one an output",
                "errors of at least 0",
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "size", read_only(np.abs(weights)))

    def deviation(self, high: Doubles, moved: Doubles | None = None) -> Deviation:
        """What may be lost when the inputs lie in [0, high] (..., n_in). `moved` (..., n_in): by
        how much inputs are moved at most, where more is known of them. Subnormal numbers may count
        as 0 on the way in and out."""
        with np.errstate(over="ignore", invalid="ignore"):
            if moved is None:
                step = self.share * high.max(axis=-1, keepdims=True) + self.moved
                lost = step + np.maximum(high - self.input_cap, 0)
                moved = np.where((high > 0) | self.off_grid, lost, 0.0)
            if len(self.weights) > WIDEST:
                rest = np.full((*high.shape[:-1], len(self.bias)), inf)
            elif self.terms:
                given = high + moved
                rest = float32_error(given, self.size, np.abs(self.bias), self.terms)
                if self.most < inf:
                    rest = np.where(given.max(axis=-1, keepdims=True) < self.most, rest, inf)
            else:
                rest = np.zeros((*high.shape[:-1], len(self.bias)))
        return Deviation(
            moved, rest + self.rounding if self.slack is None else rest + self.rounding + self.slack
        )

    def levels(self, values: Doubles, largest: float) -> tuple[Doubles, Doubles]:
        """The levels for which a first layer takes pixels (...,) of a row with maximum `largest`,
        and the most by which another kernel's differ.

        They are the nearest levels. A pixel that lies near the middle of two levels stands for
        itself, within half a step.
        """
        step = 2 * (self.share * largest + self.moved) / LOOSE
        if step == 0:
            return values, np.zeros_like(values)
        if self.off_grid:
            return values, LOOSE * (step / 2 + np.maximum(values - self.input_cap, 0.0))
        place = np.minimum(values, self.input_cap) / step
        level = np.rint(place)
        unclear = np.abs(place - level) > 0.5 - _HALF
        level = np.minimum(level * step, self.input_cap)
        off = np.where(unclear, step / 2, np.where(level > 0, (LOOSE - 1) * step, 0.0))
        return np.where(unclear, np.minimum(values, self.input_cap), level), LOOSE * off


@final
@dataclass(frozen=True, eq=False)
class Enclosure:
    """The enclosure of a network.

    `layers`: in order. `gap`: outputs of the last layer that differ by more give the label of the
    larger one, whatever follows. `probabilities`: the runtime's outputs are their softmax.
    """

    layers: tuple[EnclosedLayer, ...]
    gap: float = 0.0
    probabilities: bool = False

    @property
    def inputs(self) -> int:
        """Number of input values."""
        return int(self.layers[0].weights.shape[0])

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return int(self.layers[-1].weights.shape[1])

    def shown(self, margin: float) -> float:
        """The bound of a margin in the unit of the runtime's outputs.

        Outputs that end at a `cap` or a `floor` are meant before they are cut there. The runtime's
        own margin is less where its label stands at the cap or another class at the floor: it is at
        least the smallest of this bound, cap - (the largest that another class, cut, can be), and
        (the least that the label can be) - floor. That is above 0 where `certain.proves`.
        """
        return probability_margin(margin, self.classes) if self.probabilities else margin


def probability_margin(margin: float, classes: int) -> float:
    """Bound of the margin of softmax probabilities of one label.

    The label's logit is `margin` above all others, and the bound is a lower one. Where `margin` is
    below 0, the logit is that much below the largest, and the bound is an upper one.
    """
    ratio = exp(-abs(margin))
    if (
        margin >= 0
        # the label's probability is at least 1 / (1 + (classes - 1) ratio), the others at most
        # `ratio` of it
    ):
        return (1 - ratio) / (1 + (classes - 1) * ratio)
    # The largest is at least 1 / (classes - 1 + ratio). The label's is `ratio` of it.
    return -(1 - ratio) / (classes - 1 + ratio)


def real_enclosure(dense: Dense) -> Enclosure:
    """The enclosure of `dense` over the reals, which is `dense` itself (docs/soundness.md,
    "Arithmetics").

    Its softmax changes no label. Raises NetworkError where `dense` is only a model of its file.
    """
    if not dense.plain:
        raise NetworkError(
            "a network of more than plain dense layers, over the reals", "plain dense layers"
        )
    return Enclosure(_layers(dense, rounds=False))


def _layers(dense: Dense, rounds: bool) -> tuple[EnclosedLayer, ...]:
    """The layers, evaluated in float32 in any order or over the reals."""
    return tuple(
        EnclosedLayer(
            layer.weights.astype(np.float64),
            layer.bias.astype(np.float64),
            layer.relu,
            terms=rounds * layer.terms,
            slack=layer.slack,
        )
        for layer in dense.layers
    )


def float32_enclosure(dense: Dense, softmax: bool = False) -> Enclosure:
    """The enclosure of any IEEE-754 float32 evaluation of `dense`: every order of summation, with
    or without FMA (docs/soundness.md, "The rounding model").

    `softmax`: the runtime's label is the argmax of a float32 softmax, in which nearly equal logits
    tie.
    """
    return Enclosure(_layers(dense, rounds=True), float_softmax_gap() if softmax else 0.0)


def fixed_enclosure(network: FixedNetwork) -> Enclosure | None:
    """The enclosure of a fixed-point network, whose integers stand for multiples of their units.

    Each shift rounds by half a unit, and each pixel becomes a code within half of one. None where a
    hidden layer does not end in a ReLU, all outputs are below 0, codes are cut, or a number is too
    large for float64.
    """
    layers, scale = [], float(network.pixel_scale)
    if network.pixel_scale > network.high or network.low > 0 or network.layers[-1].high < 0:
        return None
    for number, layer in enumerate(network.layers, start=1):
        relu = number < len(network.layers)
        bias = layer.bias * 2.0**layer.bias_shift
        largest = max(np.abs(layer.weights).max(initial=0) * scale, np.abs(bias).max(initial=0))
        if (relu and layer.low != 0) or largest >= 2.0**53:
            return None
        unit = 2.0**-layer.shift
        layers.append(
            EnclosedLayer(
                np.asarray(layer.weights * (scale * unit), dtype=np.float64),
                np.asarray(bias * unit, dtype=np.float64),
                relu,
                terms=1,
                moved=0.5 / scale * LOOSE if number == 1 else 0.0,
                rounding=0.5 if layer.shift else 0.0,
                cap=float(layer.high),
                floor=float(layer.low),
            )
        )
        scale = 1.0
    return Enclosure(tuple(layers))


def float_softmax_gap() -> float:
    """Logits further apart than this never tie in a float32 softmax whose exp has a relative error
    below 2^-14."""
    return 2.0**-10


def int8_softmax_gap(classes: int) -> float:
    """Logits further apart than this differ in an int8 softmax (scale 1/256, off by two quanta at
    most): inf from 64 classes on.

    The largest probability p is at least 1/classes, and p (1 - exp(-gap)) must exceed four quanta.
    """
    lost = 4 * classes / 256
    return -log(1 - lost) if lost < 1 else inf
