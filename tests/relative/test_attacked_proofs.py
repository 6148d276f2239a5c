"""No attack finds an image inside 500 regions that were proved ROBUST, on MNIST: ladders and balls,
float and int8. And the command that attacks them one by one, which takes up its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relrob.relative import classify
from tests import attacked_proofs
from tests.attacked_proofs import RUNS, WANTED, Record, Run, alarms, in_turn, main, report, tallies
from tests.cli_case import Case
from tests.study.test_attacks import BROKEN, lying

EACH = {"ladder int8": range(1, 7), "ball int8": range(5, 7)}
FEW = ("fgsm", "pgd:restarts=2:steps=3", "boundary:steps=2")


@pytest.mark.slow
def test_no_attack_finds_an_image_in_a_region_that_is_robust(tmp_path: Path) -> None:
    """Hours of one core; `python -m tests.attacked_proofs` goes on where it was stopped."""
    path = tmp_path / "record.jsonl"
    assert main(path, None) == 0
    found = tallies(Record(path).lines)
    assert set(found) == {name.partition(":")[0] for name in attacked_proofs.ATTACKS}
    for tally in found.values():
        assert sum(tally.regions.values()) >= WANTED and tally.inside == 0
        assert {network for _, network in tally.regions} == {"float", "dynamic", "int8"}


@pytest.fixture
def runs(case: Case) -> tuple[Run, ...]:
    """Ladders and balls of the small case."""
    files = {
        "reference": case.reference,
        "quantised": case.simulated,
        "dataset": str(case.data),
        "time_limit": 120,
    }
    ladder = {"radius": 2, "step": "1/2", "features": "8", "axes": 3}
    ball = {"region": "linf", "radius": "1/255"}
    return (
        Run("ladder", "int8", {**files, **ladder}, EACH["ladder int8"]),
        Run("ball", "int8", {**files, **ball}, EACH["ball int8"]),
    )


def untimed(path: Path) -> list[dict[str, Any]]:
    """The record without seconds."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in found:
        for name in set(attacked_proofs.NETWORKS) & set(line):
            line[name]["seconds"] = list(line[name]["seconds"])
    return found


def test_an_interrupted_run_goes_on_to_the_same_record(
    runs: tuple[Run, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, page = tmp_path / "whole.jsonl", tmp_path / "page.md"
    assert main(whole, page, runs, FEW) == 0
    lines = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    order = [(each["run"], each["image"]) for each in map(json.loads, lines)]
    ladders, balls = ([(name, image) for image in images] for name, images in EACH.items())
    assert order == [*ladders[:5], *balls, *ladders[5:]]
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(lines[:2]) + lines[2][:40], encoding="utf-8")
    asked: list[list[int]] = []
    plain = attacked_proofs.attacked

    def counted(run: Run, images: Sequence[int], attacks: Sequence[str]) -> list[dict[str, Any]]:
        asked.append(list(images))
        return plain(run, images, attacks)

    monkeypatch.setattr(attacked_proofs, "attacked", counted)
    assert main(cut, None, runs, FEW) == 0
    assert asked == [[3, 4, 5], [5, 6], [6]] and untimed(cut) == untimed(whole)
    assert page.read_text(encoding="utf-8") == report(Record(whole).lines)


def test_robust_regions_are_counted_by_kind_and_network(
    runs: tuple[Run, ...], tmp_path: Path
) -> None:
    path = tmp_path / "record.jsonl"
    main(path, None, runs, FEW)
    lines = Record(path).lines
    robust = [
        (line["run"].split(" ")[0], network)
        for line in lines
        for name, network in (("reference", "float"), ("quantised", "int8"))
        if line.get(name, {}).get("verdict") == "ROBUST"
    ]
    assert ("ball", "int8") in robust and ("ladder", "float") in robust
    found = tallies(lines)
    assert list(found) == ["fgsm", "pgd", "boundary"]
    for tally in found.values():
        assert tally.regions == {each: robust.count(each) for each in robust}
        assert (tally.inside, tally.blind) == (0, 0)
    told = report(lines).splitlines()
    kinds = sorted(set(robust))
    fgsm = next(line for line in told if line.startswith("| fgsm |"))
    assert fgsm.split(" | ")[1 : 1 + len(kinds)] == [f"{robust.count(each)}" for each in kinds]
    assert told[-1].startswith(f"{len(robust)} regions of 500") and "No alarm" in told[-1]


def test_an_alarm_is_recorded_told_and_tried_again(
    runs: tuple[Run, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A false ROBUST is planted where an attack finds an image."""
    path, page = tmp_path / "record.jsonl", tmp_path / "page.md"
    ball = replace(runs[1], options={**runs[1].options, "radius": "8/255"}, images=range(4))
    with monkeypatch.context() as patch:
        patch.setattr(classify, "decide", lying([BROKEN]))
        assert main(path, page, [ball], ["pgd:steps=10"]) == 1
    (told,) = alarms(Record(path).lines)
    assert len(Record(path).lines) == 4
    assert told.startswith(f"ball int8: image {BROKEN}: the reference network gives")
    assert f"ALARM {told}" in page.read_text(encoding="utf-8")
    assert main(path, page, [ball], ["pgd:steps=10"]) == 0
    assert "No alarm." in page.read_text(encoding="utf-8")


def test_an_image_inside_that_was_no_alarm_is_counted(runs: tuple[Run, ...]) -> None:
    tried = {"verdict": "ROBUST", "inside": ["fgsm"], "blind": [], "seconds": {"fgsm": 1.0}}
    lines = [{"run": "ball int8", "image": 3, "reference": tried, "quantised": tried}]
    assert tallies(lines)["fgsm"].inside == 2
    assert report(lines).splitlines()[-3].endswith("| 2 | 0 | 1.00 |")


def test_no_region_is_attacked_twice() -> None:
    """The float network's regions of one kind lie around other images in each run."""
    for kind in ("ladder", "ball"):
        images = [image for run in RUNS if run.kind == kind for image in run.images]
        assert len(images) == len(set(images)) == 200
    parts = list(in_turn(RUNS))
    assert sum(len(images) for _, images in parts) == 400
    assert [run for run, _ in parts[:4]] == list(RUNS)
    assert replace(RUNS[0], kind="ball").name == RUNS[1].name == "ball dynamic"
