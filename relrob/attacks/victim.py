"""The network under attack as an attack sees it: outputs and gradients, each of them counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, final

import numpy as np

from relrob.attacks.pieces import pieces
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened

# From logits (n, classes) to their weights (n, classes) in the sum whose gradient is asked.
Seeds = Callable[[Floats], Floats]


class Gradients(Protocol):
    """A differentiable model of a network, whose logits are near those that its file gives.

    `classes`: number of logits. `exact`: is it the network itself, up to rounding? A float network
    is; the float emulation of a quantised file is not.
    """

    @property
    def classes(self) -> int: ...

    @property
    def exact(self) -> bool: ...

    @property
    def name(self) -> str:
        """The words of a report: "weights", "GradientTape", "float emulation of its layers"."""
        ...

    def logits(self, images: Floats) -> Floats:
        """Logits (n, classes) of flat images (n, d) float32 in [0,1], in raster order."""
        ...

    def pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        """(logits (n, classes), gradients (n, d)): for each image the gradient, by its pixels, of
        the sum of its logits times the weights that `seeds` gives for them. The weights count as
        constants.

        No image's gradient depends on the other images of the batch.
        """
        ...


@final
class Victim:
    """A network that is open on its runtime, with a differentiable model where there is one.

    `queries`, `gradients` (n,): for each attacked image the candidates that were run on the
    runtime, and the forward and backward passes of the model. `history`: for each step that the
    attack reports the least distance (n,) so far of an adversarial image, infinity where there is
    none. `words`: remarks about single images, such as "no signal".
    """

    def __init__(self, opened: Opened, images: int, model: Gradients | None = None) -> None:
        self._opened, self._model = opened, model
        self.queries: Ints = np.zeros(images, np.int64)
        self.gradients: Ints = np.zeros(images, np.int64)
        self.history: list[Doubles] = []
        self.words: dict[int, str] = {}
        self._flat: Bools = np.zeros(images, np.bool_)
        self._steep: Bools = np.zeros(images, np.bool_)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        return self._opened.network.image_shape

    @property
    def classes(self) -> int:
        """Number of outputs."""
        return self._opened.network.classes

    @property
    def model(self) -> Gradients:
        """The differentiable model. Raises UsageError where there is none."""
        if self._model is None:
            raise UsageError(
                f"{self._opened.network.path} has no gradients",
                "an attack by outputs or labels",
                "--attack square, boundary or hopskipjump",
            )
        return self._model

    def outputs(self, candidates: Floats, rows: Ints) -> Floats:
        """Outputs (m, classes) of candidates (m, d) on the runtime, in batches. `rows` (m,): the
        attacked image that each is a candidate for."""
        np.add.at(self.queries, rows, 1)
        images = np.ascontiguousarray(candidates, np.float32)
        runs, parts, first = self._opened.evaluator, [], 0
        if not len(images):
            return runs.outputs(images)
        for size in pieces(len(images), runs.best_batch):
            parts.append(runs.outputs(images[first : first + size]))
            first += size
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def labels(self, candidates: Floats, rows: Ints) -> Ints:
        """Labels (m,) of candidates, as for `outputs`."""
        return labels(self.outputs(candidates, rows))

    def judged(self, logits: Floats, candidates: Floats, rows: Ints) -> Ints:
        """Labels (m,) of candidates whose logits on the model are known: the model's where it is
        the network itself, else the runtime's. A file's emulation is never believed."""
        return labels(logits) if self.model.exact else self.labels(candidates, rows)

    def logits(self, candidates: Floats, rows: Ints) -> Floats:
        """Logits (m, classes) of the differentiable model, counted as its passes."""
        np.add.at(self.gradients, rows, 1)
        return self.model.logits(np.ascontiguousarray(candidates, np.float32))

    def pulled(self, candidates: Floats, rows: Ints, seeds: Seeds) -> tuple[Floats, Floats]:
        """`Gradients.pulled` of candidates for the images `rows`, counted."""
        np.add.at(self.gradients, rows, 1)
        found, slopes = self.model.pulled(np.ascontiguousarray(candidates, np.float32), seeds)
        steep = (slopes != 0).any(axis=1)
        self._flat[rows[~steep]] = self._steep[rows[steep]] = True
        return found, slopes

    def jacobian(self, candidates: Floats, rows: Ints, classes: Ints) -> tuple[Floats, Floats]:
        """(logits (m, all classes), gradients (m, k, d)) of the logits `classes` (m, k) of each
        candidate; k passes each."""
        count, width = classes.shape
        wide = np.repeat(candidates, width, axis=0)
        left = classes.reshape(-1)

        def one_each(logits: Floats) -> Floats:
            nonlocal left
            weights = np.zeros_like(logits)
            weights[np.arange(len(logits)), left[: len(logits)]] = 1.0
            left = left[len(logits) :]
            return weights

        logits, gradients = self.pulled(wide, np.repeat(rows, width), one_each)
        return logits[::width], gradients.reshape(count, width, -1)

    def note(self, distances: Doubles) -> None:
        """Report a step: the least distance (n,) so far of an adversarial image of each attacked
        image, infinity where there is none."""
        before = self.history[-1] if self.history else np.full(len(self.queries), np.inf)
        self.history.append(np.minimum(before, distances))

    def flat(self, rows: Ints) -> Ints:
        """Those of the attacked images `rows` whose gradients were asked for, and were all 0."""
        return rows[self._flat[rows] & ~self._steep[rows]]

    def remark(self, rows: Ints, words: str) -> None:
        """Say something about attacked images, in a few words."""
        self.words.update((int(row), words) for row in rows)
