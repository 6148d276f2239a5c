"""The store: whole records, one run a directory, another configuration refused."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.record import RECORD_COLUMNS, ImageResult, Set
from relrob.errors import StoreError
from relrob.store import witness_file
from relrob.store.run_directory import FILE, Store
from tests.make_records import (
    changed,
    make_config,
    make_record,
    make_result,
    make_witness,
)
from tests.store.stores import IMAGES, filled, refused, same


def test_what_goes_in_comes_out_and_one_file_is_left(tmp_path: Path) -> None:
    filled(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with Store.read(tmp_path) as store:
        assert store.records() == [make_record(index) for index in range(IMAGES)]
        assert store.done() == frozenset(range(IMAGES))
        assert store.seconds() == {index: 0.001 * (index + 1) for index in range(IMAGES)}
        expected = {
            (v.index, v.network): v for index in range(IMAGES) for v in make_result(index).witnesses
        }
        found = store.witnesses()
        assert [(view.index, view.network) for view in found] == sorted(expected)
        assert all(same(view, expected[view.index, view.network]) for view in found)
        assert [view.index for view in store.witnesses(3)] == [3, 3]
        assert store.config == make_config()


def test_other_programs_can_read_the_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled(tmp_path) / FILE)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(records)")]
        assert columns == list(RECORD_COLUMNS)
        kinds = connection.execute(
            "SELECT DISTINCT typeof(points) FROM records ORDER BY 1"
        ).fetchall()
        assert kinds == [("integer",), ("null",), ("text",)]  # 2^78 does not fit SQLite's integers
        blob = connection.execute("SELECT npz FROM witnesses").fetchone()[0]
    with np.load(io.BytesIO(blob), allow_pickle=False) as members:
        assert members["original"].shape == (28, 28, 1)
        assert members["original"].dtype == np.float32


def test_numpy_scalars_are_stored_as_plain_numbers(tmp_path: Path) -> None:
    record = changed(
        make_record(3),
        label=np.int64(3),
        reference_margin=np.float32(0.1),
        clean_regression=np.bool_(True),
    )
    with Store.open(tmp_path, make_config()) as store:
        store.append(ImageResult(record, (), 0.5))
        kept = store.records()[0]
    assert (kept.label, kept.reference_margin, kept.clean_regression) == (
        3,
        float(np.float32(0.1)),
        True,
    )
    assert [
        type(value) for value in (kept.label, kept.reference_margin, kept.clean_regression)
    ] == [int, float, bool]


def test_an_image_that_no_network_ever_labelled_can_be_stored(tmp_path: Path) -> None:
    crashed = changed(
        make_record(5), reference_label=-1, quantised_label=-1, reference_verdict="UNKNOWN"
    )
    with Store.open(tmp_path, make_config()) as store:
        store.append(ImageResult(crashed, (), 0.0))
        assert store.records() == [crashed]


def test_records_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    with Store.open(tmp_path, make_config()) as store:
        for index in (1, 5, 3):
            store.append(make_result(index))
        assert [record.index for record in store.records()] == [1, 3, 5]
        assert [record.index for record in store.records([5, 2, 1])] == [5, 1]


def test_append_again_changes_nothing_and_another_result_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path, make_config()) as store:
        result = make_result(3)
        store.append(result)
        store.append(replace(result, seconds=9.0))
        before = store.content_sha256()
        assert store.seconds() == {3: 0.004}
        other_margin = replace(result, record=replace(result.record, reference_margin=0.0))
        other_pixels = (
            replace(result.witnesses[0], perturbed=result.witnesses[0].original),
            *result.witnesses[1:],
        )
        for other in (
            other_margin,
            replace(result, witnesses=()),
            replace(result, witnesses=other_pixels),
        ):
            with refused("image 3", "another result"):
                store.append(other)
        assert store.content_sha256() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reference_margin": float("nan")}, "NaN"),
        ({"set": "R_maybe"}, "impossible record"),
        ({"reference_verdict": "robust"}, "impossible record"),
        ({"reference_verdict": ""}, "impossible record"),
        ({"evaluated": -1}, "impossible record"),
        ({"points": -1}, "impossible record"),
    ],
)
def test_an_impossible_record_leaves_nothing(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    result = make_result(3)
    with Store.open(tmp_path, make_config()) as store:
        with refused(words):
            store.append(replace(result, record=changed(result.record, **change)))
        for views in (
            (result.witnesses[0],) * 2,
            (make_witness(4),),
            (replace(result.witnesses[0], network="both"),),
        ):
            with pytest.raises(StoreError, match=r"not its own|impossible"):
                store.append(replace(result, witnesses=views))
        assert (store.records(), store.witnesses(), store.seconds()) == ([], [], {})


def test_another_configuration_is_named_key_by_key(tmp_path: Path) -> None:
    filled(tmp_path)
    region = make_config()["region"] | {"radius": "10"}
    with refused(
        "region.radius is '20' there and '10' here",
        "scheme is absent there and 'int8' here",
        "--out",
    ):
        Store.open(tmp_path, make_config(region=region, scheme="int8"))
    with Store.open(
        tmp_path, dict(reversed(make_config().items()))
    ) as store:  # the order of keys is no difference
        assert len(store.done()) == IMAGES
        assert len(store.digest) == 64
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (
            3,
        )  # EXTRA: a commit outlives a power cut


def test_directories_that_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with refused("has files but no run", "--out another directory"):
        Store.open(tmp_path, make_config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with refused("is not a run directory"):
        Store.read(tmp_path)
    with refused("cannot write"):
        Store.open(tmp_path / "thesis.tex" / "run", make_config())
    with refused("cannot write"):
        Store.open(Path("/proc/relrob"), make_config())
    with Store.open(tmp_path / "new" / "a?b#c 100%", make_config()) as store:
        store.append(make_result(0))
    assert (tmp_path / "new" / "a?b#c 100%" / FILE).is_file()


def test_the_content_digest_sees_every_field_but_not_the_clock(tmp_path: Path) -> None:
    result = make_result(3)
    record, view = result.record, result.witnesses[0]
    variants = [result, replace(result, witnesses=result.witnesses[1:])]
    others: dict[str, Any] = {
        "label": 9,
        "set": Set.MIXED,
        "points": 7,
        "reference_margin": 0.25,
        "reason": "x",
        "thin": 1,
    }
    variants += [
        replace(result, record=changed(record, **{name: value})) for name, value in others.items()
    ]
    views = (
        replace(view, cost="1/3"),
        replace(view, moved=(9,)),
        replace(view, quantised_margin=0.5),
    )
    variants += [replace(result, witnesses=(other, *result.witnesses[1:])) for other in views]
    digests = []
    for number, variant in enumerate([*variants, replace(result, seconds=99.0)]):
        with Store.open(tmp_path / str(number), make_config()) as store:
            store.append(variant)
            digests.append(store.content_sha256())
    assert len(set(digests)) == len(variants)
    assert digests[-1] == digests[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_witness_bytes_are_a_function_of_the_witness(channels: int) -> None:
    view = make_witness(5, "quantised", channels)
    data = witness_file.encode(view)
    assert witness_file.encode(witness_file.decode(data)) == data
    assert same(witness_file.decode(data), view)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {(info.date_time[0], info.create_system) for info in archive.infolist()} == {
            (1980, 3)
        }
    with pytest.raises(StoreError, match="height x width x channels"):
        witness_file.encode(replace(view, shape=(2, 2, 1)))


def test_the_run_digest_is_of_the_canonical_configuration(tmp_path: Path) -> None:
    config = make_config()
    with Store.open(tmp_path, config) as store:
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert store.digest == hashlib.sha256(text.encode()).hexdigest()
