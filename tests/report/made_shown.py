"""Files of stages for figures, made up: examples that are noise on squares, and steps as curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.report.study.shown import Curves, Examples

GRID = np.arange(-256, 257) / 64.0


class MadeShown:
    """Ten examples of every group, and for every network a curve of its own."""

    def __init__(self, *, without: str = "?") -> None:
        self._without = without

    def curves(self, group: str, **axes: Any) -> Curves | None:
        """A step at 0 that is the higher the fewer bits there are."""
        text = axes.get("compress")
        bits = 32 if text is None else int(str(text).split(":")[1])
        step = 0.9 / np.sqrt(bits)
        shares = np.clip(0.5 + GRID / 2, 0, 1) * (1 - step) + step * (GRID >= 0)
        return Curves(GRID, {"weights": shares, "activations": np.where(GRID < 0, 0, shares)})

    def examples(self, group: str, **axes: Any) -> Examples | None:
        """Squares of ten sizes; the more iterations, the less noise."""
        if self._without in group:
            return None
        side, channels = (28, 1) if group.startswith("mnist") else (32, 3)
        images = np.zeros((10, side, side, channels), np.float32)
        for number in range(10):
            images[number, 4 : 8 + number, 4 : 8 + number] = 0.9
        steps = str(axes.get("attack", "steps=5:")).partition("steps=")[2].partition(":")[0]
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.5 / np.sqrt(int(steps)), images.shape)
        moved = np.clip(images + noise, 0, 1).astype(np.float32)
        return Examples(images, moved, np.arange(10), (np.arange(10) + 1) % 10)
