"""A pair of networks on all images of a data set, as a value: labels, agreement, accuracy, changes,
diagnoses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from relrob.audit.classes import confusion
from relrob.audit.diagnosis import Diagnosis
from relrob.audit.exact import mcnemar
from relrob.audit.kinship import Kinship
from relrob.domain.arrays import Bools, Doubles, Ints, read_only
from relrob.errors import how_many
from relrob.store.proportions import wilson
from relrob.system.files import readable

# The most classes whose whole confusion is written.
_SHOWN: Final = 50


@dataclass(frozen=True)
class Share:
    """`k` of `n` images, with the Wilson interval of 95 %."""

    k: int
    n: int

    @property
    def share(self) -> float:
        """k / n."""
        return self.k / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval."""
        return wilson(self.k, self.n)

    def json(self) -> dict[str, Any]:
        """Count, total, share and interval."""
        return {
            "count": self.k,
            "of": self.n,
            "share": round(self.share, 6),
            "interval": [round(end, 6) for end in self.interval],
        }


@dataclass(frozen=True, eq=False)
class Side:
    """One network on all images: its `labels` (n,), -1 where an output is no number, and `tied`
    (n,): do several classes share the largest output?"""

    path: str
    sha256: str
    scheme: str
    runtime: str
    labels: Ints
    tied: Bools

    def __post_init__(self) -> None:
        if self.labels.shape != self.tied.shape or self.labels.ndim != 1:
            raise ValueError(f"labels {self.labels.shape} and ties {self.tied.shape}")
        object.__setattr__(self, "labels", read_only(np.asarray(self.labels, np.int64)))
        object.__setattr__(self, "tied", read_only(np.asarray(self.tied, np.bool_)))

    @property
    def ties(self) -> tuple[int, ...]:
        """The images whose largest output several classes share."""
        return _places(self.tied)

    def json(self) -> dict[str, Any]:
        """The file, and how many images tie or have no label."""
        return {
            "path": readable(self.path),
            "sha256": self.sha256,
            "scheme": self.scheme,
            "runtime": self.runtime,
            "ties": len(self.ties),
            "no_label": int((self.labels < 0).sum()),
        }


@dataclass(frozen=True)
class ClassRow:
    """One class: its images, and those that each network has right."""

    label: int
    images: int
    reference: int
    quantised: int


