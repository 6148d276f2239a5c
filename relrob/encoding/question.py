"""The SMT-LIB 2 text of a query about one network, whatever the region; unsatisfiable means
ROBUST."""

from __future__ import annotations

from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.codes import code_box
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.survey import survey
from relrob.domain.region import Norm
from relrob.encoding.encode import encode
from relrob.encoding.smtlib import smtlib
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.fixed.file import fixed_of
from relrob.networks.open import Opened
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from relrob.regions.points import Points


def question(opened: Opened, points: Points, label: int) -> str:
    """Of integers for a fixed-point network in an L-infinity ball, else of reals (QF_LRA).

    Raises UsageError for a network without bounds, and for a ball that is no polytope.
    """
    if points.joint is True:
        return ladder_question(opened, points, label)
    return _ball_question(opened, points, label)


def ladder_question(opened: Opened, rungs: RungSet, label: int, every: bool = False) -> str:
    """On the whole ladder. `every`: ask about each other class, also those that the bounds rule out
    (whose question is a trivial one otherwise).

    Raises UsageError for a network without bounds.
    """
    enclosure = enclosure_of(opened.network)
    if enclosure is None:
        raise UsageError(
            f"{opened.network.path} has no bounds", "float MLPs and dense .tflite files"
        )
    bounds = LadderBounds(enclosure, rungs, label)
    return smtlib(encode(bounds, survey(bounds, whole(rungs), every)))


def _ball_question(opened: Opened, ball: BallSet, label: int) -> str:
    fixed, enclosure = fixed_of(opened.network), enclosure_of(opened.network)
    if fixed is not None and ball.norm is Norm.LINF:
        return integer_smtlib(fixed, *code_box(fixed, ball), label)
    part = moves_of(ball)
    if part is None or enclosure is None:
        raise UsageError(f"--export of an {ball.region.kind} ball", "ladder, lattice, l1, linf")
    bounds = MovedBounds(BallBounds(enclosure, ball, label))
    return smtlib(encode(bounds, survey(bounds, part)))
