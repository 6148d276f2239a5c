"""From the options that choose images and an attack to an adversarial set: what `relrob attack` and
`relrob transfer` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relrob.api.subjects import HowRead, chosen_images, read_data
from relrob.attacks.craft import Asked
from relrob.attacks.making import Task
from relrob.attacks.selection import Filter
from relrob.domain.events import Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.study.data import labelled
from relrob.study.options import spelled
from relrob_datasets.dataset import Images
from relrob_datasets.read_as import ReadAs

# Images that are attacked where none are named.
IMAGES = "0:100"


@dataclass(frozen=True)
class Choice:
    """The options that choose images, as given, None where they were not.

    `dataset`, `split`, `images`, `sample`: which are attacked; `target_label`: the label that they
    shall get; `fit_images`, `fit_split`: those that a universal perturbation is fitted on;
    `classes`, `labels`, `range`, `images_layout`: how data are read (docs/data.md).
    """

    dataset: str | Path | None = None
    split: str | None = None
    images: str | Sequence[int] | None = None
    sample: int | None = None
    target_label: str | int | None = None
    fit_images: str | Sequence[int] | None = None
    fit_split: str | None = None
    classes: str | Path | None = None
    labels: str | None = None
    range: str | None = None
    images_layout: str | None = None

    @property
    def fits(self) -> bool:
        """Are there images of their own to fit on?"""
        return self.fit_images is not None or self.fit_split is not None

    def refuse_fit(self, asked: Asked) -> None:
        """Refuse images to fit on, for an attack that fits nothing. Raises UsageError."""
        names = [
            spelled(name) for name in ("fit_images", "fit_split") if getattr(self, name) is not None
        ]
        if names and not asked.universal:
            raise UsageError(
                f"{', '.join(names)} with {asked.text}, which fits no universal perturbation",
                "an attack that does, relrob attacks",
                f"leave out {', '.join(names)}",
            )

    def read(self, how: HowRead, listener: Listener) -> Images:
        """The images of data set and split. Raises DatasetError, UsageError."""
        read_as = ReadAs((), self.labels or "given", self.range, self.images_layout or "auto")
        name = "mnist" if self.dataset is None else str(self.dataset)
        return read_data(name, self.split or "test", read_as, self.classes, how.memory, listener)


def task_of(
    choice: Choice,
    asked: Asked,
    chosen: Filter,
    shown: Images,
    network: Network,
    how: HowRead,
    listener: Listener,
) -> Task:
    """The task on images that were read. `network`: it labels images that have no labels. Raises
    DatasetError, UsageError."""
    data = labelled(shown, network)
    images = IMAGES if choice.images is None else choice.images
    fit = None
    if choice.fits:
        others = replace(choice, split=choice.fit_split or choice.split).read(how, silent)
        fitted = labelled(others, network)
        wanted = "all" if choice.fit_images is None else choice.fit_images
        fit = fitted, chosen_images(fitted, wanted, listener)
    return Task(
        asked,
        chosen,
        data,
        chosen_images(data, images, listener),
        choice.sample,
        None if choice.target_label is None else str(choice.target_label),
        fit,
    )


def source_filter(text: str) -> Filter:
    """The filter of a command that crafts. Raises UsageError, also for one that needs a target."""
    found = Filter.of(text)
    if found is Filter.BOTH_CORRECT:
        raise UsageError(
            "filter both_correct without a network that examples are applied to",
            "none, source_correct",
            "relrob transfer --filter both_correct",
        )
    return found


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of some options that are not None."""
    return {name: value for name, value in options.items() if value is not None}
