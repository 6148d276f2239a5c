"""The store of critical radii: what goes in comes out, and damage or another search is refused."""

from __future__ import annotations

import sqlite3
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.radius import Compared, Interval, RadiusRecord
from relrob.domain.record import WitnessView
from relrob.errors import StoreError
from relrob.store.radius_directory import FILE, RadiusStore
from relrob.store.radius_summary import RadiusSummary

CONFIG = {"region": "linf", "precision": "1/2550"}


def interval(low: int, high: int | None, decided: bool = False) -> Interval:
    return Interval(
        Fraction(low, 7),
        None if high is None else Fraction(high, 7),
        decided,
        "bounds",
        "" if high is None else "witness",
        -1 if high is None else 3,
        4,
        "" if decided else "time",
    )


RECORDS = (
    RadiusRecord(4, 1, 1, 1, interval(3, 4, True), interval(1, 2), 5),
    RadiusRecord(2, 1, 1, 1, interval(1, None), interval(2, 9)),
    RadiusRecord(9, 1, 0, 1),
)


def view(index: int, network: str) -> WitnessView:
    image = np.linspace(0, 1, 6, dtype=np.float32)
    return WitnessView(index, network, 1, image, image, (2, 3, 1), 1, 0, 1.0, -1.0, "1/2", ())


def filled(directory: Path) -> None:
    with RadiusStore.open(directory, CONFIG) as store:
        for number, record in enumerate(RECORDS):
            store.append(record, (view(record.index, "reference"),) * (number == 0), 1.5)


def test_what_goes_in_comes_out_in_the_order_of_images(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    with RadiusStore.open(tmp_path / "run", CONFIG) as store:
        assert store.records() == {
            each.index: each for each in sorted(RECORDS, key=lambda r: r.index)
        }
        assert list(store.records()) == [2, 4, 9]
        assert store.seconds() == {2: 1.5, 4: 1.5, 9: 1.5}
        assert [(at, name) for at, name, _ in store.witness_files()] == [(4, "reference")]


def test_an_image_is_stored_once(tmp_path: Path) -> None:
    filled(tmp_path)
    with RadiusStore.open(tmp_path, CONFIG) as store, pytest.raises(StoreError):
        store.append(RECORDS[0], (), 1.5)


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE radii SET seconds = 2.5 WHERE "index" = 4',
        "UPDATE radii SET record = replace(record, '3/7', '2/7')",
        "UPDATE radii SET reference = x'00' WHERE \"index\" = 4",
        'DELETE FROM radii WHERE "index" = 9',
        "UPDATE meta SET value = '{}' WHERE key = 'config'",
        "CREATE TABLE more (x)",
        "PRAGMA user_version = 9",
    ],
)
def test_an_edited_store_is_refused(tmp_path: Path, change: str) -> None:
    filled(tmp_path)
    connection = sqlite3.connect(tmp_path / FILE)
    with connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(StoreError):
        RadiusStore.open(tmp_path, CONFIG)


def test_another_search_and_the_files_of_others_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    other = {**CONFIG, "precision": "1/255"}
    for refuse in (RadiusStore.open, RadiusStore.check):
        with pytest.raises(StoreError, match="precision is '1/2550' there and '1/255' here"):
            refuse(tmp_path / "run", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for refuse in (RadiusStore.open, RadiusStore.check):
        with pytest.raises(StoreError, match="has files but no search"):
            refuse(tmp_path / "mine", CONFIG)


def test_garbage_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        RadiusStore.open(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((Fraction(2), Fraction(1), True, "", "", 3), "proved"),
        ((Fraction(1), Fraction(1), True, "", "", 3), "proved"),
        ((None, Fraction(1), True, "", "", 3), "right itself"),
        ((Fraction(1), None, False), "reason"),
        ((Fraction(1), None, True, "", "", 3), "label"),
    ],
)
def test_an_impossible_interval_cannot_exist(given: tuple[object, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Interval(*given)  # type: ignore[arg-type]


def test_networks_are_compared_by_what_is_certain_alone() -> None:
    pairs = {
        Compared.LESS: (interval(3, 4), interval(1, 3)),
        Compared.MORE: (interval(1, 2), interval(2, None)),
        Compared.SAME: (interval(3, 4, True), interval(3, 5, True)),
        Compared.OPEN: (interval(3, 5), interval(3, 4, True)),
    }
    for word, (reference, quantised) in pairs.items():
        assert RadiusRecord(0, 1, 1, 1, reference, quantised).compared is word


def test_costs_and_medians_enclose_every_radius_that_the_intervals_allow() -> None:
    rng = np.random.default_rng(0)
    ends = [sorted(rng.choice(40, 2, replace=False).tolist()) for _ in range(18)]
    records = [
        RadiusRecord(at, 1, 1, 1, interval(*ends[2 * at]), interval(*ends[2 * at + 1]))
        for at in range(9)
    ]
    summary = RadiusSummary({}, tuple(records), 1.0)
    for _ in range(200):
        true = np.array([rng.uniform(low + 1e-9, high) / 7 for low, high in ends])
        cost = true[::2] - true[1::2]
        for span, values in (
            (summary.cost, cost),
            (summary.median("reference"), true[::2]),
            (summary.median("quantised"), true[1::2]),
        ):
            assert span is not None and span[0] is not None and span[1] is not None
            assert span[0] <= np.median(values) <= span[1]
        for record, value in zip(records, cost, strict=True):
            least, most = record.cost
            assert least is not None and most is not None and least <= value <= most


def test_a_curve_counts_proofs_and_images_without_a_witness() -> None:
    curve = RadiusSummary({}, RECORDS, 1.0).curve()
    assert curve[0] == {"radius": 0.0, "reference": [2, 2], "quantised": [2, 2]}
    assert curve[-1]["reference"] == [0, 1] and curve[-1]["quantised"] == [0, 0]
    for name in ("reference", "quantised"):
        for end in (0, 1):
            values = [point[name][end] for point in curve]
            assert values == sorted(values, reverse=True)
