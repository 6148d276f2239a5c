"""A witness as the bytes of an .npz. The same witness gives the same bytes, and reading them runs
no code."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, read_only
from relrob.domain.record import WitnessView
from relrob.errors import StoreError
from relrob.system.npz import digest_of, packed, unpacked

# The most bytes of an unpacked witness; an image of 1000 x 1000 colours needs 24 MB.
_LARGEST = 1 << 28
# Members that witnesses of an older relrob lack.
_SCORES: Final = ("reference_scores", "quantised_scores")


def _arrays(view: WitnessView) -> dict[str, NDArray[np.generic]]:
    """The members of the file, in order; images are (H, W, C) float32, little-endian."""
    if len(view.shape) != 3 or not view.original.size == view.perturbed.size == int(
        np.prod(view.shape)
    ):
        raise StoreError(
            f"a witness of image {view.index} has images "
            f"of {view.original.size} and {view.perturbed.size} values",
            f"height x width x channels = {view.shape}",
        )
    return {
        "original": np.asarray(view.original, dtype="<f4").reshape(view.shape),
        "perturbed": np.asarray(view.perturbed, dtype="<f4").reshape(view.shape),
        "index": np.array(view.index, dtype="<i8"),
        "network": np.array(view.network),
        "label": np.array(view.label, dtype="<i8"),
        "reference_label": np.array(view.reference_label, dtype="<i8"),
        "quantised_label": np.array(view.quantised_label, dtype="<i8"),
        "reference_margin": np.array(view.reference_margin, dtype="<f8"),
        "quantised_margin": np.array(view.quantised_margin, dtype="<f8"),
        "cost": np.array(view.cost),
        "moved": np.array(view.moved, dtype="<i8"),
        **{
            name: np.asarray(scores, dtype="<f4")
            for name in _SCORES
            if (scores := getattr(view, name)) is not None
        },
    }


def encode(view: WitnessView) -> bytes:
    """The bytes of the .npz.

    `original` and `perturbed` are (H, W, C) float32, `moved` is (m,) int64, `*_scores` are (2,
    classes) float32 (the original, the perturbed); labels, margins and the cost (text) are scalars.
    Raises StoreError for images of another size than the shape's.
    """
    return packed(_arrays(view))


def decode(data: bytes, which: str = "") -> WitnessView:
    """The witness that `encode` wrote. `which`: words for messages, such as "of image 3".

    Raises StoreError when the bytes are no witness.
    """
    try:
        return _decoded(unpacked(data, _LARGEST))
    except (
        # NumPy hands the header to Python's parser, and zipfile raises errors of any kind.
        Exception
    ) as error:
        told = f"a stored witness {which}".rstrip()
        raise StoreError(
            f"{told} cannot be read ({type(error).__name__}, {error})",
            hint="run again into another --out",
        ) from error


def _decoded(members: dict[str, NDArray[Any]]) -> WitnessView:
    original: Floats = members["original"]
    height, width, channels = original.shape
    return WitnessView(
        index=int(members["index"]),
        network=str(members["network"]),
        label=int(members["label"]),
        original=read_only(original.astype(np.float32).reshape(-1)),
        perturbed=read_only(members["perturbed"].astype(np.float32).reshape(-1)),
        shape=(int(height), int(width), int(channels)),
        reference_label=int(members["reference_label"]),
        quantised_label=int(members["quantised_label"]),
        reference_margin=float(members["reference_margin"]),
        quantised_margin=float(members["quantised_margin"]),
        cost=str(members["cost"]),
        moved=tuple(int(feature) for feature in members["moved"]),
        **{
            name: read_only(members[name].astype(np.float32).reshape(2, -1))
            for name in _SCORES
            if name in members
        },
    )


def digest(view: WitnessView) -> str:
    """SHA-256 (hex) of a witness's values. It does not depend on their compression."""
    return digest_of(_arrays(view))
