"""The dense layers of LiteRT's kernels with int8 weights: dynamic range and full integer.

Source: docs/certificates.md, "How far a runtime strays" and "Which files have rules".
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading import tflite as lite
from relrob.certificates.checking.reading.facts import LOOSE, Facts, NoRulesError

_MOST_INPUTS: Final = 1 << 16
# With a larger scale of weights the products of scales could overflow (`steps.Steps.dense`).
_LARGEST_SCALE: Final = 2.0**20
# Below 2^-32 a sum of 31 bits is less than half a step: 0 in every kernel. Far below, float32
# products would be subnormal.
_LEAST_RATIO: Final = 2.0**-100
# XNNPACK takes dynamic-range layers of these versions (not 8):
# tests/certificates/test_reading_litert_rows.py asks LiteRT.
_DELEGATED: Final = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)


def dynamic_range(
    graph: lite.Graph, operator: lite.Operator, bias: NDArray[np.generic] | None, delegate: bool
) -> tuple[NDArray[np.float64], Fraction, bool]:
    """(weights (n_in, n_out), share, whether the step is known) of a layer whose rows are quantised
    at run time.

    LiteRT's own kernel rounds to steps of max/127, or of max/255 where the operator asks for
    asymmetric inputs; XNNPACK (`delegate`) always to steps of max/255. Where it is not certain that
    the delegate takes the node, the wider step is assumed. `share`: half a step over max.

    Raises:
        NoRulesError: weights that a kernel could read in another way, or too many inputs.
    """
    stored = graph.constant(operator.inputs[1], lite.INT8)
    scales, plain = _scales(graph, operator.inputs[1], stored, either=True)
    asymmetric = operator.given.whole(3, "?") == 1
    taken = (
        delegate and plain and operator.version in _DELEGATED and (bias is None or bias.ndim == 1)
    )
    sure = not delegate or asymmetric or taken
    if (stored == -128).any() and not taken:
        raise NoRulesError("a weight of -128 in LiteRT's own dynamic-range kernel")
    if scales.max(initial=0.0) > _LARGEST_SCALE:
        raise NoRulesError("a dynamic-range layer with a weight scale above 2^20")
    share = Fraction(1, 510 if asymmetric or (delegate and sure) else 254) * LOOSE
    weights = _exact(stored, scales)
    if len(weights) >= _MOST_INPUTS:
        raise NoRulesError("a layer of so many inputs that sums of its products could overflow")
    return weights, share, sure


def integer_layer(
    graph: lite.Graph,
    operator: lite.Operator,
    given: lite.Integers,
    shape: tuple[int, ...],
    places: NDArray[np.int64] | None,
    runtime: str,
) -> tuple[Facts, lite.Integers]:
    """(the layer, type and grid of its outputs) of a full-integer layer over int8 values.

    `given`: type and grid of the inputs. `shape`: of the inputs, without the batch. `places`: the
    pixel of the (H, W, C) raster that each input of the first layer is; None for a later layer.

    Raises:
        NoRulesError: types, shapes or grids that do not fit, or a sum that could overflow.
    """
    stored = graph.constant(operator.inputs[1], lite.INT8)
    scales, plain = _scales(graph, operator.inputs[1], stored, either=False)
    result = graph.tensors[operator.output].integers()
    if not plain or result[0] != lite.INT8 or stored.shape[1:] != shape:
        raise NoRulesError(
            "a dense layer of weights that do not fit, or whose outputs are not int8"
        )
    bias = np.zeros(len(stored), np.int64)
    if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
        held = graph.constant(operator.inputs[2], lite.INT32)
        grid = graph.tensors[operator.inputs[2]].grid
        if held.shape != bias.shape or (grid is not None and np.any(grid.zeros)):
            raise NoRulesError("a bias that is not one number an output, or that has a zero point")
        bias = held.astype(np.int64)
    _, scale, zero = given
    _check_sums(stored.astype(np.int64), bias, zero, scales * scale / result[1], runtime)
    weights = _exact(stored, scales)
    if places is not None:
        placed = np.empty_like(weights)
        placed[places] = weights
        weights = placed
    relu = operator.given.whole(0, "b") == 1
    return _facts(weights, bias, scales, (given, result), relu, first=places is not None), result


def _facts(
    weights: NDArray[np.float64],
    bias: NDArray[np.int64],
    scales: NDArray[np.float64],
    grids: tuple[lite.Integers, lite.Integers],
    relu: bool,
    first: bool,
) -> Facts:
    """The layer over the reals; `grids`: of its inputs, of its outputs."""
    (_, step, zero), (_, out, end) = grids
    given, made = Fraction(step), Fraction(out)
    unit = [Fraction(float(s)) * given for s in scales]
    # Built-in kernels round twice.
    doubled = min(Fraction(1, 2), 2 * max(unit) / made)
    return Facts(
        weights,
        [int(value) * one for value, one in zip(bias, unit, strict=True)],
        relu,
        terms=8,
        shift=given / 2 * LOOSE if first else Fraction(0),
        input_cap=(127 - zero) * given,
        rounding=made * (Fraction(1, 2) + doubled) * LOOSE,
        cap=(127 - end) * made,
        floor=(-128 - end) * made,
    )


def _exact(stored: NDArray[np.generic], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (n_in, n_out) times their scales; exact in float64, 8 bits times 24."""
    found: NDArray[np.float64] = (stored.astype(np.float64) * scales[:, None]).T
    return found


