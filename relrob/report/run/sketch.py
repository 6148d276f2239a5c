"""A witness as letters: the perturbed image, and the pixels that changed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.record import WitnessView

# From black to white.
INK: Final = " .:-=+*#%@"
DARKER, BRIGHTER, SAME = "-", "+", "."
# The largest image that is drawn, in pixels a side.
LARGEST: Final = 64
_GAP: Final = "   "


def sketch(view: WitnessView, columns: int) -> str:
    """The perturbed image and its changes, side by side or one below the other; "" for an image
    that is too large for `columns` or for letters at all.

    Two rows of pixels are one line, as letters are about twice as high as wide: an image shows
    their mean, a change the stronger of the two. Colours are shown as their mean.
    """
    height, width, _ = view.shape
    if width > min(columns, LARGEST) or height > LARGEST:
        return ""
    before, after = (
        np.asarray(image, dtype=np.float64).reshape(view.shape).mean(axis=2)
        for image in (view.original, view.perturbed)
    )
    left = ["perturbed", *_inked(after)]
    right = ["changed", *_changed(after - before)]
    if 2 * width + len(_GAP) > columns:
        return "\n".join(line.rstrip() for line in (*left, "", *right))
    pairs = zip(left, right, strict=True)
    return "\n".join(f"{one:<{width}}{_GAP}{other}".rstrip() for one, other in pairs)


def picture(image: NDArray[np.floating]) -> str:
    """An image (H, W) in [0, 1] as letters, two rows of pixels a line, without the empty lines at
    both ends."""
    lines = [line.rstrip() for line in _inked(np.asarray(image, dtype=np.float64))]
    while lines and not lines[-1]:
        lines.pop()
    first = next((at for at, line in enumerate(lines) if line), 0)
    return "\n".join(lines[first:])


def _halves(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W) to (lines, 2, W); an odd last row stands twice."""
    rows = image if len(image) % 2 == 0 else np.concatenate([image, image[-1:]])
    return rows.reshape(-1, 2, image.shape[1])


def _inked(image: NDArray[np.float64]) -> list[str]:
    means = _halves(image).mean(axis=1)
    places = np.rint(np.clip(means, 0, 1) * (len(INK) - 1)).astype(int)
    return ["".join(INK[at] for at in line) for line in places]


def _changed(change: NDArray[np.float64]) -> list[str]:
    halves = _halves(change)
    strongest = np.where(abs(halves[:, 0]) >= abs(halves[:, 1]), halves[:, 0], halves[:, 1])
    marks = np.sign(strongest).astype(int)
    return ["".join((SAME, BRIGHTER, DARKER)[at] for at in line) for line in marks]
