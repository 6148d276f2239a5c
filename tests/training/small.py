"""Small trainings: images that are learnt in seconds, and a listener that stops a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from relrob.domain.events import Event, silent
from relrob.training.asked import Training
from relrob.training.reference import trainer


class StopError(Exception):
    """A training is stopped from its listener."""


def stop(event: Event) -> None:
    """Stop at the first event."""
    raise StopError


def bars(path: Path) -> str:
    """Ninety images of three classes: a bright bar on the left, in the middle, on the right."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = rng.integers(0, 60, (90, 28, 28, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 4 + 8 * label : 8 + 8 * label] += 180
    np.savez(path / "bars.npz", images=images, labels=labels)
    return str(path / "bars.npz")


def trained(asked: Training, output: Path, listener: Any = silent) -> bytes:
    """The bytes of the trained network."""
    trainer()(asked, output, listener)
    return output.read_bytes()
