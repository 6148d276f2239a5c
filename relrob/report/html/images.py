"""Pictures of images: the original, the perturbed one, and what was changed."""

from __future__ import annotations

from typing import final

import numpy as np

from relrob.domain.arrays import Levels
from relrob.domain.record import WitnessView
from relrob.report.html.parts import Picture
from relrob.report.html.run_data import RunData
from relrob.report.html.thumbnails import Room, levels
from relrob.report.run.picture import difference_levels


@final
class Pictures:
    """The pictures of a run's images, as many as the page has room for."""

    def __init__(self, run: RunData, room: Room | None = None) -> None:
        self._run, self.room = run, room or Room()

    def original(self, index: int) -> Picture | None:
        """The image as it is, None where nothing holds it."""
        kept = self._run.evidence.pictures.get(index)
        alt = f"image {index}"
        if kept is not None:
            return Picture(self.room.take_made(kept), alt)
        views = self._run.witnesses(index)
        if not views:
            return None
        return Picture(self.room.take(levels_of(next(iter(views.values())))), alt)

    def perturbed(self, view: WitnessView) -> Picture:
        """The image that fools the network."""
        shown = levels(view.perturbed, view.shape)
        return Picture(self.room.take(shown), f"image {view.index}, perturbed")

    def changed(self, view: WitnessView) -> Picture:
        """The difference in colours."""
        alt = f"image {view.index}: darker pixels blue, brighter ones orange"
        return Picture(self.room.take(difference_levels(view)), alt)


def levels_of(view: WitnessView) -> Levels:
    """The original of a witness."""
    return levels(view.original, view.shape)


def amplified(view: WitnessView) -> str:
    """By how much the difference is enlarged, and its largest change, in words."""
    change = np.abs(np.asarray(view.perturbed, np.float64) - np.asarray(view.original, np.float64))
    largest = float(change.max(initial=0.0))
    if not largest:
        return "no pixel differs"
    return f"change x {1 / largest:.3g}, at most {largest:.3g} a pixel"