@dataclass(frozen=True, eq=False)
class PairReport:
    """Two networks on the n images of a data set, as they are read now.

    `labels` (n,): the true ones, None for unlabelled data; then there are no accuracies. `margins`
    (n,): by how much the reference's largest logit exceeds the next. `kinship`: how far the logits
    are from each other. `diagnoses`: faults that runs alone show. `candidates`: faults that runs
    suggest, which only weights can settle.
    """

    reference: Side
    quantised: Side
    labels: Ints | None
    classes: int
    margins: Doubles
    kinship: Kinship | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    candidates: tuple[Diagnosis, ...] = ()

    def __post_init__(self) -> None:
        shapes = {self.reference.labels.shape, self.quantised.labels.shape, self.margins.shape}
        shapes |= set() if self.labels is None else {self.labels.shape}
        if len(shapes) != 1 or not len(self.margins):
            raise ValueError(f"a pair of networks on images of {shapes}")
        object.__setattr__(self, "margins", read_only(np.asarray(self.margins, np.float64)))
        if self.labels is not None:
            object.__setattr__(self, "labels", read_only(np.asarray(self.labels, np.int64)))

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.margins)

    @property
    def reference_labels(self) -> Ints:
        """The reference's label of each image."""
        return self.reference.labels

    @property
    def quantised_labels(self) -> Ints:
        """The quantised network's label of each image."""
        return self.quantised.labels

    @cached_property
    def differs(self) -> Bools:
        """Do the two labels of each image differ, or has a network none?"""
        first, second = self.reference.labels, self.quantised.labels
        return read_only((first != second) | (first < 0))

    @property
    def agreeing(self) -> Share:
        """The images with one label on both networks."""
        return Share(int((~self.differs).sum()), self.images)

    @property
    def agreement(self) -> float:
        """Their share."""
        return self.agreeing.share

    @property
    def disagreements(self) -> tuple[int, ...]:
        """The images with two labels."""
        return _places(self.differs)

    @property
    def tied_disagreements(self) -> tuple[int, ...]:
        """Of these, the images where a network's largest output is shared by several classes."""
        return _places(self.differs & (self.reference.tied | self.quantised.tied))

    @property
    def reference_accuracy(self) -> Share | None:
        """The images that the reference has right."""
        return self._right(self.reference.labels)

    @property
    def quantised_accuracy(self) -> Share | None:
        """The images that the quantised network has right."""
        return self._right(self.quantised.labels)

    @property
    def regressions(self) -> tuple[int, ...]:
        """The images that the reference alone has right; of unlabelled data, the disagreements."""
        right = self.reference.labels == self._truth
        return _places(right & self.differs)

    @property
    def gains(self) -> tuple[int, ...]:
        """The images that the quantised network alone has right."""
        return _places((self.quantised.labels == self._truth) & self.differs)

    @property
    def p_value(self) -> float | None:
        """Of McNemar's exact test that regressions and gains are equally likely."""
        if self.labels is None:
            return None
        return mcnemar(len(self.regressions), len(self.gains))

    @property
    def rows(self) -> tuple[ClassRow, ...]:
        """Each class of which there are images; none for unlabelled data."""
        if self.labels is None:
            return ()
        return tuple(
            ClassRow(
                int(label),
                int((self.labels == label).sum()),
                int((self.reference.labels[self.labels == label] == label).sum()),
                int((self.quantised.labels[self.labels == label] == label).sum()),
            )
            for label in np.unique(self.labels)
        )

    @cached_property
    def confusion(self) -> Ints:
        """Numbers of images by the reference's label (rows) and the quantised network's."""
        found = confusion(self.reference.labels, self.quantised.labels, self.classes)
        return read_only(found)

    @property
    def changes(self) -> tuple[tuple[int, int, int], ...]:
        """(reference's label, quantised network's label, images) where these differ, most first."""
        table = self.confusion
        cells = [(int(a), int(b)) for a, b in np.argwhere(table) if a != b]
        return tuple(sorted(((a, b, int(table[a, b])) for a, b in cells), key=lambda c: -c[2]))

    @property
    def sentence(self) -> str:
        """One line for the terminal."""
        told = f"labels agree on {self.agreeing.k:,} of {how_many(self.images, 'image')}"
        told += f" ({_percent(self.agreement)})"
        first, second = self.reference_accuracy, self.quantised_accuracy
        if first is not None and second is not None:
            told += f", accuracy {_percent(first.share)} -> {_percent(second.share)}"
        if self.diagnoses:
            return f"{told}: {self.diagnoses[0].sentence}"
        return told

    def json(self) -> dict[str, Any]:
        """For `audit.json`."""
        first, second = self.reference_accuracy, self.quantised_accuracy
        return {
            "images": self.images,
            "labels": "reference" if self.labels is None else "data",
            "agreement": self.agreeing.json(),
            "reference": self.reference.json() | ({"accuracy": first.json()} if first else {}),
            "quantised": self.quantised.json() | ({"accuracy": second.json()} if second else {}),
            "disagreements": [self._change(at) for at in self.disagreements],
            "tied_disagreements": list(self.tied_disagreements),
            "regressions": list(self.regressions),
            "gains": list(self.gains),
            "p_value": self.p_value,
            "classes": [vars(row) for row in self.rows],
            "confusion": self.confusion.tolist() if self.classes <= _SHOWN else None,
            "changes": [list(each) for each in self.changes],
            "kinship": self.kinship.json() if self.kinship else None,
            "diagnosis": [each.json() for each in self.diagnoses],
            "candidates": [each.json() for each in self.candidates],
        }

    @property
    def _truth(self) -> Ints:
        return self.reference.labels if self.labels is None else self.labels

    def _right(self, labels: Ints) -> Share | None:
        if self.labels is None:
            return None
        return Share(int((labels == self.labels).sum()), self.images)

    def _change(self, image: int) -> dict[str, Any]:
        margin = float(self.margins[image])
        return {
            "image": image,
            "reference": int(self.reference.labels[image]),
            "quantised": int(self.quantised.labels[image]),
            "margin": round(margin, 6) if np.isfinite(margin) else None,
        }


def _places(mask: Bools) -> tuple[int, ...]:
    return tuple(int(place) for place in np.flatnonzero(mask))


def _percent(share: float) -> str:
    """With two digits, and 100 % for all alone."""
    shown = f"{100 * share:.2f}"
    return "99.99 %" if shown == "100.00" and share < 1 else f"{shown} %"
