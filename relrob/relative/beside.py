"""One image, two networks: what conventional attacks find, beside what is proved.

An attack proposes images and gives no verdict. Each image that fools a network is replayed alone;
inside a region that was proved ROBUST it is an alarm, because the proof or the run is wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.attack import Attack, attacked, distances
from relrob.attacks.goal import Goal
from relrob.attacks.victim import Gradients
from relrob.domain.arrays import Floats
from relrob.domain.record import NETWORKS, STOPPED, AttackRecord
from relrob.domain.verdict import Status, Verdict
from relrob.errors import AlarmError, RelrobError
from relrob.networks.batches import one_line
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.regions.points import Points

log = logging.getLogger(__name__)

_SEEDS: Final = 32  # bits that the index of an image takes in a seed


@dataclass(frozen=True, eq=False)
class Armed:
    """An attack by its full text; `models`: the differentiable model of each network that it takes,
    None where it takes none."""

    text: str
    attack: Attack
    models: tuple[Gradients | None, Gradients | None]


@dataclass(frozen=True, eq=False)
class Around:
    """An image (as `points.base`) of index `index` and its true `label`, around which `verdicts`
    were pronounced; `said`: the labels that both networks give it unperturbed."""

    index: int
    label: int
    points: Points
    said: Sequence[int]
    verdicts: Sequence[Verdict]


def beside(
    arms: Sequence[Armed], networks: tuple[Opened, Opened], image: Around, seed: int
) -> tuple[AttackRecord, ...]:
    """What each attack finds on each network that gives the image its true label.

    The random numbers follow from `seed`, the attack's text and the image's index, so that no
    record depends on the other images of a run. Raises AlarmError where an image inside the region
    fools a network that was proved ROBUST there. Cost: the attacks, and two replays each.
    """
    found = []
    for armed in arms:
        for which, said in enumerate(image.said):
            if said == image.label:
                found.append(_tried(armed, networks, which, image, seed))
    return tuple(found)


def _tried(
    armed: Armed, networks: tuple[Opened, Opened], which: int, image: Around, seed: int
) -> AttackRecord:
    """One attack on one network. An attack that crashes has found nothing, and says so."""
    begin, name, opened = time.perf_counter(), NETWORKS[which], networks[which]
    try:
        found = attacked(
            armed.attack,
            armed.text,
            opened,
            image.points.base[None, :],
            Goal(np.array([image.label])),
            model=armed.models[which],
            seed=(seed << _SEEDS) + image.index,
        )
    except RelrobError:
        raise
    except Exception as error:
        log.debug("%s on %s", armed.text, opened.network.path, exc_info=True)
        log.warning("%s stopped with an error on image %d", armed.text, image.index)
        told = f"{STOPPED} ({one_line(error)})"
        return AttackRecord(armed.text, name, remark=told, seconds=time.perf_counter() - begin)
    inside = _inside(opened, image, found.adversarial[0])
    if inside is not None and image.verdicts[which].status is Status.ROBUST:
        raise _alarm(armed, which, opened, image, inside)
    there = [found.adversarial[0]] if found.success[0] else []
    there += [] if inside is None else [inside]
    nearest = min(there, key=lambda each: _distance(armed, image, each), default=None)
    return AttackRecord(
        armed.text,
        name,
        inside=inside is not None,
        distance=None if nearest is None else _distance(armed, image, nearest),
        label=-1 if nearest is None else _said(opened, nearest),
        on_model=None if found.on_model is None else bool(found.on_model[0]),
        transfers=None if nearest is None else _said(networks[1 - which], nearest) != image.label,
        queries=int(found.queries[0]),
        gradients=int(found.gradients[0]),
        remark=found.words.get(0, ""),
        seconds=time.perf_counter() - begin,
    )


def _inside(opened: Opened, image: Around, proposal: Floats) -> Floats | None:
    """The point of the region that the proposal is, or that it is rounded to, where that fools the
    network; else None."""
    point = image.points.near(proposal)
    return None if point is None or _said(opened, point) == image.label else point


def _said(opened: Opened, image: Floats) -> int:
    """The label of an image (d,), alone, as the network is deployed."""
    return int(labels(opened.replayer.outputs(image[None, :]))[0])


def _distance(armed: Armed, image: Around, nearest: Floats) -> float:
    """In the norm of the attack."""
    return float(distances(nearest[None, :], image.points.base[None, :], armed.attack.norm)[0])


def _alarm(armed: Armed, which: int, opened: Opened, image: Around, inside: Floats) -> AlarmError:
    """A proof and a run that contradict each other."""
    return AlarmError(
        f"image {image.index}: the {NETWORKS[which]} network gives {_said(opened, inside)} at an"
        f" image of {armed.text} inside the region that {image.verdicts[which].solver} proved"
        f" {image.label}; nothing is pronounced; please report this with the two files"
    )
