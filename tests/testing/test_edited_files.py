"""Edited files are made again from their numbers; planted faults in them are found.

Their questions are compared with relrob's regions, and their logs add up.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.regions.ball import ball_set
from relrob.regions.ladder import rung_set
from relrob.registry import load
from relrob.relative.classify import classify
from relrob.testing import alone, campaign, referee
from relrob.testing.alone import RefusedError
from relrob.testing.campaign import Tally, append, run, total
from relrob.testing.drafts import SHAPES, random_weights
from relrob.testing.edited import FORMATS, Edited, edited
from relrob.testing.files_main import main
from relrob.testing.referee import judged


def files(kind: str, count: int, first: int = 0, **more: Any) -> list[Edited]:
    """Files that their runtime takes."""
    found = []
    for number in range(first, first + count):
        try:
            found.append(edited(5, kind, number, **more))
        except RefusedError:
            continue
    return found


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_file_is_made_again_from_its_number(kind: str) -> None:
    once, twice = files(kind, 12, only=()), files(kind, 12, only=())
    assert len(once) == len(twice) >= 11
    for first, second in zip(once, twice, strict=True):
        assert (first.data, first.edits, first.question.region) == (
            second.data,
            second.edits,
            second.question.region,
        )
        assert np.array_equal(first.rows, second.rows, equal_nan=True)
    assert len({file.data for file in once}) == len(once)


def test_questions_are_those_of_our_regions() -> None:
    """Listed twice, by code that shares nothing: every point of a ladder; membership elsewhere."""
    kinds = set()
    for file in drawn():
        question = file.question
        kinds.add((question.region.kind, question.every))
        if isinstance(question.region, Ladder):
            rungs = rung_set(question.region, question.image)
            ours = rungs.images(rungs.knapsack.masks(0, rungs.count))
            assert {row.tobytes() for row in ours} == {row.tobytes() for row in question.points}
        else:
            around = ball_set(question.region, question.image)
            assert all(around.contains(point) for point in question.points)
        assert np.array_equal(question.points[0], file.question.points[0])
    assert {"ladder", "lattice", "linf"} <= {kind for kind, _ in kinds}
    assert {True, False} == {every for _, every in kinds}


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_unedited_files_are_read_rightly(kind: str, tmp_path: Path) -> None:
    modelled = 0
    for turn, file in enumerate(files(kind, 20, only=())):
        report = judged(file, tmp_path, turn)
        assert not report.complaints
        modelled += report.counts["modelled"]
    assert modelled >= 10


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_every_edit_gives_files_that_a_runtime_takes(kind: str) -> None:
    """Those that no runtime here takes are kept because another version may."""
    never = {"weights format"}
    names = list(load(FORMATS[kind][1]))
    for name in [name for name in names if name not in never and not name.startswith("odd")]:
        numbers = iter(range(60))
        assert any(
            file.edits == (name,)
            for number in numbers
            for file in files(kind, 1, number, only=(name,))
        ), name


# Edits after which a tensor's bytes, or its shape, are no longer those that the draft made.
UNUSUAL = ("sparse", "shared", "rows", "bias of two dimensions", "dequantised weights")


@pytest.mark.parametrize("before", UNUSUAL)
def test_every_edit_can_be_asked_for_after_an_unusual_one(before: str) -> None:
    """It applies, or says that it does not; the bytes can be written."""
    drafted, edits = (load(target) for target in FORMATS["tflite"])
    applied = 0
    for name, seed in product(edits, range(12)):
        rng = np.random.default_rng(seed)
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        inputs = int(np.prod(shape))
        seen = rng.random((8, inputs), dtype=np.float32)
        with np.errstate(all="ignore"):  # edits overflow on purpose
            made = drafted(rng, random_weights(rng, inputs, 3), shape, seen, 1 / 255)
            made.coarse = 2.0
            applied += edits[before][0](made, rng) and edits[name][0](made, rng)
            made.lift(0, 0.5, last=True)
            assert made.data()[4:8] == b"TFL3"
    assert applied > len(edits)


@cache
def drawn() -> list[Edited]:
    """ONNX files without edits."""
    return files("onnx", 60, only=())


def another(file: Edited) -> Edited:
    """The same question about a file whose needle, or whose label, is elsewhere."""
    return next(o for o in drawn()[14:] if (o.shape, o.classes) == (file.shape, file.classes))


def test_a_model_of_another_file_is_found(tmp_path: Path) -> None:
    """The fault that the campaign is for: what relrob reads is not what runs. Where both give the
    same labels, nothing is wrong."""
    differ = 0
    for turn, file in enumerate(file for file in drawn()[:14] if file.question.every):
        other = another(file)
        rows = alone.outputs(
            alone.opened(other.runtime, other.data, other.suffix), file.question.points
        )
        if (alone.labels(rows) == file.said).all():
            continue
        differ += 1
        assert judged(replace(file, data=other.data), tmp_path, turn).complaints
    assert differ > 3


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Change what `classify` says of ladders."""

    def changed(*given: Any) -> Any:
        result = classify(*given)
        return replace(result, record=change(result.record))

    monkeypatch.setattr(referee, "classify", changed)


def ladder(wrong: bool) -> tuple[Edited, int]:
    """A file with wrong points on a ladder or none, its clean image right."""
    for file in drawn():
        if (
            isinstance(file.question.region, Ladder)
            and file.wrong.any() == wrong
            and not file.wrong[0]
        ):
            return file, 0
    raise AssertionError("no such file")


