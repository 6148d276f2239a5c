"""`relrob explain`: the sentences of each kind of verdict, and its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import relrob
from relrob.cli.main import group
from relrob.domain.record import Record, Set, WitnessView
from relrob.domain.verdict import Reason
from relrob.errors import RelrobError
from relrob.report.run.explain import explanation
from relrob.report.run.grounding import REMEDIES, change, reason_of
from relrob.report.run.sketch import picture, sketch
from relrob.store.header import Header
from tests.cli_case import Case

HEADER = Header.of(
    {
        "dataset": {"name": "mnist", "split": "test", "classes": ["nought", "one"]},
        "reference": {"path": "r\x1b[2J.onnx", "runtime": "onnxruntime"},
        "quantised": {"path": "q.tflite", "runtime": "xnnpack", "arithmetic": "integer"},
        "region": {"kind": "ladder", "radius": "3", "step": "1/2", "features": 8, "axes": 3},
        "arithmetic": "float32",
    }
)


def record(**changes: object) -> Record:
    """A robust image, with changes."""
    plain: dict[str, object] = {
        "index": 7,
        "label": 1,
        "reference_label": 1,
        "quantised_label": 1,
        "set": Set.RQFP,
        "reference_verdict": "ROBUST",
        "quantised_verdict": "ROBUST",
        "points": 1000,
        "decided_by": "branch,branch",
        "reference_proved": 900,
        "quantised_proved": 0,
        "evaluated": 1000,
    }
    return Record(**{**plain, **changes})  # type: ignore[arg-type]


def view(network: str = "quantised") -> WitnessView:
    """Two of four pixels changed."""
    before = np.array([0, 0.5, 1, 0], np.float32)
    after = np.array([0.25, 0.5, 0.5, 0], np.float32)
    return WitnessView(7, network, 1, before, after, (2, 2, 1), 1, 0, 0.5, -0.25, "3/4", (0,))


def words(given: Record, *views: WitnessView) -> str:
    """The text on one line."""
    return " ".join(explanation(HEADER, given, views).text(1000).split())


def test_a_proof_and_a_run_of_every_image_are_told_apart() -> None:
    told = words(record())
    assert "900 of them are proved without being run, the other 100 were run" in told
    assert "Every one of them was run." in told
    assert "label 1 one" in told and "branch, complete" in told
    assert "float32 arithmetic, with the sums in any order" in told
    assert "This is about xnnpack" in told


def test_a_search_proves_nothing() -> None:
    told = words(record(decided_by="search,search"))
    assert "Nothing is proved" in told and "is proved," not in told


def test_a_witness_is_told_with_its_pixels() -> None:
    lost = record(set=Set.RFP, quantised_verdict="NOT_ROBUST", quantised_effective=3)
    told = words(lost, view())
    assert "changes 2 of 4 pixels, darker by at most 0.5 and brighter by at most 0.25" in told
    assert "L1 cost 0.75" in told and "label 0 nought, margin -0.25" in told
    assert "3 of the 1,000 images" in told and "lost the robustness" in told
    assert change(view()).json()["cost"] == "3/4"


@pytest.mark.parametrize("reason", Reason)
def test_each_unknown_says_what_it_lacks(reason: Reason) -> None:
    told = words(
        record(set=Set.UNKNOWN, quantised_verdict="UNKNOWN", reason=f"quantised: {reason.value}")
    )
    assert reason.value in told and REMEDIES[reason] in told
    assert "means nothing about the network" in told
    assert "neither as robust nor as lost" in told


def test_reasons_belong_to_their_networks() -> None:
    both = "reference: late; quantised: lost"
    assert (reason_of(both, "reference"), reason_of(both, "quantised")) == ("late", "lost")
    assert reason_of("quantised: lost", "reference") == ""


def test_a_wrong_reference_is_not_asked() -> None:
    told = words(record(set=Set.L_IC, reference_label=0, reference_verdict="", decided_by=""))
    assert "Verdict on" not in told and "robustness around this image is not asked" in told


def test_names_from_files_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in words(record(decided_by="\x1b[2J,\x1b"))


def test_a_sketch_marks_what_changed() -> None:
    drawn = sketch(view(), 80)
    assert drawn.splitlines()[0].split() == ["perturbed", "changed"]
    assert drawn.splitlines()[1].endswith("-.")
    assert sketch(view(), 1) == ""
    assert "\n\nchanged" in sketch(view(), 6)
    assert picture(np.ones((4, 3))) == "@@@\n@@@"


@pytest.fixture(scope="module")
def run(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run."""
    out = tmp_path_factory.mktemp("explained") / "run"
    relrob.verify(
        case.reference,
        case.quantised,
        dataset=str(case.data),
        radius=3,
        step="1/2",
        features=8,
        axes=3,
        images=range(12),
        out=out,
    )
    return out


def test_every_image_of_a_run_is_explained(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    told = [relrob.explain(run, index) for index in range(12)]
    for name in ("R_Q^FP", "L_ic"):
        assert sum(each.record.set == name for each in told) == summary["sets"][name]
    for each in told:
        assert max(map(len, each.text(60).splitlines())) <= 60 or "/" in each.text(60)
        json.dumps(each.json(), allow_nan=False)
        if "NOT_ROBUST" in (each.record.reference_verdict, each.record.quantised_verdict):
            assert each.witnesses and any(name.endswith(".npz") for name in each.files)


def test_the_command_prints_and_writes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fooled = next(i for i in range(12) if relrob.explain(run, i).witnesses)
    words = ["explain", str(run), str(fooled), "--picture", str(tmp_path / "why.png")]
    group.main(args=words, prog_name="relrob", standalone_mode=False)
    told = capsys.readouterr().out
    assert told.startswith(f"Image {fooled} ") and "Witness against" in told
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    group.main(args=[*words[:3], "--json"], prog_name="relrob", standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["image"] == fooled


def test_mistakes_are_one_line(run: Path, tmp_path: Path) -> None:
    robust = next(i for i in range(12) if not relrob.explain(run, i).witnesses)
    for given, image, picture_of, said in (
        (run, 99, None, "does not hold"),
        (run, "four", None, "the index of an image"),
        (run, -1, None, "the index of an image"),
        (tmp_path, 0, None, "not a run directory"),
        (run, robust, tmp_path / "x.png", "no witness"),
        (run, robust, tmp_path / "x.gif", "ends in .png"),
    ):
        with pytest.raises(RelrobError, match=said) as caught:
            relrob.explain(given, image, picture=picture_of)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert not (tmp_path / "x.png").exists()
