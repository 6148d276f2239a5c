"""What is known of values whose codes stand at an end of their range: those that a first layer
reads, and those that different inputs led to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles
from relrob.networks.weighted import Codes, Weighted

# Steps, and a share of the range, by which codes may be away from what they stand for: each
# operator that made them rounds.
_ROUNDED: Final = 3
_SHARE: Final = 0.02
# A blank image, its edges and its corners give so many equal outputs. Fewer than a share of all
# are no blank part.
_BLANK: Final = 9
_RARE: Final = 0.01


def first_inputs(layer: Weighted, pixels: Doubles, channels: int) -> list[Doubles]:
    """What the first layer of a quantised network may read, where that of its reference is `layer`:
    the pixels (n, d), in raster order, through the first of the steps before it, through two of
    them, and so on; the factor of the last one may be in the weights. None where an activation
    stands before these steps."""
    found: list[Doubles] = []
    if layer.earlier:
        return found
    for step in layer.before:
        wide = [_a_value(each, layer, channels, pixels.shape[1]) for each in step]
        factor, shift = wide
        if factor is None or shift is None:
            break
        if factor.all():
            found.append(pixels + shift / factor)
        pixels = pixels * factor + shift
        found.append(pixels)
    return found


def _a_value(numbers: Doubles, layer: Weighted, channels: int, count: int) -> Doubles | None:
    """The numbers of a step, one a value of the image, (count,); None where that is not known."""
    flat = numbers.ravel()
    if (flat == flat[0]).all():
        return np.full(count, flat[0])
    if layer.kind == "depthwise" and not len(flat) % channels:
        flat = flat[:: len(flat) // channels]
    elif layer.kind == "conv" and layer.window[-1] == channels:
        flat = flat[:channels]
    elif len(flat) != count:
        return None
    return np.resize(flat, count)


class Standing(NamedTuple):
    """The `values` (n, d) that codes stand for, as far as they lie between `low` and `high`."""

    values: Doubles
    low: float
    high: float


def standing_for(
    codes: Codes, found: NDArray[Any], pixels: Doubles, computed: Sequence[Doubles]
) -> Standing | None:
    """The values that the codes `found` (n, d) stand for, in any order, where these are the pixels
    or one of what was computed from them; else None. What is computed may have been cut off on its
    way to these codes."""
    stands = np.sort((found.astype(np.float64) - codes.zero) * codes.scale, axis=1)
    ends = codes.bottom, codes.top
    if _away(stands, pixels, *ends) <= codes.scale:
        return Standing(pixels, *ends)
    loose = max(_ROUNDED * codes.scale, _SHARE * (codes.top - codes.bottom))
    used = float(stands.min()), float(stands.max())
    if not computed or used[1] - used[0] < _ROUNDED * loose:
        return None
    away, place = min((_away(stands, each, *used), place) for place, each in enumerate(computed))
    if away > loose:
        return None
    return Standing(computed[place], max(ends[0], used[0] - loose), min(ends[1], used[1] + loose))


def _away(stands: Doubles, values: Doubles, low: float, high: float) -> float:
    """The largest distance of sorted values from others, which are cut off at two ends."""
    if values.shape != stands.shape:
        return float("inf")
    return float(np.abs(stands - np.sort(np.clip(values, low, high), axis=1)).max())


def varied_pixels(found: NDArray[Any], codes: Codes, pixels: Doubles) -> float | None:
    """The share of values at an end that pixels (n, d), in the order of `found`, of more than one
    step led to. None where each value is not made of one pixel."""
    if found.shape != pixels.shape:
        return None
    steps = max(int(found.max()) - int(found.min()), 1)
    step = 2 * float(pixels.max() - pixels.min()) / steps
    share = 0.0
    for end in (codes.least, codes.most):
        values, counts = np.unique(pixels[found == end], return_counts=True)
        if len(values):
            far = np.abs(values - values[counts.argmax()]) > step
            share += float(counts[far].sum()) / found.size
    return share


def varied_outputs(
    found: NDArray[Any], ends: NDArray[np.bool_], layer: Weighted, *, channels_first: bool
) -> float | None:
    """The share of the outputs of a layer (n, values) that are at an end, `ends`, where its input
    is not that of a blank part: there all of its channels have the values of another place."""
    count, outputs = len(found), layer.shape[0]
    if found.shape[1] % outputs:
        return None
    shape = (count, outputs, -1) if channels_first else (count, -1, outputs)
    turn = (0, 2, 1) if channels_first else (0, 1, 2)
    rows, flags = (
        each.reshape(shape).transpose(turn).reshape(-1, outputs) for each in (found, ends)
    )
    kept = flags.any(axis=1)
    different, place, counts = np.unique(
        rows[kept], axis=0, return_inverse=True, return_counts=True
    )
    common = np.argsort(-counts, kind="stable")[:_BLANK]
    blank = np.zeros(len(different), np.bool_)
    blank[common] = counts[common] >= max(2, _RARE * len(rows))
    return float(flags[kept][~blank[place.ravel()]].sum() / found.size)
