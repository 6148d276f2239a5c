"""The questions of a run as SMT-LIB 2, a file for each image and network:
FILE-INDEX-reference.smt2, FILE-INDEX-quantised.smt2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import relrob_datasets
from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.codes import code_box
from relrob.bounding.survey import survey
from relrob.domain.events import Event, Listener, silent
from relrob.domain.region import Ladder, Norm, Search
from relrob.encoding.encode import encode
from relrob.encoding.smtlib import smtlib
from relrob.encoding.smtlib_fixed import integer_smtlib
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels
from relrob.networks.fixed.file import fixed_of
from relrob.networks.open import Opened
from relrob.queries.problem import Problem
from relrob.regions.ball import ball_set
from relrob.regions.ladder import rung_set
from relrob.registry import load
from relrob.study.plan import Plan
from relrob.study.run import opened
from relrob.system.files import check_writable, write_atomic

SUFFIX = ".smt2"


def export(plan: Plan, target: Path, listener: Listener = silent) -> list[Path]:
    """Write them, for the images that the reference gets right; unsatisfiable text means that the
    network is ROBUST there.

    Raises UsageError for a name without .smt2 and for networks without bounds, StoreError where
    nothing can be written.
    """
    if target.suffix != SUFFIX:
        raise UsageError(
            f"--export {target}", "a file name that ends in .smt2", "--export question.smt2"
        )
    if isinstance(plan.region, Search):
        raise UsageError(
            "--export of a search, which asks nothing of a solver", "ladder, lattice, l1, linf"
        )
    check_writable(target)
    for network in (plan.reference, plan.quantised):
        if enclosure_of(network) is None:
            raise UsageError(
                f"--export: {network.path} has no bounds", "float MLPs and dense .tflite files"
            )
    networks = {
        name: opened(net, 1)
        for name, net in (("reference", plan.reference), ("quantised", plan.quantised))
    }
    data, written = relrob_datasets.load(plan.dataset, plan.split), []
    for index in plan.indices:
        image, label = data.images[index], int(data.labels[index])
        if int(labels(networks["reference"].replayer.outputs(data.pixels([index])))[0]) == label:
            for name, ready in networks.items():
                path = target.with_name(f"{target.stem}-{index}-{name}{SUFFIX}")
                write_atomic(path, _question(plan, image, label, ready).encode())
                written.append(path)
    listener(Event("note", f"{len(written)} questions written beside {target}"))
    return written


def _question(plan: Plan, image: NDArray[Any], label: int, ready: Opened) -> str:
    """The text about one network around one image. Raises UsageError for a ball that is no
    polytope."""
    if isinstance(plan.region, Ladder):
        to_smtlib: Callable[[Opened, Problem], str] = load("relrob_solvers.smt_ladder:to_smtlib")
        return to_smtlib(
            ready, Problem(rung_set(plan.region, image), label, (ready,), plan.budget, False)
        )
    assert not isinstance(plan.region, Search)  # noqa: S101 - refused before
    ball, enclosure, fixed = (
        ball_set(plan.region, image),
        enclosure_of(ready.network),
        fixed_of(ready.network),
    )
    if fixed is not None and ball.norm is Norm.LINF:
        return integer_smtlib(fixed, *code_box(fixed, ball), label)
    part = moves_of(ball)
    if part is None or enclosure is None:
        raise UsageError(f"--export of an {plan.region.kind} ball", "ladder, lattice, l1, linf")
    bounds = MovedBounds(BallBounds(enclosure, ball, label))
    return smtlib(encode(bounds, survey(bounds, part)))
