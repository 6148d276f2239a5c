"""Small pictures as data URIs, as many as a page has room for.

One pixel of the file is one pixel of the image, and the browser enlarges it; images larger than
`SIDE` are reduced.
"""

from __future__ import annotations

import base64
import io
from typing import Final, final

import numpy as np
from PIL import Image

from relrob.domain.arrays import Floats, Levels

# The longer side of a picture, in pixels.
SIDE: Final = 64
# Bytes of all pictures of a page.
BUDGET: Final = 800_000
_START: Final = "data:image/png;base64,"


def png_uri(levels: Levels) -> str:
    """(H, W, 1 or 3) levels as a data URI; the same bytes for the same levels."""
    height, width, channels = levels.shape
    image = Image.fromarray(levels[..., 0] if channels == 1 else levels)
    if max(height, width) > SIDE:
        shrink = SIDE / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = image.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=9)
    return _START + base64.b64encode(buffer.getvalue()).decode()


def picture_of(image: Floats, shape: tuple[int, int, int]) -> str:
    """An image (d,) in [0, 1] as a data URI."""
    return png_uri(grey_or_rgb(levels(image, shape)))


def levels(image: Floats, shape: tuple[int, int, int]) -> Levels:
    """(d,) in [0, 1] to (H, W, C) levels."""
    found: Levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).reshape(shape)
    return found


def grey_or_rgb(levels: Levels) -> Levels:
    """The levels with 1 or 3 channels: equal channels, and any other number of them, become
    one."""
    if levels.shape[2] == 3 and not (np.ptp(levels, axis=2) == 0).all():
        return levels
    if levels.shape[2] == 1:
        return levels
    mean: Levels = np.rint(levels.mean(axis=2, keepdims=True)).astype(np.uint8)
    return mean


@final
class Room:
    """The room that a page has for pictures. `left_out`: how many it had no room for."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._free = budget
        self._known: dict[bytes, str] = {}
        self.left_out = 0

    def take(self, levels: Levels) -> str:
        """The data URI of a picture, "" where there is no room for it."""
        key = bytes(str(levels.shape), "ascii") + levels.tobytes()
        found = self._known.get(key) or png_uri(grey_or_rgb(levels))
        self._known[key] = found
        return self.take_made(found)

    def take_made(self, uri: str) -> str:
        """The same of a picture that was made before."""
        if len(uri) > self._free:
            self.left_out += 1
            return ""
        self._free -= len(uri)
        return uri
