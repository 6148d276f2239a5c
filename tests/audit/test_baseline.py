"""The audit of the last release: read back, of another kind, damaged, edited, and of an older
relrob."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import relrob
from relrob.audit.baseline import read_baseline
from relrob.audit.facts import facts_of
from relrob.audit.rows import COLUMNS, Row
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.report.audit.write import write_audit
from tests.audit.made import LOST, made_document, made_rows, sampled

HEAD = ",".join(COLUMNS)
LINE = "0,1,1,1,unknown,ROBUST,UNKNOWN,,,,,,,,,,proved,,,\n"


def unsealed(directory: Path, **changes: Any) -> None:
    """Make audit.json that of an older relrob, without a digest, and change keys of it."""
    path = directory / "audit.json"
    document = json.loads(path.read_text())
    document.pop("files", None)
    path.write_text(json.dumps({**document, **changes}))


def edit(directory: Path, old: str, new: str) -> None:
    """Edit one place of images.csv."""
    path = directory / "images.csv"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A directory with an audit of twenty images."""
    write_audit(tmp_path, made_document(), made_rows())
    return tmp_path


def full_rows() -> list[Row]:
    """A row of each kind, all columns filled somewhere."""
    filled = Row(
        0, -1, -1, 2, "R^0", "NOT_ROBUST", "NOT_ROBUST", 9, 3, 2, 1, -0.125, float("inf"),
        "witness,\nz3", 'a "reason"\u2028', -1, "", "", "fgsm, pgd", "none",
    )  # fmt: skip
    return [
        filled,
        sampled(1, LOST, ("run", "proved"), 4),
        Row(2, 1, 1, 0, "L_ic"),
        Row(3, 1, 1, 1),
    ]


@pytest.mark.parametrize("rows", [made_rows(), full_rows()])
def test_what_was_written_comes_back(tmp_path: Path, rows: list[Row]) -> None:
    document = made_document(rows, blocking=("layout",))
    document["runtimes"]["most_differing"] = [3, 20]
    write_audit(tmp_path, document, rows)
    found = read_baseline(tmp_path)
    assert found.facts == facts_of(rows, True, ("layout",), (3, 20))
    assert (found.sealed, found.warning) == (True, "")
    found.check_same(document)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("dataset", {"sha256": "e" * 64, "split": "test", "labels": "given"}, "data set: dddd"),
        ("dataset", {"sha256": "d" * 64, "split": "train", "labels": "given"}, "split: test"),
        ("reference", {"sha256": "c" * 64}, "reference: aaaa"),
        ("reference", {"sha256": "a" * 64, "contract": "--input-scale 255"}, "reading of the"),
        ("reference", {"sha256": "a" * 64, "layout": "chw"}, "layout of the reference"),
        ("reference", {"sha256": "a" * 64, "runtime": "keras"}, "runtime of the reference"),
        ("region", {"kind": "l1"}, "region"),
    ],
)
def test_one_of_another_kind_is_refused(
    old: Path, key: str, value: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=f"is of another {words}"):
        read_baseline(old).check_same({**made_document(), key: value})


def test_an_older_one_is_read_with_a_warning(old: Path) -> None:
    unsealed(old)
    found = read_baseline(old)
    assert found.facts == facts_of(made_rows())
    assert found.warning.startswith("the baseline is of an older relrob, without a digest")


@pytest.mark.parametrize("keep", [len(COLUMNS), COLUMNS.index("quantised_verdict") + 1])
def test_older_ones_lack_columns_at_the_end(old: Path, keep: int) -> None:
    unsealed(old)
    lines = (old / "images.csv").read_text().splitlines()
    cut = [",".join(line.split(",")[:keep]) for line in lines]
    (old / "images.csv").write_text("\n".join(cut) + "\n")
    assert read_baseline(old).facts.lost == {3}


