"""The registry tells the truth about its solvers: regions, completeness, arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob import registry
from relrob.deciding.decide import decide
from relrob.domain.network import Arithmetic
from relrob.domain.region import Ball, Ladder, Lattice, Norm
from relrob.domain.verdict import Reason, Status
from relrob.errors import UsageError
from relrob.networks.fixed.network import FixedLayer, FixedNetwork
from relrob.networks.open import Opened
from relrob.networks.real import open_real
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.points import points_of
from relrob.registry import SOLVERS, Entry
from tests.ball_cases import fixed_opened
from tests.support import numpy_opened, random_dense

SHAPE = (6, 6, 1)
# Methods of the solvers that need no bounds.
ANY_NETWORK = ("enumerate", "witness")
BALLS: dict[str, Any] = {
    "lattice": Lattice(Fraction(1, 64), Fraction(1, 256)),
    **{norm.value: Ball(norm, Fraction(1, 256)) for norm in Norm if norm is not Norm.L0},
    "l0": Ball(Norm.L0, Fraction(1)),
}
REGIONS: dict[str, Any] = {"ladder": Ladder(Fraction(1, 2), Fraction(1, 1024), 7, 3), **BALLS}
IMAGE = np.random.default_rng(7).integers(64, 192, SHAPE).astype(np.uint8)


PAIRS = [
    (entry, kind)
    for entry in SOLVERS
    for kind in (("ladder",) if "ladder" in entry.regions else BALLS)
]


def over(arithmetic: Arithmetic, folder: Path) -> Opened:
    """A network of one arithmetic, that gives label 0 by far."""
    if arithmetic is Arithmetic.INTEGER:
        rng, lead = np.random.default_rng(0), np.array([127, 0, 0, 0])
        first = FixedLayer(rng.integers(-1, 2, (36, 6)), np.zeros(6, np.int64), 0, 6, 0, 255)
        last = FixedLayer(rng.integers(-1, 2, (6, 4)), lead, 7, 0, -(2**15), 2**15)
        return fixed_opened(FixedNetwork((first, last), 0, 255, 255), folder)
    dense = random_dense(1, (36, 8, 3))
    bias = dense.layers[-1].bias + np.array([100, 0, 0], np.float32)
    opened = numpy_opened(
        replace(dense, layers=(*dense.layers[:-1], replace(dense.layers[-1], bias=bias))), SHAPE
    )
    if arithmetic is Arithmetic.FLOAT32:
        return opened
    network = replace(opened.network, runtime="real", arithmetic=Arithmetic.REAL)
    runs = open_real(network, 1)
    return Opened(network, runs, runs)


@pytest.mark.parametrize("entry", SOLVERS, ids=lambda entry: entry.name)
def test_a_solver_is_complete_and_named_as_its_entry_says(entry: Entry) -> None:
    solver = registry.load(entry.target)()
    assert (solver.name, solver.complete) == (entry.method, entry.complete)
    assert entry.name == f"{entry.method}_{entry.target.split(':')[0].rpartition('_')[2]}"
    assert {*entry.regions} <= {*REGIONS} and entry.regions


@pytest.mark.parametrize(("entry", "kind"), PAIRS, ids=lambda each: getattr(each, "name", each))
@pytest.mark.parametrize("arithmetic", list(Arithmetic))
def test_a_solver_takes_what_its_entry_says_and_proves_it(
    entry: Entry, kind: str, arithmetic: Arithmetic, tmp_path: Path
) -> None:
    """And refuses the rest of its family of regions; one without arithmetic takes all networks and
    proves nothing."""
    opened, region = over(arithmetic, tmp_path), REGIONS[kind]
    solver = registry.load(entry.target)()
    if not entry.arithmetic:
        asked = Query(points_of(region, IMAGE), Label(0), (opened,), Budget(600))
        found = decide(asked, solver).verdicts[0]
        assert (found.status, found.reason) == (Status.UNKNOWN, Reason.UNBOUNDED)
        return
    promised = kind in entry.regions and arithmetic.value in entry.arithmetic
    refusal = solver.accepts(region, [opened.network])
    assert (refusal is None) == promised, refusal
    query = Query(points_of(region, IMAGE), Label(0), (opened,), Budget(600), certify=True)
    if promised:
        verdict = decide(query, solver).verdicts[0]
        assert (verdict.status, verdict.arithmetic) == (Status.ROBUST, arithmetic)
        assert decide(query, entry.method).verdicts[0].status is Status.ROBUST
    else:
        with pytest.raises(UsageError):
            decide(query, solver)


def test_black_boxes_are_enumerated_on_ladders_and_searched_elsewhere() -> None:
    box = numpy_opened(random_dense(1, (36, 8, 3)), SHAPE, black_box=True)
    for entry, kind in PAIRS:
        refusal = registry.load(entry.target)().accepts(REGIONS[kind], [box.network])
        assert (refusal is None) == (entry.method in ANY_NETWORK)


@pytest.mark.parametrize("kind", REGIONS)
def test_solvers_of_a_region_are_those_of_its_family(kind: str) -> None:
    found = registry.solvers(kind)
    assert len(found) == sum(("ladder" in e.regions) == (kind == "ladder") for e in SOLVERS) > 1
    assert {entry.name for entry in SOLVERS if kind in entry.regions} <= {e.name for e in found}
    assert all(("ladder" in entry.regions) == (kind == "ladder") for entry in found)
