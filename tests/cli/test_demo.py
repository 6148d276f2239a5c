"""`relrob demo`: what it says is what it computed; it leaves nothing behind, and needs no
network."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

import relrob
from relrob.api.demo import FINE, IMAGE, WIDE, Tour, steps
from relrob.cli.main import group
from relrob.errors import UsageError
from tests.cli.test_examples import parsed


def refused(*_: Any, **__: Any) -> None:
    """In place of a connection."""
    raise AssertionError("the tour opens a connection")


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    """The tour, without a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        return relrob.demo(tmp_path_factory.mktemp("demo") / "tour")


def test_claims_are_those_of_the_runs(tour: Tour) -> None:
    assert tour.directory is not None
    told = {step.title: " ".join(step.sentences) for step in tour.steps}
    for name, title, numbers in (("witness", "A witness", WIDE), ("proof", "A proof", FINE)):
        found = relrob.explain(tour.directory / name, IMAGE)
        assert found.headline in told[title]
        assert str(numbers[0]) in told["What it means"]
    points = relrob.explain(tour.directory / "witness", IMAGE).record.points
    assert f"{points:,} images" in told["Its ladder"]
    proof = relrob.explain(tour.directory / "proof", IMAGE).record
    assert (proof.reference_verdict, proof.quantised_verdict) == ("ROBUST", "ROBUST")
    assert proof.proved > 0 and f"{proof.proved:,} of them are proved" in told["A proof"]
    assert told["Its certificate"].count(" valid, ") == 2
    for step in tour.steps:
        if step.command:
            parsed(step.command)
        assert all(len(line) <= 80 for line in step.picture.splitlines())


def test_a_directory_with_files_is_refused(tour: Tour) -> None:
    with pytest.raises(UsageError, match="has files"):
        relrob.demo(tour.directory)


def test_a_temporary_tour_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shown = steps(None, 40)
    first = next(shown)
    assert first.title == "An image" and list(tmp_path.glob("relrob-demo-*"))
    shown.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("relrob-demo-*"))


def test_the_command_prints_json(
    tour: Tour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("relrob.api.demo.demo", lambda out: tour)
    group.main(args=["demo", "--json"], prog_name="relrob", standalone_mode=False)
    assert len(json.loads(capsys.readouterr().out)["steps"]) == 6
    monkeypatch.setattr("relrob.api.demo.steps", lambda out, width: iter(tour.steps))
    group.main(args=["demo"], prog_name="relrob", standalone_mode=False)
    told = capsys.readouterr().out
    assert told.startswith("1. An image\n") and "6. What it means" in told