def test_an_edited_row_does_not_pass_for_a_loss_that_was_known(old: Path) -> None:
    """Consistent in itself: only the digest shows it."""
    edit(old, "4,1,1,1,R_Q^FP,ROBUST,ROBUST", "4,1,1,1,R^FP,ROBUST,NOT_ROBUST")
    with pytest.raises(StoreError, match=r"images\.csv is not the one of its audit\.json"):
        read_baseline(old)
    unsealed(old)
    assert read_baseline(old).facts.lost == {3, 4}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("audit.json", None, "cannot read"),
        ("audit.json", b"{", "is no JSON"),
        ("audit.json", b"[]", "is no audit"),
        ("audit.json", b"\xff", "is no text"),
        ("audit.json", b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nests too deeply"),
        ("audit.json", b'{"verdict": ' + b"9" * 5_000 + b"}", "is no JSON"),
        ("audit.json", b'{"verdict": "ship", "region": NaN}', "is no JSON"),
        ("images.csv", None, "cannot read"),
        ("images.csv", b"", "its last line is cut off"),
        ("images.csv", b"\xff", "is no text"),
        ("images.csv", b"index,label\n1,2\n", "has no column reference_label"),
        ("images.csv", f"{HEAD},label\n".encode(), "column 'label' is unknown, or there twice"),
        ("images.csv", f"{HEAD},lost\n".encode(), "column 'lost' is unknown"),
        ("images.csv", f"{HEAD}\n".encode(), "it has 0 images, audit.json has 20"),
        ("images.csv", f"{HEAD}\n".encode() + b"9" * 200_000 + b"\n", "line 2: field larger"),
        ("images.csv", f'{HEAD}\n"0,1\n'.encode(), "line 2: unexpected end of data"),
        ("images.csv", f"{HEAD}\n\0{LINE}".encode(), "line 2: index "),
        ("images.csv", (HEAD + "\n" + "9" * 5_000 + LINE).encode(), "line 2: index '999"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(
    old: Path, name: str, data: bytes | None, words: str
) -> None:
    unsealed(old)
    (old / name).unlink()
    if data is not None:
        (old / name).write_bytes(data)
    with pytest.raises(StoreError) as told:
        read_baseline(old)
    line = str(told.value)
    assert words in line and str(old / name) in line and line.isprintable()


@pytest.mark.parametrize("name", ["audit.json", "images.csv"])
def test_a_pipe_is_not_waited_for(old: Path, name: str) -> None:
    (old / name).unlink()
    os.mkfifo(old / name)
    with pytest.raises(StoreError, match=f"cannot read .*{name}: it is no regular file"):
        read_baseline(old)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("19,1,1,1,", "18,1,1,1,", "index 18 stands where 19 belongs"),
        ("19,1,1,1,", "-4,1,1,1,", "line 21: index '-4'"),
        ("19,1,1,1,", "020,1,1,1,", "line 21: index '020'"),
        ("19,1,1,1,", "19,1,1,-2,", "line 21: quantised_label '-2'"),
        ("19,1,1,1,", "19,1,,1,", "line 21: reference_label ''"),
        ("19,1,1,1,", "19,1,1,1,,", "line 21 has 21 cells, the header 20"),
        ("19,1,1,1,,", "19,1,1,1,", "line 21 has 19 cells, the header 20"),
        ("19,1,1,1,,", "19,1,1,1,R,", "line 21: set 'R'"),
        ("19,1,1,1,,,", "19,1,1,1,,ROBUST,", "'', 'ROBUST', '' do not fit each other"),
        ("19,1,1,1,,,", "19,1,1,1,L_ic,ROBUST,", "'L_ic', 'ROBUST', '' do not fit"),
        ("19,1,1,1,,,,", "19,1,1,1,,,,-3", "line 21: points '-3'"),
        ("R^FP,ROBUST,NOT_ROBUST", "R^FP,ROBUST,ROBUST", "do not fit each other"),
        ("R^FP,ROBUST,NOT_ROBUST", "R^FP,ROBUST,zzz", "line 5: quantised_verdict 'zzz'"),
        ("19,1,1,1,,,,,,,,,,,,,,,,\n", "19,1,1,1", "its last line is cut off"),
        ("19,1,1,1,,,,,,,,,,,,,,,,\n", "", "it has 19 images, audit.json has 20"),
    ],
)
def test_a_row_that_relrob_does_not_write_is_refused(
    old: Path, before: str, after: str, words: str
) -> None:
    unsealed(old)
    edit(old, before, after)
    with pytest.raises(StoreError) as told:
        read_baseline(old)
    assert words in str(told.value) and str(old / "images.csv") in str(told.value)


DIAGNOSES = [
    5, "abc", [1], None, {}, [{"blocking": True}], [{"id": "layout"}],
    [{"id": [1], "blocking": True}], [{"id": "layout", "blocking": 1}],
]  # fmt: skip
RUNTIMES = [
    {"a": 1}, "ab", [1], [1, 2, 3], [-5, 9], [9, 5], [True, 1], [1.5, 2], ["1", "2"], 0,
]  # fmt: skip
FIELDS: list[tuple[str, dict[str, Any]]] = [
    *(("pair.diagnosis", {"pair": {"diagnosis": each}}) for each in DIAGNOSES),
    ("pair.diagnosis", {"pair": [1]}),
    *(("runtimes.most_differing", {"runtimes": {"most_differing": each}}) for each in RUNTIMES),
    *(("dataset.images", {"dataset": {"images": each}}) for each in ("20", -1, 20.0, None)),
    *(("files['images.csv']", {"files": each}) for each in (None, {}, {"images.csv": 1})),
]


@pytest.mark.parametrize(("key", "changes"), FIELDS, ids=[str(row[1]) for row in FIELDS])
def test_a_field_of_another_type_is_refused(old: Path, key: str, changes: dict[str, Any]) -> None:
    unsealed(old, **changes)
    with pytest.raises(StoreError) as told:
        read_baseline(old)
    assert f"{old / 'audit.json'} is damaged: {key} is missing or of another type" in str(
        told.value
    )


def test_an_infinity_is_no_number_of_labels(old: Path) -> None:
    unsealed(old, runtimes={"most_differing": [float("inf"), 1]})
    with pytest.raises(StoreError, match=r"runtimes\.most_differing"):
        read_baseline(old)


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{"), Path.unlink])
def test_it_is_read_before_the_work_begins(old: Path, spoil: Callable[[Path], Any]) -> None:
    """The networks are not there, which reading them would tell."""
    spoil(old / "audit.json")
    with pytest.raises(RelrobError, match=r"audit\.json"):
        relrob.audit("none.onnx", "none_int8.onnx", dataset=str(old / "none.npz"), baseline=old)