def _scales(
    graph: lite.Graph, place: int, stored: NDArray[np.generic], either: bool
) -> tuple[NDArray[np.float64], bool]:
    """(the scale of each output, whether it is stored as XNNPACK reads it).

    `either`: square weights may name dimension 1. LiteRT's own dynamic-range kernel takes scales as
    those of outputs whatever the dimension, which it checks by their number alone.
    """
    grid = graph.tensors[place].grid
    if (
        stored.ndim != 2
        or grid is None
        or len(grid.scales) not in (1, len(stored))
        or np.any(grid.zeros)
    ):
        raise NoRulesError("weights without a scale for each output, or with a zero point")
    square = either and stored.shape[0] == stored.shape[1]
    if grid.dimension not in (0, 1) or (
        grid.dimension == 1 and len(grid.scales) > 1 and not square
    ):
        raise NoRulesError(f"weights quantised along dimension {grid.dimension}")
    plain = grid.dimension == 0 or len(grid.scales) == 1
    return np.broadcast_to(grid.scales.astype(np.float64), (len(stored),)), plain


def _check_sums(
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    zero: int,
    ratio: NDArray[np.float64],
    runtime: str,
) -> None:
    """Raises NoRulesError where a partial sum over the whole grid of the inputs leaves 31 bits, or
    does so once a multiplier of 1 or more shifts it left.

    XNNPACK refuses multipliers of 2^8. The reference kernel shifts in 64 bits, and only its product
    must fit 31.
    """
    if weights.shape[1] >= _MOST_INPUTS:
        raise NoRulesError("a layer of so many inputs that sums of its products could overflow")
    ends = np.stack([weights * (-128 - zero), weights * (127 - zero)])
    most = np.maximum(ends.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    least = np.minimum(ends.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    largest = np.maximum(most, -least)
    if largest.max() >= 2**31:
        raise NoRulesError("an accumulator that could overflow 32 bits")
    if ratio.min() < _LEAST_RATIO or ratio.max() >= (2.0**8 if runtime == "xnnpack" else 2.0**30):
        raise NoRulesError(f"a multiplier of {ratio.min():.3g} to {ratio.max():.3g}")
    power = 2.0 ** np.maximum(np.frexp(ratio * (1 + 2.0**-20))[1], 0)
    shifted = largest * (ratio * (1 + 2.0**-20) if runtime == "reference" else power)
    if shifted.max() >= 2**31 - 256:
        raise NoRulesError("an accumulator that overflows 32 bits once it is shifted")
