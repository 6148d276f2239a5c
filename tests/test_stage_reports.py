"""Reports of studies of stages, of a study that is made up: their numbers are the study's, the same
records give the same bytes, and no image of CIFAR-10 is in them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.api.pipeline import import_stages, show_stages, show_stages_text, stage_figures
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.report.study.stage_text import GroupRows
from relrob.study.pipeline.spec import read_pipeline
from relrob.study.spec import builtin
from relrob.system.npz import unpacked
from reports import stages
from reports.stage_page import PICTURES, means
from reports.stage_records import (
    EXAMPLES,
    IMAGES,
    RECORDS,
    STAGES,
    KeptOutcomes,
    opened,
    records,
)
from tests.report.made_study import CLEAN, made_study
from tests.report.test_stage_figures import DRAWN

NAME = "shrestha2024"
TEXT = """
title = "Attacks on networks that are made up"
report = "shrestha2024"
[profile.quick]
recipe = "quick"
seeds = [0, 1, 2]
images = 40
[profile.full]
recipe = "full"
seeds = [0, 1, 2]
images = 1000
[[train]]
name = "mnist-fp"
arch = "mnist-a"
profile = "$recipe"
seed = "$seeds"
[[train]]
name = "mnist-quantised"
arch = "mnist-a"
compress = ["dorefa:1"]
profile = "$recipe"
seed = "$seeds"
[[train]]
name = "cifar-fp"
arch = "resnet20"
dataset = "cifar10"
[[distribution]]
name = "mnist-weights"
source = ["mnist-fp", "mnist-quantised"]
[[attack]]
name = "mnist-fgsm"
source = ["mnist-fp", "mnist-quantised"]
attack = "fgsm:eps=0.25"
images = "$images"
[[attack]]
name = "mnist-cw"
source = ["mnist-fp", "mnist-quantised"]
attack = "cw:confidence=5:steps=25:searches=20"
images = "$images"
[[attack]]
name = "mnist-uap"
source = ["mnist-fp", "mnist-quantised"]
attack = "uap:eps=0.1:xi=0.6"
images = "$images"
[[attack]]
name = "mnist-fgsm-small"
source = "mnist-fp"
attack = "fgsm:eps=0.1"
images = 12
[[attack]]
name = "cifar-fgsm-small"
source = "cifar-fp"
dataset = "cifar10"
attack = "fgsm:eps=0.025"
images = 12
"""
LEFT = ("mnist-uap",)
NOTE = "Made up from end to end.\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which all groups but one are finished."""
    directory = tmp_path_factory.mktemp("made") / "study"
    pipeline = read_pipeline(NAME, TEXT)
    groups = tuple(name for name in pipeline.groups if name not in LEFT)
    made_study(pipeline, directory, groups)
    return directory


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study is one that comes with relrob."""
    monkeypatch.setattr(stages, "builtin", lambda: {NAME: TEXT})


@pytest.fixture(scope="module")
def report(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    folder = tmp_path_factory.mktemp("report") / NAME
    folder.mkdir()
    (folder / "note.md").write_text(NOTE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "builtin", lambda: {NAME: TEXT})
        stages.command([str(study), str(folder)])
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def page(report: Path) -> str:
    return (report / "README.md").read_text(encoding="utf-8")


def document(report: Path, name: str) -> Any:
    return json.loads((report / name).read_text(encoding="utf-8"))


def claim_lines(text: str) -> list[str]:
    """The lines of the table of claims."""
    below = text.split("| claim | verdict | numbers |")[1]
    return below.split("\n\n")[0].splitlines()


def test_claims_are_those_of_the_study_with_all_its_images(study: Path, report: Path) -> None:
    lines = claim_lines(page(report))
    assert lines == claim_lines(show_stages_text(study, "markdown"))
    assert len(lines) > 10
    assert document(report, "summary.json")["claims"] == show_stages(study)["claims"]
    # Noise of the images is in the interval: without it, it is another one.
    bare = study.parent / "bare"
    shutil.copytree(study, bare, ignore=shutil.ignore_patterns("outcomes.npz"))
    assert claim_lines(show_stages_text(bare, "markdown")) != lines


def test_what_was_not_run_is_said(report: Path) -> None:
    text = page(report)
    assert "**Not finished:** mnist-uap. A claim is judged by the rows that there are" in text
    assert "| Mnist A: 24. UAP: quantised nets keep more accuracy than FP | not run |" in text
    judged = [claim["judgement"] for claim in document(report, "summary.json")["claims"]]
    assert "reproduced" in judged
    assert f"{judged.count('not run')} not run" in text
    assert "| mnist-uap | attack | 0 of 6 |  | 0.0 |" in text
    assert "| mnist-cw | attack | 6 of 6 | 40 | 6.0 |" in text


def test_numbers_are_means_of_the_study(study: Path, report: Path) -> None:
    (group,) = (g for g in show_stages(study)["groups"] if g["group"] == "mnist-fgsm")
    values = [r["adversarial_accuracy"] for r in group["rows"] if r.get("compress") == "dorefa:1"]
    (mine,) = (g for g in document(report, "summary.json")["groups"] if g["group"] == "mnist-fgsm")
    (line,) = (each for each in mine["means"] if each["compress"] == "dorefa:1")
    assert (line["rows"], len(values)) == (3, 3)
    assert line["adversarial_accuracy"] == pytest.approx(np.mean(values), abs=1e-6)
    assert "transfer_rate" in group["rows"][0] and "transfer_rate" not in line
    shown = page(report).split("### mnist-fgsm\n")[1].split("###")[0]
    assert f"| {np.mean(values):.4g} |" in shown
    rows = list(csv.DictReader(io.StringIO((report / "tables.csv").read_text())))
    told = [row["adversarial_accuracy"] for row in rows if row["group"] == "mnist-fgsm"]
    assert [float(text) for text in told] == [r["adversarial_accuracy"] for r in group["rows"]]


def test_the_page_says_how_it_came_about(report: Path) -> None:
    text, facts = page(report), document(report, "provenance.json")
    assert text.startswith("# Attacks on networks that are made up\n")
    assert "`relrob study run shrestha2024 --profile quick`" in text and NOTE in text
    assert "| images | 40 | 1,000 |" in text and "| recipe |" not in text
    assert "| training, mnist-a | 10 epochs;" in text and "| 30 epochs;" in text
    assert "training, resnet20" not in text, "whose recipe is the same in both profiles"
    assert facts["finished"] == facts["minutes_of_work"] == facts["stages"] - 6
    assert [each["stages"] for each in facts["made_with"]] == [facts["finished"]]
    assert facts["made_with"][0]["processors"] == "2"
    assert {"tensorflow", "relrob"} <= set(facts["packages_of_the_report"])
    assert "cores" in facts["machine_of_the_report"] and facts["sha256"]
    assert (report / f"{NAME}.toml").read_text(encoding="utf-8") == TEXT


def test_records_alone_give_the_same_bytes(report: Path, tmp_path: Path) -> None:
    whole = files(report)
    copy = tmp_path / NAME
    copy.mkdir()
    for name in (*RECORDS, "provenance.json", f"{NAME}.toml", "note.md"):
        (copy / name).write_bytes(whole[name])
    (copy / "figures").mkdir()
    (copy / "figures" / "of-another-run.svg").write_bytes(b"old")
    stages.command(["--records", str(copy)])
    assert files(copy) == whole
    assert {"README.md", "summary.json", "figures/weights-1-bit.svg"} <= set(whole)
    assert sum(map(len, whole.values())) < stages.LIMIT
    for name in (EXAMPLES, f"{NAME}.toml"):
        (copy / name).unlink()
        with pytest.raises(StoreError, match=rf"has no {name}"):
            stages.command(["--records", str(copy)])
        (copy / name).write_bytes(whole[name])


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_named(report: Path, name: str) -> None:
    kept = files(report)
    with pytest.raises(StoreError, match=rf"{name} is damaged"), opened({**kept, name: b"PK"}):
        pass


def test_no_image_of_cifar_is_written(study: Path, report: Path) -> None:
    assert "fgsm-small-cifar.svg" in stage_figures(study)
    whole = files(report)
    pictures = [name for name, data in whole.items() if b"<image" in data]
    assert pictures == ["figures/fgsm-small-mnist.svg"]
    assert not [name for name in whole if "cifar" in name]
    examples = unpacked(whole[EXAMPLES], 1 << 28)
    assert [json.loads(str(name))[0] for name in examples["names"]] == ["mnist-fgsm-small"]
    assert {a.shape for n, a in examples.items() if n.startswith("images")} == {(10, 28, 28, 1)}
    assert examples["images-0"].max() == np.float32(CLEAN)
    with zipfile.ZipFile(io.BytesIO(whole[STAGES])) as archive:
        inside = {name.partition("/")[2] for name in archive.namelist()}
    assert inside == {"stage.json", "cdf.json", "recipe.txt"}
    assert not {"images", "adversarial"} & set(unpacked(whole[IMAGES], 1 << 28))


def test_a_file_that_nobody_expected_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_study(read_pipeline(NAME, TEXT), tmp_path, ("cifar-fp",))
    monkeypatch.setattr("reports.stage_records.LEFT_OUT", ("adv.npz",))
    with pytest.raises(StoreError, match=r"stages with net\.keras"):
        records(tmp_path)


def test_a_report_that_is_too_large_is_refused_in_one_line(
    study: Path, tmp_path: Path, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LIMIT", 20_000)
    with pytest.raises(StoreError) as caught:
        stages.command([str(study), str(tmp_path / "small")])
    told = str(caught.value)
    assert "would have" in told and "20,000 at most" in told and "\n" not in told
    assert "stages.zip " in told
    assert files(tmp_path) == {}


def test_the_stages_can_be_imported_and_shown(study: Path, report: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    added, _ = import_stages(report / STAGES, there)
    assert added == document(report, "provenance.json")["finished"]
    with opened(files(report)) as run:
        assert [g.rows for g in run.groups] == [
            tuple(group["rows"]) for group in show_stages(study)["groups"]
        ]


def test_distances_are_kept_where_claims_read_them(report: Path) -> None:
    with opened(files(report)) as run:
        kept = {
            group.group: {each.whole for each in group.outcomes if isinstance(each, KeptOutcomes)}
            for group in run.groups
        }
        assert kept["mnist-cw"] == {True}
        assert kept["mnist-fgsm-small"] == kept["cifar-fgsm-small"] == {False}
        (small,) = (group for group in run.groups if group.group == "mnist-fgsm-small")
        outcomes = small.outcomes[0]
        assert outcomes is not None
        told = outcomes.each("adversarial_accuracy")
        assert told is not None
        assert told.mean() == pytest.approx(small.rows[0]["adversarial_accuracy"])
        with pytest.raises(StoreError, match="a claim reads l2 of images whose distances"):
            outcomes.each("l2")


def test_seeds_of_two_networks_are_the_same_or_not() -> None:
    rows = tuple(
        {"seed": s, "run": 0, "target.seed": t, "transfer_rate": 1.0 if s == t else 0.25 + s}
        for s in range(2)
        for t in range(2)
    )
    found = means(GroupRows("apart", "evaluate", 4, 4, rows), ("seed", "run", "target.seed"))
    assert found == [
        {"target.seed": "same", "rows": 2, "transfer_rate": 1.0},
        {"target.seed": "other", "rows": 2, "transfer_rate": 0.75},
    ]


@pytest.mark.parametrize("name", list(DRAWN))
def test_every_figure_of_the_studies_has_a_caption(name: str) -> None:
    patterns = [pattern for pattern, _ in PICTURES[name]]
    for drawn in DRAWN[name]:
        assert sum(fnmatch(f"{drawn}.svg", pattern) for pattern in patterns) == 1, drawn


@pytest.mark.parametrize("name", list(DRAWN))
def test_what_the_quick_profile_scales_down_is_known(name: str) -> None:
    told = stages.scaled_down(builtin()[name], "quick")
    of = [each["of"] for each in told]
    assert "images" in of and any(each.startswith("training, ") for each in of)
    assert all(each["here"] != each["full"] for each in told)
    assert stages.scaled_down(builtin()[name], "full") == []
    assert stages.scaled_down(TEXT.split("[profile.full]")[0] + "[a]", "quick") == []


@pytest.mark.parametrize("words", [[], ["only-one"], ["a", "b", "c"]])
def test_other_words_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="STUDY_DIRECTORY REPORT, or --records REPORT"):
        stages.command(words)


def test_a_study_of_another_text_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run with another text than relrob has"):
        stages.command([str(study), str(tmp_path / "report")])
    with pytest.raises(RelrobError, match="no study of stages"):
        stages.command([str(tmp_path), str(tmp_path / "report")])
