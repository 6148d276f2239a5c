"""One image, two networks: between which radii the first misclassified image of each lies.

A witness of one network is tried on the other, and attacks are tried beside the solvers: an image
inside a region that was proved, which fools the network, is an alarm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.attacks.attack import attacked
from relrob.attacks.goal import Goal
from relrob.deciding.choose import solver_for, solver_named
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.domain.radius import RadiusRecord
from relrob.domain.record import NETWORKS, WitnessView
from relrob.domain.region import Ball, Ladder, Region
from relrob.errors import RelrobError, UsageError
from relrob.networks.batches import one_line
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.solver import Solver
from relrob.queries.spots import Spots
from relrob.regions.nested import nest_of
from relrob.relative.beside import Armed
from relrob.relative.radii import Radii
from relrob.relative.views import witness_view

log = logging.getLogger(__name__)

FIRST: Final = "bounds"  # tried at all radii before `auto`, whose last steps take their time
_SHARE: Final = 1 / 4  # of the time left, that such a solver may spend on one region
_REPEATS: Final = 4  # of the attacks, each time in a smaller region
Arms = Callable[[Region], tuple[Armed, ...]]


@dataclass(frozen=True, eq=False)
class RadiusSetting:
    """What every image of a run shares.

    `region`: the one of the largest radius; `precision`: the distance of a ball's radii, None for a
    ladder; `solver`: a method of the registry, or a solver; `seconds`: for an image and a network;
    `arms`: the attacks in a region, None where there are none; `seed`: of their random numbers.
    """

    reference: Opened
    quantised: Opened
    region: Ball | Ladder
    precision: Fraction | None
    solver: str | Solver[Any]
    seconds: float
    arms: Arms | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class RadiusResult:
    """The results of one image: its record, its witnesses, and the seconds that it took."""

    record: RadiusRecord
    witnesses: tuple[WitnessView, ...]
    seconds: float


def measure(
    setting: RadiusSetting, index: int, image: NDArray[np.generic], label: int
) -> RadiusResult:
    """Search the critical radii around one image (H, W, C). Cost: at most `setting.seconds` for
    each network, and the attacks. Raises AlarmError where a run contradicts a proof."""
    begin = time.perf_counter()
    networks = (setting.reference, setting.quantised)
    nest = nest_of(setting.region, setting.precision, image)
    base = nest.points(nest.top).base
    said = [int(labels(opened.replayer.outputs(base[None, :]))[0]) for opened in networks]
    if said[0] != label:
        record = RadiusRecord(index, label, said[0], said[1])
        return RadiusResult(record, (), time.perf_counter() - begin)
    spots = Spots(index)
    reference, quantised = each = [Radii(nest, opened, label, spots) for opened in networks]
    _search(setting, reference)
    quantised.lend(reference.witness)
    _search(setting, quantised)
    reference.lend(quantised.witness)
    for which, radii in enumerate(each if setting.arms is not None else ()):
        _attack(setting, which, radii, index)
    intervals = (reference.interval, quantised.interval)
    record = RadiusRecord(index, label, said[0], said[1], *intervals, spot_checks=spots.run)
    views = tuple(
        witness_view(networks, base, image, record, role, radii.witness)
        for role, radii in zip(NETWORKS, each, strict=True)
        if radii.witness is not None
    )
    return RadiusResult(record, views, time.perf_counter() - begin)


def solvers_of(
    asked: str | Solver[Any], region: Region, network: Network
) -> tuple[str | Solver[Any], ...]:
    """The methods that all radii are tried with, in order: bounds come before `auto` where the
    network has them."""
    if asked != "auto":
        return (asked,)
    if region.joint:
        bounded = solver_named(FIRST).accepts(region, (network,)) is None
    else:
        bounded = _takes(region, network)
    return (FIRST, asked) if bounded else (asked,)


def _takes(region: Region, network: Network) -> bool:
    """Are there bounds of the network in such a ball?"""
    try:
        solver_for(region, network, FIRST)
    except UsageError:
        return False
    return True


def _search(setting: RadiusSetting, radii: Radii) -> None:
    """All solvers, one after the other. An image that is wrong itself needs none."""
    deadline = Deadline(setting.seconds)
    solvers = solvers_of(setting.solver, setting.region, radii.opened.network)
    for solver in solvers if radii.proved >= 0 else ():
        radii.search(solver, deadline, 1.0 if solver == FIRST else _SHARE)


def _attack(setting: RadiusSetting, which: int, radii: Radii, index: int) -> None:
    """Attacks in the region that was proved, where a success is an alarm, and in the largest one
    without a witness, as long as they find one there. Raises AlarmError."""
    if radii.proved > 0:
        _attempt(setting, which, radii, index, radii.proved)
    for _ in range(_REPEATS):
        number = radii.broken - 1
        if number <= radii.proved or not _attempt(setting, which, radii, index, number):
            return


def _attempt(setting: RadiusSetting, which: int, radii: Radii, index: int, number: int) -> bool:
    """Does any attack find a witness in the region of that number? Raises AlarmError."""
    assert setting.arms is not None  # noqa: S101 - the caller saw to it
    points, found = radii.nest.points(number), False
    for armed in setting.arms(points.region):
        proposed = _proposed(armed, which, radii, points.base, (setting.seed << 32) + index)
        if proposed is not None:
            found |= radii.meet(number, proposed, armed.text.partition(":")[0])
    return found


def _proposed(armed: Armed, which: int, radii: Radii, base: Floats, seed: int) -> Floats | None:
    """The image (d,) that an attack proposes; None where it stops with an error, which is said."""
    goal, model = Goal(np.array([radii.label])), armed.models[which]
    try:
        found = attacked(
            armed.attack, armed.text, radii.opened, base[None, :], goal, model=model, seed=seed
        )
    except RelrobError:
        raise
    except Exception as error:
        log.debug("%s on %s", armed.text, radii.opened.network.path, exc_info=True)
        log.warning("%s stopped with an error (%s)", armed.text, one_line(error))
        return None
    proposed: Floats = found.adversarial[0]
    return proposed
