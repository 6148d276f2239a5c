"""Stages are made once, inputs first; what was killed, damaged or carried elsewhere is known."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from relrob.api.pipeline import import_stages
from relrob.domain.events import Event
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.store.stage_archive import pack, unpack
from relrob.store.stage_directory import every, finished, folder_of, keep
from relrob.study.pipeline.campaign import read_index, run_pipeline, wanted
from relrob.study.pipeline.spec import read_pipeline
from relrob.system.files import held
from tests.study.pipeline.toy import KINDS, TEXT

PIPELINE = read_pipeline("sums", TEXT, "", KINDS)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    run_pipeline(PIPELINE, directory, 2)
    return directory


def calls(directory: Path, digest: str) -> int:
    path = folder_of(directory, digest) / "calls.txt"
    return len(path.read_text(encoding="utf-8").splitlines())


def test_every_stage_has_its_rows(study: Path) -> None:
    for stage in PIPELINE.stages:
        done = finished(study, stage.digest)
        assert done is not None
        if stage.group == "both":
            left, right = (s.options for s in stage.inputs.values())
            total = left["value"] + right["value"] + 2 * left["seed"]
            assert done.rows == ({"value": stage.options["factor"] * total},)


def test_a_second_run_makes_nothing_and_a_wider_one_what_is_new(study: Path) -> None:
    wider = read_pipeline("sums", TEXT, "large", KINDS)
    told: list[Event] = []
    run_pipeline(PIPELINE, study, 2, listener=told.append)
    assert not [event for event in told if event.stage == "stages"]
    run_pipeline(wider, study, 2, listener=told.append)
    made = {stage.digest for stage in wanted(wider)} - {stage.digest for stage in wanted(PIPELINE)}
    assert len([event for event in told if event.stage == "stages"]) == len(made)
    assert all(calls(study, s.digest) == 1 for s in wider.stages if s.group != "both")


def test_a_group_brings_its_inputs_along(tmp_path: Path) -> None:
    run_pipeline(PIPELINE, tmp_path, 1, only=("b",))
    assert len(every(tmp_path)) == 2
    assert {s.group for s in wanted(PIPELINE, ("both",))} == {"a", "b", "both"}


def test_work_that_was_killed_is_done_again_in_its_folder(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "copy")
    first = PIPELINE.stages[0].digest
    (folder_of(tmp_path / "copy", first) / "stage.json").unlink()
    run_pipeline(PIPELINE, tmp_path / "copy", 1)
    assert calls(tmp_path / "copy", first) == 2
    assert every(tmp_path / "copy").keys() == every(study).keys()


def test_the_error_of_a_stage_ends_the_run(tmp_path: Path) -> None:
    wrong = read_pipeline("sums", TEXT.replace("value = 5", "value = -5"), "", KINDS)
    with pytest.raises(UsageError, match="value -5; accepted: 0 or more"):
        run_pipeline(wrong, tmp_path, 2)


def test_a_directory_of_another_study_is_refused(study: Path) -> None:
    other = read_pipeline("others", TEXT, "", KINDS)
    with pytest.raises(StoreError, match="holds the study sums"):
        run_pipeline(other, study, 1)


def test_a_damaged_file_is_named_when_it_is_read(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "copy")
    stage = next(s for s in PIPELINE.stages if s.group == "both")
    (folder_of(tmp_path / "copy", stage.digest) / "stage.json").unlink()
    left = folder_of(tmp_path / "copy", stage.inputs["left"].digest) / "value.txt"
    left.write_text("1000", encoding="utf-8")
    with pytest.raises(StoreError, match=r"value\.txt is damaged"):
        run_pipeline(PIPELINE, tmp_path / "copy", 1)


@pytest.mark.parametrize("old", ['"value": 10', '"seed": 0', '"factor": 1'])
def test_an_edited_document_is_damaged(study: Path, tmp_path: Path, old: str) -> None:
    for stage in PIPELINE.stages:
        path = folder_of(study, stage.digest) / "stage.json"
        text = path.read_text(encoding="utf-8")
        if old in text:
            break
    else:
        pytest.skip(f"no stage has {old}")
    target = folder_of(tmp_path, stage.digest) / "stage.json"
    target.parent.mkdir(parents=True)
    target.write_text(text.replace(old, old[:-1] + "7"), encoding="utf-8")
    with pytest.raises(StoreError, match="damaged"):
        finished(tmp_path, stage.digest)


def test_stages_travel_as_one_file(study: Path, tmp_path: Path) -> None:
    count = pack(study, tmp_path / "one.zip")
    assert count == len(every(study))
    pack(study, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert unpack(tmp_path / "one.zip", tmp_path / "elsewhere") == (count, 0)
    assert unpack(tmp_path / "one.zip", tmp_path / "elsewhere") == (0, count)
    told: list[Event] = []
    run_pipeline(PIPELINE, tmp_path / "elsewhere", 1, listener=told.append)
    assert not [event for event in told if event.stage == "stages"]


def _rewritten(source: Path, target: Path, change: dict[str, bytes | None]) -> None:
    """A copy of an archive with some members changed (None: left out) or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change.pop(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in change.items():
            if data is not None:
                new.writestr(name, data)


def test_a_forged_or_damaged_archive_adds_nothing_false(study: Path, tmp_path: Path) -> None:
    pack(study, tmp_path / "one.zip")
    stage = PIPELINE.stages[0]
    document = f"{stage.digest}/stage.json"
    value = f"{stage.digest}/value.txt"
    forged = json.loads((folder_of(study, stage.digest) / "stage.json").read_text())
    forged["rows"] = [{"value": 1}]
    for change in (
        {value: b"1000"},
        {document: None},
        {document: json.dumps(forged).encode()},
        {f"{stage.digest}/extra.txt": b"x"},
        {"../outside.txt": b"x"},
        {f"{stage.digest}/../../x": b"x"},
        {f"{'0' * 64}/stage.json": b"{}"},
    ):
        place = tmp_path / "elsewhere"
        _rewritten(tmp_path / "one.zip", tmp_path / "forged.zip", dict(change))
        with pytest.raises(StoreError):
            unpack(tmp_path / "forged.zip", place)
        there = every(place)
        assert all(finished(study, digest) is not None for digest in there)
        assert {p.name for p in tmp_path.iterdir()} <= {"one.zip", "forged.zip", "elsewhere"}
        shutil.rmtree(place, ignore_errors=True)
    data = (tmp_path / "one.zip").read_bytes()
    (tmp_path / "forged.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError):
        unpack(tmp_path / "forged.zip", tmp_path / "elsewhere")


def test_an_empty_study_cannot_be_carried(tmp_path: Path) -> None:
    with pytest.raises(RelrobError, match="no finished stages"):
        pack(tmp_path, tmp_path / "one.zip")


def test_a_stage_whose_input_came_out_otherwise_is_made_again(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    stage = next(s for s in PIPELINE.stages if s.group == "both")
    left = stage.inputs["left"]
    before = finished(copy, stage.digest)
    keep(copy, left, [{"value": 1000}], 1.0, {})
    told: list[Event] = []
    run_pipeline(PIPELINE, copy, 1, listener=told.append)
    again = [s for s in PIPELINE.stages if left.digest in s.links.values()]
    assert len([event for event in told if event.stage == "stages"]) == len(again)
    after = finished(copy, stage.digest)
    assert before is not None
    assert after is not None
    assert after.read["left"] != before.read["left"]


def test_a_second_process_is_refused_a_directory_in_use(study: Path) -> None:
    with held(study), pytest.raises(StoreError, match="in use by another process"):
        run_pipeline(PIPELINE, study, 1)
    with held(study), pytest.raises(StoreError, match="in use by another process"):
        import_stages(study / "none.zip", study)
    run_pipeline(PIPELINE, study, 1)


def test_no_flipped_bit_of_the_index_gives_other_axes(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study, tmp_path / "copy")
    path = tmp_path / "copy" / "pipeline.json"
    whole, data = read_index(study), path.read_bytes()
    for number in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[number] ^= 1 << number % 7
        path.write_bytes(flipped)
        try:
            assert read_index(tmp_path / "copy") == whole
        except StoreError as error:
            assert "run the study again" in str(error)


def test_files_that_are_left_out_are_made_again_where_a_stage_reads_them(
    study: Path, tmp_path: Path
) -> None:
    """Rows travel alone; a stage that is to be made brings its inputs' files back."""
    pack(study, tmp_path / "rows.zip", None, ("value.txt", "calls.txt"))
    there = tmp_path / "elsewhere"
    assert unpack(tmp_path / "rows.zip", there) == (len(every(study)), 0)
    assert every(there).keys() == every(study).keys()
    told: list[Event] = []
    run_pipeline(PIPELINE, there, 1, listener=told.append)
    assert not [event for event in told if event.stage == "stages"]
    stage = next(s for s in PIPELINE.stages if s.group == "both")
    shutil.rmtree(folder_of(there, stage.digest))
    run_pipeline(PIPELINE, there, 1, listener=told.append)
    made = [event.text for event in told if event.stage == "stages"]
    assert len(made) == 3
    assert made[-1].startswith("both ")
    assert all(calls(there, each.digest) == 1 for each in stage.inputs.values())


def test_a_whole_archive_fills_what_another_left_out(study: Path, tmp_path: Path) -> None:
    pack(study, tmp_path / "rows.zip", None, ("value.txt",))
    pack(study, tmp_path / "whole.zip")
    there = tmp_path / "elsewhere"
    unpack(tmp_path / "rows.zip", there)
    assert unpack(tmp_path / "whole.zip", there) == (0, len(every(study)))
    pack(there, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()
