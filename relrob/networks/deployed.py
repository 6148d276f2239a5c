"""The outputs of a network as it is deployed, one image at a time, in batches where these were seen
to change no bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import numpy as np

from relrob.domain.arrays import Floats, Ints
from relrob.errors import NetworkError
from relrob.networks.batches import differs_in_batches
from relrob.networks.evaluator import NEAR, near_ties
from relrob.networks.open import Opened

# Images that are compared, from all over a batch; fewer run alone, or in a batch of so many.
COMPARED: Final = 64
# A sixteenth of the gap, relative to the largest output, below which two outputs are a near tie:
# enough for images that were seen to have the same bits in batches.
ALIKE: Final = NEAR / 16
# A step of one level moves an output by a twentieth of the largest at most, in networks of 1 bit.
_STEP: Final = 0.1


def deployed_outputs(opened: Opened, images: Floats) -> Floats:
    """Outputs (n, classes) of flat images (n, d) with the bits of each image alone, as far as is
    known.

    The first batch is compared with `COMPARED` of its images alone. Where it has other bits, every
    image runs alone. Images near a tie always do.
    """
    if opened.evaluator.best_batch == 1 or changes_bits(opened, images):
        return opened.replayer.outputs(images)
    return with_near_ties_alone(opened, opened.evaluator.outputs(images), images)


def labelled_outputs(opened: Opened, images: Floats) -> Floats:
    """Outputs (n, classes) of flat images (n, d) whose labels are those of each image alone, as far
    as is known; bits may differ.

    Up to `COMPARED` images run alone. Of more, so many of the first batch are compared with each
    alone. Where an output differs by more than a sixteenth of what makes a near tie, every image
    runs alone. Where it differs by less, those run alone whose two largest outputs are nearer than
    `_STEP`: in a layer that rounds to levels, the last bit can become a step. Images near a tie
    always run alone.
    """
    if opened.evaluator.best_batch == 1 or len(images) <= COMPARED:
        return opened.replayer.outputs(images)
    moved = _moved(opened, images)
    if not moved <= ALIKE:
        return opened.replayer.outputs(images)
    share = NEAR if moved == 0 else _STEP
    return with_near_ties_alone(opened, opened.evaluator.outputs(images), images, share=share)


def _moved(opened: Opened, images: Floats) -> float:
    """The largest difference of `COMPARED` images of the first batch from these alone, relative to
    an image's largest output; NaN or infinity where one is no number."""
    size = min(len(images), opened.evaluator.best_batch)
    some = _places(size)
    alone = opened.replayer.outputs(images[some]).astype(np.float64)
    try:
        together = opened.evaluator.outputs(images[:size])[some]
    except NetworkError:
        return np.inf
    with np.errstate(invalid="ignore"):
        gaps = np.abs(together - alone)
        scale = np.maximum(np.abs(alone).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return float((gaps / scale).max())


def with_near_ties_alone(
    opened: Opened,
    outputs: Floats,
    images: Floats,
    ties: Callable[[Floats, float, float], Ints] = near_ties,
    share: float = NEAR,
) -> Floats:
    """The outputs of a batch, which they replace, after images near a tie ran alone. `ties`: the
    rows of these, by the outputs, their usual magnitude and `share`, as in `near_ties`."""
    near = ties(outputs, _scale(opened, images), share)
    if len(near):
        outputs[near] = opened.replayer.outputs(images[near])
    return outputs


def _scale(opened: Opened, images: Floats) -> float:
    """The magnitude of the one logit of a network on noise, which is kept with the network; 0 for
    other networks, whose outputs tell it."""
    if opened.network.head != "logit":
        return 0.0

    def made() -> float:
        found = np.abs(opened.replayer.outputs(_noise(images[:1])))
        return float(found[np.isfinite(found)].max(initial=0.0))

    return opened.network.derived.once(_scale, made)


def changes_bits(opened: Opened, images: Floats) -> bool:
    """Do `COMPARED` images, from all over the first batch of these, have other bits in it than
    alone, or in a batch of their own, with and without the first of them: kernels take rows in
    groups, and those that are left over in another way."""
    size = min(len(images), opened.evaluator.best_batch)
    some = _places(size)
    alone = opened.replayer.outputs(images[some])
    run = opened.evaluator.outputs
    return bool(
        differs_in_batches(lambda batch: run(batch)[some], images[:size], alone, None)
        or differs_in_batches(run, images[some], alone, None)
        or differs_in_batches(run, images[some][1:], alone[1:], None)
    )


def _places(size: int) -> Ints:
    """The places that are compared, from all over a batch of that size."""
    return np.unique(np.linspace(0, size - 1, COMPARED).astype(int))


@final
class SeenBatches:
    """What the first batch of a network showed: whether batches change bits. Kept with the network
    (`Network.derived`), so that it is asked once.

    Noise is asked as well, because the first images may show nothing: where no hidden neuron is
    active, each kernel gives the same bits.
    """

    def __init__(self) -> None:
        self._changed: bool | None = None

    def change(self, opened: Opened, images: Floats) -> bool:
        """Must these images run alone? Fewer than `COMPARED` show nothing, and do until more
        came."""
        if self._changed is None and len(images) >= COMPARED:
            self._changed = changes_bits(opened, images) or changes_bits(opened, _noise(images))
        return self._changed is not False


def _noise(images: Floats) -> Floats:
    """As many noisy images as are compared: noise alone, and noise over these images."""
    noise = np.random.default_rng(0).random((COMPARED, images.shape[1]), dtype=np.float32)
    half = COMPARED // 2
    noise[half:] = (noise[half:] + np.resize(images, (half, images.shape[1]))) / 2
    return noise


def filled(images: Floats) -> Floats:
    """The images, and the first again and again after them, `COMPARED` at least: a batch of the
    size that was compared."""
    if len(images) >= COMPARED:
        return images
    return np.concatenate([images, np.repeat(images[:1], COMPARED - len(images), axis=0)])
