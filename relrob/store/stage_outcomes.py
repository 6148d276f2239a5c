"""What became of each image of an attack in a stage, beside the row of means: the file from which
claims take the noise of the images. It holds no pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.errors import StoreError
from relrob.system.npz import packed, unpacked

FILE: Final = "outcomes.npz"
_LARGEST: Final = 1 << 24
_FLAGS: Final = ("right", "hit", "before", "success", "lost")
_NORMS: Final = ("l0", "l2", "linf")
_EVERY: Final = ("places", *_FLAGS, *_NORMS)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One entry an image (n,).

    `places`: in the data set `dataset`. `right`: the network gives the example the true label.
    `hit`: it gives the target's label. `before`: the example succeeded on its source. `success`: it
    succeeds here. `lost`: a success that nobody would recognise. `l0`, `l2`, `linf`: its distance.
    Raises StoreError for arrays of other lengths.
    """

    dataset: str
    places: Ints
    right: Bools
    hit: Bools
    before: Bools
    success: Bools
    lost: Bools
    l0: Floats
    l2: Floats
    linf: Floats

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in _EVERY}
        if set(shapes.values()) != {(len(self.places),)}:
            raise StoreError(f"outcomes of shapes {shapes}", "one entry an image")

    def each(self, metric: str) -> Doubles | None:
        """The values (n,) whose mean is that column of the stage's row; NaN for an image that does
        not count. None for a column that is no mean over images."""
        if metric in _NORMS:
            return _where(self.success, getattr(self, metric))
        makers: dict[str, Callable[[], Doubles]] = {
            "adversarial_accuracy": lambda: self.right.astype(np.float64),
            "evasion_rate": lambda: 1.0 - self.right.astype(np.float64),
            "targeted_rate": lambda: self.hit.astype(np.float64),
            "transfer_rate": lambda: _where(self.before, self.success),
            "unrecognisable": lambda: _where(self.success, self.lost),
            "l2_recognisable": lambda: _where(self.success & ~self.lost, self.l2),
        }
        return makers[metric]() if metric in makers else None

    def encode(self) -> bytes:
        """The bytes of the file."""
        arrays: dict[str, NDArray[Any]] = {"places": self.places.astype("<i4")}
        arrays |= {name: getattr(self, name).astype(np.bool_) for name in _FLAGS}
        arrays |= {name: getattr(self, name).astype("<f4") for name in _NORMS}
        return packed({"dataset": np.array(self.dataset), **arrays})


def decode(data: bytes, where: str) -> Outcomes:
    """The outcomes that `encode` wrote. `where`: the file, for messages. Raises StoreError."""
    try:
        members = unpacked(data, _LARGEST)
        kinds = [members[name].dtype.kind for name in _EVERY]
        if kinds != ["i", *"b" * len(_FLAGS), *"f" * len(_NORMS)]:
            raise ValueError(f"arrays of kinds {kinds}")
        return Outcomes(
            str(members["dataset"]),
            members["places"].astype(np.int64),
            *(members[name] for name in (*_FLAGS, *_NORMS)),
        )
    # NumPy hands the header to Python's parser, and zipfile raises errors of any kind.
    except Exception as error:
        raise StoreError(
            f"{where} is damaged ({error})", f"an {FILE} that relrob wrote", "run the stage again"
        ) from error


def _where(counted: Bools, values: Any) -> Doubles:
    return np.where(counted, np.asarray(values, np.float64), np.nan)
