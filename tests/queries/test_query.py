"""Queries: what they refuse, and a digest of what is asked, not of how it is answered."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.domain.contract import InputContract
from relrob.domain.network import Layout, Network
from relrob.domain.region import Ball, Ladder, Lattice, Norm
from relrob.errors import DatasetError, ShapeError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.spots import Spots
from relrob.regions.points import points_of
from tests.support import NumpyEvaluator, random_dense

DENSE = random_dense(0, (12, 3))
NETWORK = Network("a.onnx", "a" * 64, "onnx", "onnxruntime", 12, 3, (2, 3, 2), dense=DENSE)
IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
LADDER, BALL = Ladder(Fraction(20), Fraction(1, 4), 3, 2), Ball(Norm.LINF, Fraction(1, 4))
LATTICE = Lattice(Fraction(20), Fraction(1, 4))


def opened(**change: Any) -> tuple[Opened, ...]:
    runs = NumpyEvaluator(DENSE)
    return (Opened(replace(NETWORK, **change), runs, runs),)


def query(region: Any = LADDER, image: NDArray[Any] = IMAGE, label: int = 1) -> Query[Any]:
    return Query(points_of(region, image), Label(label), opened(), Budget(600))


QUERY = query()


@pytest.mark.parametrize("label", [-1, 3])
def test_a_query_has_a_label_of_its_network(label: int) -> None:
    with pytest.raises(DatasetError, match="0 to 2"):
        query(label=label)


@pytest.mark.parametrize("region", [LADDER, BALL])
def test_a_query_has_an_image_of_its_network(region: Any) -> None:
    with pytest.raises(ShapeError, match="12 values"):
        query(region, IMAGE[:1])


def _other_image() -> NDArray[Any]:
    image = IMAGE.copy()
    image[1, 2, 1] += 1
    return image


FLOATS = IMAGE.astype(np.float32) / np.float32(255)
CHANGES: dict[str, Query[Any]] = {
    "the network's bytes": replace(QUERY, networks=opened(sha256="b" * 64)),
    "the runtime": replace(QUERY, networks=opened(runtime="keras")),
    "the contract": replace(QUERY, networks=opened(contract=InputContract(Fraction(255)))),
    "the layout": replace(QUERY, networks=opened(layout=Layout.CHW)),
    "two networks": replace(QUERY, networks=opened() * 2),
    "the radius": query(replace(LADDER, radius=Fraction(20) + Fraction(1, 10**30))),
    "the step": query(replace(LADDER, step=Fraction(1, 3))),
    "the features": query(replace(LADDER, features=4)),
    "all features": query(replace(LADDER, features=None)),
    "the axes": query(replace(LADDER, axes=3)),
    "the seed": query(replace(LADDER, seed=1)),
    "a pixel": query(image=_other_image()),
    "the type": query(image=FLOATS),
    "the label": query(label=2),
    "a ball": query(BALL),
    "another ball": query(Ball(Norm.LINF, Fraction(1, 3))),
    "another norm": query(Ball(Norm.L1, Fraction(1, 4))),
    "a pixel of a ball": query(BALL, _other_image()),
    "the label in a ball": query(BALL, label=2),
    "a lattice": query(LATTICE),
    "a lattice around other exact values": query(LATTICE, FLOATS),
}


def test_the_digest_changes_with_every_ingredient() -> None:
    digests = {name: change.digest for name, change in CHANGES.items()}
    assert len({QUERY.digest, *digests.values()}) == len(CHANGES) + 1
    assert all(len(digest) == 64 for digest in digests.values())


@pytest.mark.parametrize(
    "change", [{"path": "elsewhere/b.onnx"}, {"dense": None}, {"dense": random_dense(1, (12, 3))}]
)
def test_the_digest_is_of_content_not_of_places(change: dict[str, Any]) -> None:
    """The bytes of the file decide; where it lies and what was read of it do not."""
    assert replace(QUERY, networks=opened(**change)).digest == QUERY.digest
    assert query(image=np.asfortranarray(IMAGE)).digest == QUERY.digest


def test_how_it_is_answered_is_no_part_of_the_digest() -> None:
    for change in (
        {"budget": Budget(1)},
        {"counts": True},
        {"certify": True},
        {"spots": Spots(7)},
    ):
        assert replace(QUERY, **change).digest == QUERY.digest


@pytest.mark.parametrize("label", [0, 2])
def test_the_margin_of_a_label_is_its_lead(label: int) -> None:
    """Written out; ties go to the first label, NaN to none."""
    rows = [[0.0, 1.0, 2.0], [2.0, 1.0, 2.0], [5.0, -1.0, 0.0], [np.nan, 9.0, 9.0]]
    outputs = np.array(rows, np.float32)
    others = [[row[at] for at in range(3) if at != label] for row in rows[:3]]
    lead = [row[label] - max(rest) for row, rest in zip(rows[:3], others, strict=True)]
    assert Label(label).margins(outputs).tolist() == [*lead, -np.inf]
    first = [row.index(max(row)) for row in rows[:3]]
    fails = Label(label).fails(outputs, labels(outputs))
    assert fails.tolist() == [*(said != label for said in first), True]
