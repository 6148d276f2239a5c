"""What attacks found in the store: back as it was, sealed, carried over from older formats, and
summed up as counting by hand does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relrob.domain.record import AttackRecord, ImageResult
from relrob.domain.verdict import Status
from relrob.errors import StoreError
from relrob.store.attack_summary import Attacks, Inside, labels_of, name_of
from relrob.store.run_directory import FILE, Store
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import make_config, make_header, make_older, make_record, make_result
from tests.store.stores import IMAGES, refused, statement

FGSM, PGD = "fgsm:eps=0.1", "pgd:eps=0.1:steps=40"


def found_at(index: int) -> tuple[AttackRecord, ...]:
    """Seeded by the index, and true to the verdicts of `make_record`."""
    record, rows = make_record(index), []
    for attack in (FGSM, PGD) if record.reference_verdict else ():
        for network in ("reference", "quantised"):
            number = index + len(attack) + len(network)
            there = number % 3 != 0
            inside = there and getattr(record, f"{network}_verdict") != Status.ROBUST
            rows.append(
                AttackRecord(
                    attack,
                    network,
                    inside and number % 2 == 0,
                    0.01 * (number % 7 + 1) if there else None,
                    number % 10 if there else -1,
                    number % 4 > 0 if attack == FGSM else None,
                    number % 5 == 0 if there else None,
                    number,
                    2 * number,
                    "no signal" if number % 11 == 0 else "",
                    0.25,
                )
            )
    return tuple(rows)


def result(index: int, **changes: Any) -> ImageResult:
    return replace(make_result(index), **{"attacks": found_at(index)} | changes)


def filled(directory: Path) -> Path:
    with Store.open(directory, make_config()) as store:
        for index in range(IMAGES):
            store.append(result(index))
    return directory


def header() -> dict[str, Any]:
    """One that names the attacks."""
    model = {"model": "weights", "of": "reference", "exact": True, "agreement": 1.0}
    asked = {
        "seed": 3,
        "gradients": {"reference": model, "quantised": model | {"exact": False}},
        "each": [{"attack": FGSM, "norm": "linf"}, {"attack": PGD, "norm": "l2"}],
    }
    return make_header(IMAGES) | {"attacks": asked}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store.read(tmp_path) as store:
        attacks = store.attacks()
        assert attacks == {i: found_at(i) for i in range(IMAGES) if found_at(i)}
        assert store.attacks(1) == {1: found_at(1)}
        assert {each.seconds for rows in attacks.values() for each in rows} == {0.25}
        assert {type(each.inside) for rows in attacks.values() for each in rows} == {bool}


def test_the_digest_speaks_of_attacks_and_of_no_time(tmp_path: Path) -> None:
    def digest(name: str, *attacks: AttackRecord) -> str:
        with Store.open(tmp_path / name, make_config()) as store:
            store.append(result(1, attacks=attacks))
            return store.content_sha256()

    rows = found_at(1)
    slower = tuple(replace(each, seconds=9.0) for each in rows)
    assert digest("a", *rows) == digest("b", *slower)
    seen = {digest("c", *rows), digest("d"), digest("e", *rows[:-1])}
    assert len(seen | {digest("f", replace(rows[0], queries=99), *rows[1:])}) == 4


def test_the_same_attacks_again_are_nothing_new_and_others_are_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store.open(tmp_path, make_config()) as store:
        slower = tuple(replace(each, seconds=9.0) for each in found_at(1))
        store.append(result(1, attacks=slower))
        with refused("image 1 is stored", "another result"):
            store.append(result(1, attacks=()))
        store.forget([1])
        assert store.attacks(1) == {}
        store.append(result(1))
        assert store.attacks(1) == {1: found_at(1)}
    Store.read(tmp_path).close()


@pytest.mark.parametrize(
    "change",
    [
        'UPDATE attacks SET inside = 1 - inside WHERE "index" = 1 AND distance IS NOT NULL',
        'UPDATE attacks SET distance = distance / 2 WHERE "index" = 1',
        "UPDATE attacks SET attack = 'ddn' WHERE \"index\" = 1 AND attack LIKE 'fgsm%'",
        'UPDATE attacks SET seconds = 0.5 WHERE "index" = 1',
        'DELETE FROM attacks WHERE "index" = 1',
        "INSERT INTO attacks VALUES (1, 'ddn', 'reference', 0, NULL, -1, NULL, NULL, 0, 0, '', 0)",
    ],
)
def test_rows_that_were_changed_are_named(tmp_path: Path, change: str) -> None:
    filled(tmp_path)
    statement(change)(tmp_path)
    with refused("image 1 in ", "not as relrob wrote it"):
        Store.read(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        "'a', 'other', 0, NULL, -1, NULL, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 2, NULL, -1, NULL, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 0, -1.0, -1, NULL, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 0, 'near', -1, NULL, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 0, NULL, -2, NULL, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 0, NULL, -1, 5, NULL, 0, 0, '', 0.0",
        "'a', 'reference', 0, NULL, -1, NULL, NULL, -1, 0, '', 0.0",
    ],
)
def test_the_table_takes_no_nonsense(tmp_path: Path, row: str) -> None:
    filled(tmp_path)
    with (
        closing(sqlite3.connect(tmp_path / FILE)) as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute(f"INSERT INTO attacks VALUES (0, {row})")  # noqa: S608


@pytest.mark.parametrize("version", [3, 4, 5])
def test_older_stores_have_no_attacks_and_take_some_once_carried_over(
    tmp_path: Path, version: int
) -> None:
    old = make_older(tmp_path / "old", IMAGES, version)
    before = (old / FILE).read_bytes()
    with Store.read(old) as store:
        assert store.attacks() == {}
        assert len(store.records()) == IMAGES
    assert (old / FILE).read_bytes() == before
    with Store.open(old, make_config()) as store:
        store.append(replace(make_result(IMAGES), attacks=found_at(1)))
    with Store.read(old) as store:
        assert store.attacks() == {IMAGES: found_at(1)}


def test_a_store_of_format_5_with_the_table_is_no_store(tmp_path: Path) -> None:
    old = make_older(tmp_path / "old", IMAGES, 5)
    statement("CREATE TABLE attacks (a)")(old)
    with refused("not a store of this relrob"):
        Store.read(old)


def test_the_summary_counts_what_the_rows_say() -> None:
    records = [make_record(index) for index in range(IMAGES)]
    rows = {index: found_at(index) for index in range(IMAGES)}
    summary = summarise(records, header(), 1.0, rows)
    attacks = summary.attacks
    assert attacks is not None
    assert [(each.label, each.norm) for each in attacks.each] == [("fgsm", "linf"), ("pgd", "l2")]
    for each in attacks.each:
        for name, on in each.networks:
            mine = [
                (records[index], row)
                for index in rows
                for row in rows[index]
                if (row.attack, row.network) == (each.attack, name)
            ]
            near = sorted(row.distance for _, row in mine if row.distance is not None)
            middle = (near[(len(near) - 1) // 2] + near[len(near) // 2]) / 2
            assert (on.attacked, on.found) == (len(mine), len(near))
            assert on.nearest == pytest.approx(middle)
            assert on.transfers == sum(row.transfers is True for _, row in mine)
            assert on.on_model == (
                sum(row.on_model is True for _, row in mine) if each.attack == FGSM else None
            )
            for status in Status:
                with_it = [row for r, row in mine if getattr(r, f"{name}_verdict") == status]
                assert on.inside[status] == Inside(sum(r.inside for r in with_it), len(with_it))
            assert on.seconds == 0.25 * len(mine)
    again = Summary.of(json.loads(json.dumps(summary.json())))
    assert again == summary
    assert summarise(records, summary.json(), 1.0, rows).attacks == attacks


def test_without_attacks_there_is_no_key(tmp_path: Path) -> None:
    records = [make_record(index) for index in range(IMAGES)]
    document = summarise(records, make_header(IMAGES), 1.0).json()
    assert "attacks" not in document
    assert Summary.of(document).attacks is None


def test_no_image_attacked_is_no_median(tmp_path: Path) -> None:
    attacks = summarise([], header(), 0.0).attacks
    assert attacks is not None
    on = attacks.each[0].reference
    assert (on.attacked, on.nearest, on.evasion, on.on_model) == (0, None, None, None)
    json.dumps(attacks.json(), allow_nan=False)


def test_a_robust_beside_an_image_inside_the_region_is_refused() -> None:
    record = next(r for r in map(make_record, range(IMAGES)) if r.reference_verdict == "ROBUST")
    inside = AttackRecord(FGSM, "reference", True, 0.1, 3, None, False)
    with pytest.raises(StoreError, match=f"image {record.index} is ROBUST on the reference"):
        summarise([record], header(), 0.0, {record.index: [inside]})
    other = replace(inside, inside=False)
    summarise([record], header(), 0.0, {record.index: [other]})


def untimed(value: Any) -> bool:
    """Is there no key "seconds" at any depth?"""
    if isinstance(value, Mapping):
        return "seconds" not in value and all(map(untimed, value.values()))
    return all(map(untimed, value)) if isinstance(value, list) else True


def test_the_document_of_an_audit_has_no_times() -> None:
    records = [make_record(index) for index in range(IMAGES)]
    rows = {index: found_at(index) for index in range(IMAGES)}
    attacks = summarise(records, header(), 1.0, rows).attacks
    assert isinstance(attacks, Attacks)
    assert not untimed(attacks.json())
    assert untimed(attacks.json(timed=False))
    assert attacks.json(timed=False)["each"][0]["reference"]["found"]


def test_labels_tell_attacks_apart_and_no_more() -> None:
    assert labels_of([]) == []
    assert labels_of(["pgd:eps=0.1:steps=4"]) == ["pgd"]
    near = ["pgd:eps=0.1:steps=4", "pgd:eps=0.1000000001:steps=4"]
    assert labels_of(near) == ["pgd:eps=0.1", "pgd:eps=0.1000000001"]
    three = ["art:deepfool:steps=4", "deepfool:form=art", "deepfool:form=authors"]
    assert labels_of(three) == ["art:deepfool", "deepfool:form=art", "deepfool:form=authors"]
    assert name_of("art:deepfool:steps=4") == "art:deepfool"
