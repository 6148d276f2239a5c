"""An adversarial set: the examples of one attack on one network, with all that is needed to apply
them to other networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.attack import Attacked
from relrob.attacks.goal import Goal
from relrob.attacks.selection import Filter
from relrob.domain.arrays import Bools, Floats, Ints, read_only
from relrob.domain.network import Layout, Network
from relrob.domain.region import Norm
from relrob.errors import DatasetError

_MOST_OUTPUTS: Final = 1 << 20  # of a network of which only the labels of some images are known


@dataclass(frozen=True)
class Origin:
    """Where a set comes from.

    `attack`: its text, with every parameter; `norm`: the distance that it keeps small; `seed`;
    `fitted_on`: the images that a universal perturbation was fitted on, "" for other attacks.
    `network`: the path as typed, its `sha256`, `runtime`, `scheme`, `contract` (the options of what
    it reads), and `layout` (the order in which it reads pixels). `dataset`, `split`, `data_sha256`:
    of the clean images; `range`: the values that pixels 0 to 1 stand for, LO:HI, "" for pixels;
    `filter`: which images were attacked. `classes`: how many the data have, or at least have where
    `classes_known` is False. `version`: of relrob.
    """

    attack: str
    norm: Norm
    seed: int
    network: str
    sha256: str
    runtime: str
    scheme: str
    contract: str
    dataset: str
    split: str
    data_sha256: str
    classes: int
    classes_known: bool
    filter: Filter
    version: str
    range: str = ""
    fitted_on: str = ""
    layout: Layout = Layout.HWC


@dataclass(frozen=True, eq=False)
class AdversarialSet:
    """`adversarial`, `images` (n, d) float32 in [0, 1]: examples and clean images, flat, of `shape`
    (H, W, C). `indices` (n,): places of the images in their data set; `labels` (n,): true. `clean`,
    `found` (n,): the source's labels of both, each image alone; -1 is no class. `targets` (n,): the
    labels asked for, or None. `queries`, `gradients` (n,): of each image. `delta` (d,): the
    perturbation that all share, or None.

    Raises DatasetError for arrays that do not fit each other, and pixels that are no pixels.
    """

    origin: Origin
    shape: tuple[int, int, int]
    adversarial: Floats
    images: Floats
    indices: Ints
    labels: Ints
    clean: Ints
    found: Ints
    queries: Ints
    gradients: Ints
    targets: Ints | None = None
    delta: Floats | None = None

    def __post_init__(self) -> None:
        count, width = len(self.labels), int(np.prod(self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1 or not count:
            raise DatasetError(f"an adversarial set of {count} images {self.shape}", "(H, W, C)")
        for name in ("adversarial", "images"):
            _check_pixels(getattr(self, name), name, (count, width))
        for name in ("indices", "labels", "clean", "found", "queries", "gradients", "targets"):
            values = getattr(self, name)
            if values is not None:
                low, high = self._ends(name)
                _check_numbers(values, name, count, low, high)
        if self.delta is not None and (
            self.delta.shape != (width,) or not np.isfinite(self.delta).all()
        ):
            raise DatasetError(f"delta {self.delta.shape}", f"({width},), finite")
        for name, values in vars(self).items():
            if isinstance(values, np.ndarray):
                kind = np.float32 if values.dtype.kind == "f" else np.int64
                object.__setattr__(self, name, read_only(values.astype(kind, copy=False)))

    def _ends(self, name: str) -> tuple[int, int]:
        """The least and the largest number that an array of this name may hold."""
        last = self.origin.classes - 1
        if name == "labels":
            return 0, last
        if name not in ("clean", "found", "targets"):
            return 0, 2**62
        # NaN is no class. A network may have more outputs than the data have labels, where these
        # are all that is known.
        outputs = last if self.origin.classes_known else max(last, _MOST_OUTPUTS - 1)
        return (0 if name == "targets" else -1), outputs

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def goal(self) -> Goal:
        """The goal of the attack."""
        return Goal(self.labels, self.targets)

    @property
    def success(self) -> Bools:
        """Which examples (n,) met the goal on the source."""
        return self.goal.reached(self.found)


def set_of(
    attacked: Attacked,
    origin: Origin,
    network: Network,
    indices: Ints,
    targets: Ints | None = None,
    delta: Floats | None = None,
) -> AdversarialSet:
    """The set of what an attack found on images of the data set's places `indices` (n,)."""
    return AdversarialSet(
        origin,
        network.image_shape,
        attacked.adversarial,
        attacked.images,
        indices,
        attacked.labels,
        attacked.clean,
        attacked.found,
        attacked.queries,
        attacked.gradients,
        targets,
        delta,
    )


def _check_pixels(values: Floats, name: str, shape: tuple[int, int]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise DatasetError(
            f"{name} of shape {values.shape} and type {values.dtype}", f"float32 {shape}"
        )
    # NaN compares as False.
    if not ((values >= 0) & (values <= 1)).all():
        raise DatasetError(f"{name} with values that are no pixels", "numbers in [0, 1]")


def _check_numbers(values: Ints, name: str, count: int, low: int, high: int) -> None:
    if values.shape != (count,) or values.dtype.kind not in "iu":
        raise DatasetError(
            f"{name} of shape {values.shape} and type {values.dtype}", f"({count},) whole numbers"
        )
    if values.min() < low or values.max() > high:
        raise DatasetError(f"{name} from {values.min()} to {values.max()}", f"{low} to {high}")
