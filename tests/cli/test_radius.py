"""`relrob radius` as a user types it: the table, its files, resuming, bad input."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import relrob
from relrob.api.study import table_text
from relrob.domain.events import Event
from relrob.errors import RelrobError, StoreError, UsageError
from relrob.store.radius_directory import FILE, RadiusStore
from tests.cli_case import Case, environment, relrob_command


def options(case: Case, out: Path, **more: Any) -> dict[str, Any]:
    given = {
        "dataset": str(case.data),
        "images": "0:4",
        "max_radius": "1/10",
        "precision": "1/255",
        "time_limit": 600,
        "out": out,
    }
    return {**given, **more}


def test_the_command_writes_a_table_and_its_files(case: Case, tmp_path: Path) -> None:
    typed = [
        *("radius", str(case.reference), str(case.simulated), "--dataset", str(case.data)),
        *("--images", "0:4", "--max-radius", "1/10", "--precision", "1/255", "--workers", "1"),
        *("--time-limit", "600", "--attacks", "pgd:steps=5"),
    ]
    ran = relrob_command([*typed, "--out", "radii"], tmp_path)
    assert "image  label  reference" in ran.stdout and "Directory: radii" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 100
    again = relrob_command([*typed, "--out", "radii", "--json"], tmp_path)
    document = json.loads(again.stdout)
    assert document == json.loads((tmp_path / "radii" / "radius.json").read_text())
    assert document["L_cc"] + document["L_ic"] == document["images"] == 4
    assert sum(document["compared"].values()) == document["L_cc"]
    assert document["attacks"]["each"] == ["pgd:steps=5"]
    with (tmp_path / "radii" / "radius.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == [0, 1, 2, 3]
    for row, record in zip(rows, document["records"], strict=True):
        for name in ("reference", "quantised"):
            found = record[name]
            if found is None:
                assert row[f"{name}_proved"] == row[f"{name}_broken"] == ""
                continue
            assert float(row[f"{name}_proved"]) == found["proved"]
            exact = Fraction(found["exact"]["proved"])
            assert Fraction(found["proved"]) <= exact and (exact * 255).denominator == 1
    names = {path.name for path in (tmp_path / "radii").iterdir()}
    assert {
        "radius.json",
        "radius.csv",
        "radius.md",
        "radius.svg",
        "radius.pdf",
        "report.html",
        FILE,
    } <= names


def test_python_gives_values_and_an_interrupted_search_goes_on(case: Case, tmp_path: Path) -> None:
    seen: list[str] = []

    def interrupts(event: Event) -> None:
        seen.append(event.text)
        if event.stage == "images" and event.done == 2:
            raise KeyboardInterrupt

    pair = (case.reference, case.simulated)
    with pytest.raises(KeyboardInterrupt):
        relrob.radius(*pair, **options(case, tmp_path / "a"), listener=interrupts)
    notes: list[str] = []
    result = relrob.radius(
        *pair,
        **options(case, tmp_path / "a"),
        listener=lambda event: notes.append(event.text),
    )
    assert "resuming: 2 of 4 images are done already" in notes
    whole = relrob.radius(*pair, **options(case, tmp_path / "b"))
    assert result.records == whole.records
    assert result.json()["run"] == whole.json()["run"]
    assert [record.index for record in result.records] == [0, 1, 2, 3]


def test_a_kill_loses_nothing(case: Case, tmp_path: Path) -> None:
    """SIGKILL after an image was stored, three times, then the same command: the same files as of a
    search left in peace."""
    command = [
        *("radius", str(case.reference), str(case.simulated), "--dataset", str(case.data)),
        *("--images", "0:8", "--max-radius", "1/20", "--precision", "1/255", "--workers", "1"),
        *("--time-limit", "600", "--quiet", "--out"),
    ]
    war, kills = tmp_path / "war", 0
    for least in (1, 3, 5):
        process = subprocess.Popen(
            [sys.executable, "-m", "relrob", *command, "war"],
            cwd=tmp_path,
            env=environment(tmp_path),
        )
        while process.poll() is None and stored(war) < least:
            time.sleep(0.01)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        assert stored(war) >= least
    assert kills
    with pytest.raises(RelrobError, match="not finished"):
        table_text([war], "csv")
    relrob_command([*command, "war"], tmp_path)
    relrob_command([*command, "peace"], tmp_path)
    assert table_text([war], "csv").replace("war", "peace") == table_text(
        [tmp_path / "peace"], "csv"
    )
    for path in (tmp_path / "peace").rglob("*"):
        if path.suffix in (".md", ".html", ".svg", ".npz", ".png"):
            other = war / path.relative_to(tmp_path / "peace")
            assert other.read_bytes() == path.read_bytes(), path.name


def stored(directory: Path) -> int:
    """Images in the store; 0 where it is being made."""
    if not (directory / FILE).is_file():
        return 0
    with suppress(StoreError), RadiusStore.read(directory) as store:
        return len(store.records())
    return 0


def test_tables_of_searches_stand_side_by_side(case: Case, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    pair = (case.reference, case.simulated)
    found = relrob.radius(*pair, **options(case, one))
    relrob.radius(*pair, **options(case, two, region="l2", precision="1/10", max_radius="1/2"))
    shown = relrob_command(["table", "one", "two"], tmp_path).stdout
    lines = shown.splitlines()
    assert "| one | L-infinity up to 1/10 | " in shown and "| two | L2 up to 1/2 | " in shown
    assert sum(line.startswith(("| 0 |", "| 3 |")) for line in lines) == 4
    document = json.loads(relrob_command(["table", "one", "--json"], tmp_path).stdout)
    assert document["searches"] == [{"search": "one", **found.json()}]
    rows = list(csv.DictReader(io.StringIO(table_text([one, two], "csv"))))
    own = list(csv.DictReader(io.StringIO((one / "radius.csv").read_text())))
    assert len(rows) == 8
    assert [{**row, "search": ""} for row in rows[:4]] == [
        {"search": "", **{name: value for name, value in line.items() if name != "seconds"}}
        for line in own
    ]
    with pytest.raises(UsageError, match="format"):
        table_text([one], "html")
    study = tmp_path / "run"
    study.mkdir()
    with pytest.raises(UsageError, match="of one kind"):
        table_text([one, study], "csv")


def test_several_workers_give_the_same(case: Case, tmp_path: Path) -> None:
    pair = (case.reference, case.simulated)
    one = relrob.radius(*pair, **options(case, tmp_path / "one", images=[1, 2]))
    two = relrob.radius(*pair, **options(case, tmp_path / "two", images=[1, 2], workers=2))
    assert one.records == two.records


def test_a_ladder_is_decided_exactly(case: Case, tmp_path: Path) -> None:
    given = options(case, tmp_path / "a", region="ladder", step="1/2", features=6, axes=3)
    del given["precision"], given["max_radius"]
    result = relrob.radius(case.reference, case.quantised, **given)
    asked = [record for record in result.records if record.reference is not None]
    assert asked
    for each in asked:
        assert each.reference is not None and each.reference.decided
        assert each.quantised is not None and each.quantised.decided
    assert result.json()["region"]["radius"] == 9.0


def test_files_from_the_store_are_the_same_again(case: Case, tmp_path: Path) -> None:
    pair = (case.reference, case.simulated)
    relrob.radius(*pair, **options(case, tmp_path / "a", images="0:2"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("radius.*")}
    relrob.radius(*pair, **options(case, tmp_path / "a", images="0:2"))
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "a").glob("radius.*")}
    document = json.loads(before["radius.json"])
    rows = list(csv.DictReader(io.StringIO(before["radius.csv"].decode())))
    assert len(rows) == len(document["records"]) == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"region": "l0"}, "ladder, l1, l2, linf"),
        ({"region": "linf-8"}, "ladder, l1, l2, linf"),
        ({"step": "1/2"}, "--step has no effect"),
        ({"region": "ladder", "step": "1/2"}, "--precision has no effect"),
        ({"precision": "2"}, "precision 2"),
        ({"max_radius": 0}, "radius 0"),
        ({"time_limit": 0}, "time limit 0"),
        ({"solver": "nothing"}, "solver 'nothing'"),
        ({"certificates": True}, "certificates"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(
    case: Case, tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(RelrobError) as error:
        relrob.radius(case.reference, case.simulated, **options(case, tmp_path / "a", **more))
    assert told in str(error.value)
    assert not (tmp_path / "a").exists()


def test_another_search_in_the_same_directory_is_refused(case: Case, tmp_path: Path) -> None:
    pair = (case.reference, case.simulated)
    relrob.radius(*pair, **options(case, tmp_path / "a", images="0:1"))
    with pytest.raises(RelrobError, match="precision"):
        relrob.radius(*pair, **options(case, tmp_path / "a", images="0:1", precision="1/100"))
    with RadiusStore.open(tmp_path / "a", relrob_config(tmp_path / "a")) as store:
        assert list(store.records()) == [0]


def relrob_config(directory: Path) -> dict[str, Any]:
    """The configuration that lies in the store."""
    connection = sqlite3.connect(directory / FILE)
    (text,) = connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
    connection.close()
    found: dict[str, Any] = json.loads(text)
    return found
