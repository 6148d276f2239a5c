"""Finished stages of a study on the disk.

stages/DIGEST/ holds the files of a stage. Its stage.json is written last, and has the digest of
each of them, of the stage's options, and of the stages that it came from. A folder without it is
work that was not finished. A stage counts only with the very inputs that it read: where one of
these was made anew with another result, on another machine say, it is to be made again. Files of a
finished stage may be missing: its rows count, and it is made again when a stage reads the file.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from relrob.domain.stage import Stage
from relrob.errors import StoreError
from relrob.store.stage_document import (
    DOCUMENT,
    REMEDY,
    Finished,
    Row,
    is_plain,
    stage_of,
    text_of,
)
from relrob.system.files import disk_errors, sha256_file, write_atomic
from relrob.system.json_file import read_text

FOLDER: Final = "stages"


def folder_of(directory: Path, digest: str) -> Path:
    """The folder of a stage in a study's directory."""
    return directory / FOLDER / digest


def begun(directory: Path, digest: str) -> Path:
    """The folder of a stage that is to be made, which may hold what a killed job left there; what a
    finished stage of other inputs left is removed. Raises StoreError."""
    folder = folder_of(directory, digest)
    with disk_errors(folder):
        if (folder / DOCUMENT).exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(
    directory: Path, stage: Stage, rows: list[Row], seconds: float, made: Mapping[str, str]
) -> Finished:
    """Finish a stage whose files lie in its folder: write stage.json. Raises StoreError."""
    folder = folder_of(directory, stage.digest)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            path.name: sha256_file(path)
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name != DOCUMENT and is_plain(path.name)
        }
    inputs = {role: document(directory, digest) for role, digest in stage.links.items()}
    done = Finished(
        stage.kind,
        stage.options,
        stage.links,
        tuple(rows),
        files,
        {role: each.result for role, each in inputs.items() if each is not None},
        dict(made),
        round(seconds, 2),
    )
    write_atomic(folder / DOCUMENT, text_of(done))
    return done


def document(directory: Path, digest: str) -> Finished | None:
    """What the stage.json of a stage says, None where there is none. Raises StoreError where it is
    damaged."""
    path = folder_of(directory, digest) / DOCUMENT
    if not path.is_file():
        return None
    text = read_text(path, f"a {DOCUMENT} that relrob wrote", REMEDY)
    done = stage_of(text, str(path))
    if done.digest != digest:
        raise StoreError(
            f"{path} is of another stage", hint=f"delete {path.parent}: it is made again"
        )
    return done


def missing(directory: Path, done: Finished) -> tuple[str, ...]:
    """The files of a finished stage that are not there, as those that an export left out."""
    folder = folder_of(directory, done.digest)
    return tuple(name for name in done.files if not (folder / name).is_file())


def finished(directory: Path, digest: str) -> Finished | None:
    """A finished stage, None where it is to be made: it has no stage.json, or read an input whose
    result is another now. An input that is not there, as on a worker of a cluster, is not looked
    at. Raises StoreError as `document` does."""
    done = document(directory, digest)
    if done is None:
        return None
    for role, result in done.read.items():
        now = document(directory, done.inputs[role])
        if now is not None and now.result != result:
            return None
    return done


def checked_file(directory: Path, done: Finished, name: str) -> Path:
    """The path of a file of a finished stage, whose bytes are those that the stage wrote. Raises
    StoreError."""
    path = folder_of(directory, done.digest) / name
    if not path.is_file():
        raise StoreError(f"{path} is gone", hint="run the study again: the stage is made again")
    with disk_errors(path, "read"):
        same = sha256_file(path) == done.files[name]
    if not same:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is not the one of its stage",
            hint=f"delete {path.parent}: it is made again",
        )
    return path


def every(directory: Path) -> dict[str, Finished]:
    """All finished stages of a study's directory, by digest, in the order of the digests."""
    folder = directory / FOLDER
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = {name: finished(directory, name) for name in names}
    return {name: done for name, done in found.items() if done is not None}