@pytest.mark.parametrize(
    ("wrong", "change", "word"),
    [
        (True, {"reference_verdict": "ROBUST"}, "points are wrong"),
        (False, {"reference_verdict": "NOT_ROBUST"}, "no point is wrong"),
        (
            True,
            {"reference_effective": 0, "reference_verdict": "NOT_ROBUST"},
            "effective perturbations, not",
        ),
        (True, {"points": 7_777}, "7777 points, not"),
        (
            True,
            {
                "reference_verdict": "UNKNOWN",
                "reason": "reference: the solver stopped with an error",
            },
            "stopped",
        ),
    ],
)
def test_false_answers_are_found(
    wrong: bool, change: dict[str, Any], word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, turn = ladder(wrong)
    assert not judged(file, tmp_path, turn).complaints
    planted(monkeypatch, lambda record: replace(record, **change))
    assert any(word in each for each in judged(file, tmp_path, turn).complaints)


def test_a_certificate_that_proves_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A checker that says valid of everything, and one that refuses everything."""
    good, turn = ladder(False)
    bad, _ = ladder(True)

    def one_kind(valid: bool) -> None:
        report = SimpleNamespace(
            status="valid" if valid else "invalid", valid=valid, failure="" if valid else "planted"
        )
        monkeypatch.setattr(referee, "check", lambda *given, **more: report)

    certificates: list[tuple[str, bytes]] = []
    real = classify

    def with_certificates(*given: Any) -> Any:
        result = real(*given)
        certificates.extend(result.certificates)
        return replace(result, certificates=tuple(certificates[:1]))

    monkeypatch.setattr(referee, "classify", with_certificates)
    one_kind(False)
    assert any(
        "refuses relrob's certificate" in each for each in judged(good, tmp_path, turn).complaints
    )
    one_kind(True)
    assert certificates
    assert any(
        "calls a certificate valid" in each for each in judged(bad, tmp_path, turn).complaints
    )


def test_a_log_adds_up_and_says_what_was_counted_twice(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = []
    for number, line in run(2, ("onnx",), 0, 6):
        lines.append(line)
        append(log, {"seed": 2, "formats": ["onnx"], "first": number, "files": 1}, one_tally(line))
    found, twice = total(log)
    assert found.counts["onnx: made"] == 6
    assert found.counts["onnx: accepted"] + found.counts["onnx: refused by its runtime"] == 6
    assert found.counts == sum((one_tally(line).counts for line in lines), start=Tally().counts)
    assert not twice
    append(log, {"seed": 2, "formats": ["onnx"], "first": 3, "files": 1}, Tally())
    assert total(log)[1] == ["seed 2, onnx, from 3"]


def one_tally(line: dict[str, Any]) -> Tally:
    """The tally of one file."""
    tally = Tally()
    tally.add(line)
    return tally


@pytest.mark.parametrize(
    ("stage", "count"), [("runtime", "refused by its runtime: it died"), ("relrob", "accepted")]
)
def test_a_native_death_is_put_down_to_its_file(
    stage: str, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = campaign.one

    def dies(seed: int, kind: str, number: int, folder: Path, tell: Any = None) -> dict[str, Any]:
        if number == 2:
            if stage == "relrob":
                tell("relrob")
            os.kill(os.getpid(), signal.SIGKILL)
        return real(seed, kind, number, folder, tell)

    monkeypatch.setattr(campaign, "one", dies)
    found = dict(run(2, ("onnx",), 0, 5))
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[2]["counts"] == {"onnx: made": 1, f"onnx: {count}": 1}
    assert bool(found[2]["contradictions"]) == (stage == "relrob")


def test_an_endless_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PATIENCE", 2.0)
    monkeypatch.setattr(campaign, "one", lambda *given: signal.pause())
    (number, line), *rest = run(2, ("onnx",), 7, 1)
    assert (number, rest) == (7, [])
    assert line["counts"]["onnx: refused by its runtime: it gave no answer"] == 1


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.jsonl"
    assert main(["--files", "4", "--format", "onnx", "--seed", "2", "--log", str(log)]) in (0, 1)
    assert json.loads(log.read_text().splitlines()[0])["files"] == 4
    assert "onnx: made" in capsys.readouterr().out
    shown = tmp_path / "shown"
    main(["--show", "1", "--format", "onnx", "--seed", "2", "--out", str(shown)])
    assert {"README", "file.onnx", "data.npz", "points.npz", "plain.onnx"} <= {
        path.name for path in shown.iterdir()
    }
    assert main(["--files", "1", "--format", "pdf"]) == 2


def test_outputs_that_are_infinite_have_no_certificate(tmp_path: Path) -> None:
    """0.5 over outputs of 0: onnxruntime says the first label, and so does relrob; a margin is no
    number."""
    file = edited(1, "onnx", 103)
    assert np.isinf(file.rows).any()
    report = judged(file, tmp_path, 16)
    assert not report.complaints
    assert report.counts["verdict ROBUST, black box"] == 2
    assert not any(key.startswith("check") for key in report.counts)


def test_sums_that_cancel_are_told_from_sums_that_do_not() -> None:
    """With weights of 10^12 that cancel, another order of summation may lose a margin; with weights
    of 1 it may not."""
    file = next(
        file
        for file in drawn()
        if np.isfinite(file.margins).all() and (np.abs(file.margins) > 1e-3).all()
    )
    inputs, classes = file.question.points.shape[1], file.classes
    for size, lost in ((1e12, True), (1.0, False)):
        turns = np.where(np.arange(inputs)[:, None] % 2, size, -size)
        hidden = Layer(np.repeat(turns, 2, axis=1), np.zeros(2, np.float32), relu=True)
        dense = Dense(
            (
                hidden,
                Layer(np.ones((2, classes), np.float32), np.zeros(classes, np.float32), relu=False),
            )
        )
        assert referee.doubtful(dense, file).any() == lost
