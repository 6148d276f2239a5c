"""write_run: every file, the same bytes each time, from the store alone, whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relrob.errors import StoreError
from relrob.report.run import write
from relrob.report.run.write import write_run
from relrob.store.run_directory import Store
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import make_config, make_header, make_result
from tests.support import ROOT

IMAGES = 7


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Summary]:
    """A run directory and its summary."""
    with Store.open(tmp_path / "run", make_config()) as store:
        for index in range(IMAGES):
            store.append(make_result(index))
        summary = summarise(store.records(), make_header(IMAGES), sum(store.seconds().values()))
    return tmp_path / "run", summary


def content(directory: Path) -> dict[str, bytes]:
    """Every file by its relative name."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_directory_holds_what_the_contract_says(run: tuple[Path, Summary]) -> None:
    directory, summary = run
    write_run(directory, summary)
    fooled = ["00001-quantised", "00002-reference", "00003-quantised", "00003-reference"]
    fooled += ["00004-quantised", "00004-reference", "00005-reference"]
    names = {f"witnesses/{name}.{end}" for name in fooled for end in ("npz", "png")}
    assert set(content(directory)) == names | {
        "store.sqlite",
        "summary.json",
        "images.csv",
        "table.md",
    }
    assert json.loads((directory / "summary.json").read_text()) == summary.json()
    assert list(json.loads((directory / "summary.json").read_text())) == list(summary.json())
    assert len((directory / "images.csv").read_text().splitlines()) == IMAGES + 1
    view = make_result(4).witnesses[0]
    with np.load(directory / "witnesses" / "00004-reference.npz", allow_pickle=False) as members:
        assert np.array_equal(members["original"], view.original.reshape(view.shape))
        assert np.array_equal(members["perturbed"], view.perturbed.reshape(view.shape))
        scalars = (
            "label",
            "reference_label",
            "quantised_label",
            "reference_margin",
            "quantised_margin",
            "cost",
        )
        assert [members[name].item() for name in scalars] == [
            getattr(view, name) for name in scalars
        ]
        assert tuple(members["moved"].tolist()) == view.moved


def test_writing_again_touches_nothing_and_mends_what_is_spoilt(
    run: tuple[Path, Summary],
) -> None:
    directory, summary = run
    write_run(directory, summary)
    first = content(directory)
    times = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    write_run(directory, summary)
    assert content(directory) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times
    (directory / "witnesses" / "00001-quantised.png").write_bytes(b"\x89PNG cut short")
    (directory / "images.csv").unlink()
    write_run(directory, summary)
    assert content(directory) == first


def test_a_store_open_for_writing_can_be_written_out(run: tuple[Path, Summary]) -> None:
    directory, summary = run
    with Store.open(directory, make_config()) as store:
        write_run(directory, summary)
        assert len(store.done()) == IMAGES
    assert (directory / "table.md").is_file()


def test_a_failure_leaves_no_half_of_a_file(
    run: tuple[Path, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, summary = run
    (directory / "witnesses").write_text("in the way")
    with pytest.raises(StoreError, match="witnesses"):
        write_run(directory, summary)
    assert set(content(directory)) == {
        "store.sqlite",
        "summary.json",
        "images.csv",
        "table.md",
        "witnesses",
    }

    def no_space(path: Path, data: bytes | str) -> None:
        raise StoreError(f"cannot write {path}: No space left on device")

    (directory / "table.md").unlink()
    monkeypatch.setattr(write, "write_atomic", no_space)
    with pytest.raises(StoreError, match=r"table\.md: No space"):
        write_run(directory, summary)


def test_a_directory_without_a_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a run directory"):
        write_run(tmp_path, summarise([], make_header(0), 0.0))
    assert list(tmp_path.iterdir()) == []


def test_no_picture_library_and_no_terminal_is_imported_until_a_picture_is_drawn() -> None:
    program = (
        "import sys, relrob.report.run.write; "
        "print({'PIL', 'rich', 'tensorflow', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
