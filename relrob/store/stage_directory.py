"""Finished stages of a study on the disk, and as one file that carries them to another machine.

stages/DIGEST/ holds the files of a stage. Its stage.json is written last, and has the digest of
each of them, of the stage's options, and of the stages that it came from. A folder without it is
work that was not finished.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from relrob.domain.stage import Stage, canonical, stage_digest
from relrob.errors import StoreError
from relrob.system.files import atomic_path, disk_errors, sha256_bytes, sha256_file, write_atomic

FOLDER: Final = "stages"
DOCUMENT: Final = "stage.json"
_FORMAT: Final = 1
# The most bytes of one file of a stage, and of a stage.json.
LARGEST: Final = 1 << 30
_MOST_TEXT: Final = 1 << 26
_CLOCK: Final = (1980, 1, 1, 0, 0, 0)

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished stage: what decided it, its `rows` of results, and the SHA-256 of its `files`.

    `made`: the version of relrob, and of the tools that decide numbers. `seconds`: what it took.
    """

    kind: str
    options: dict[str, Any]
    inputs: dict[str, str]
    rows: tuple[Row, ...]
    files: dict[str, str]
    made: dict[str, str]
    seconds: float

    @property
    def digest(self) -> str:
        """Of kind, options and inputs: the folder's name."""
        return stage_digest(self.kind, self.options, self.inputs)


def folder_of(directory: Path, digest: str) -> Path:
    """The folder of a stage in a study's directory."""
    return directory / FOLDER / digest


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
            if path.is_file() and path.name != DOCUMENT
        }
    done = Finished(
        stage.kind, stage.options, stage.links, tuple(rows), files, dict(made), round(seconds, 2)
    )
    write_atomic(folder / DOCUMENT, _text(done))
    return done


def finished(directory: Path, digest: str) -> Finished | None:
    """A finished stage, None where it is not. Raises StoreError where its stage.json is damaged, or
    a file of it is gone."""
    path = folder_of(directory, digest) / DOCUMENT
    if not path.is_file():
        return None
    with disk_errors(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    done = _read(text, str(path))
    if done.digest != digest:
        raise StoreError(
            f"{path} is of another stage", hint=f"delete {path.parent}: it is made again"
        )
    for name in done.files:
        if not (path.parent / name).is_file():
            raise StoreError(
                f"{path.parent / name} is gone", hint=f"delete {path.parent}: it is made again"
            )
    return done


def checked_file(directory: Path, done: Finished, name: str) -> Path:
    """The path of a file of a finished stage, whose bytes are those that the stage wrote. Raises
    StoreError."""
    path = folder_of(directory, done.digest) / name
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


def pack(directory: Path, output: Path, only: Collection[str] | None = None) -> int:
    """Write finished stages, all or those of these digests, as one .zip; returns their number. The
    same stages give the same bytes.

    Raises StoreError where a file is not the one that its stage wrote.
    """
    stages = {
        digest: done for digest, done in every(directory).items() if only is None or digest in only
    }
    if not stages:
        raise StoreError(f"{directory} has no finished stages", "a study of stages that was run")
    with atomic_path(output) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for digest, done in stages.items():
            _write(archive, f"{digest}/{DOCUMENT}", _text(done).encode())
            for name in done.files:
                data = checked_file(directory, done, name).read_bytes()
                _write(archive, f"{digest}/{name}", data)
    return len(stages)


def unpack(source: Path, directory: Path) -> tuple[int, int]:
    """Add the stages of a .zip that `pack` wrote to a study's directory: (added, there already).

    Every digest is checked before a stage counts. Raises StoreError for a damaged file; stages
    added until then stay.
    """
    added = there = 0
    try:
        with disk_errors(source, "read"), zipfile.ZipFile(source) as archive:
            members = _members(archive, source)
            for digest, names in members.items():
                if finished(directory, digest) is not None:
                    there += 1
                    continue
                _add(archive, source, directory, digest, names)
                added += 1
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise StoreError(
            f"{source} is damaged ({error})", "a .zip that relrob study export wrote"
        ) from error
    return added, there


def _members(archive: zipfile.ZipFile, source: Path) -> dict[str, list[str]]:
    """Digest to the names of its files. Raises StoreError for any other name."""
    found: dict[str, list[str]] = {}
    for info in archive.infolist():
        digest, mark, name = info.filename.partition("/")
        plain = mark and name and "/" not in name and "\\" not in name and not name.startswith(".")
        if not plain or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise StoreError(f"{source} holds {info.filename!r}", "files of stages, DIGEST/NAME")
        if info.file_size > (_MOST_TEXT if name == DOCUMENT else LARGEST):
            raise StoreError(
                f"{source}: {info.filename} has {info.file_size:,} bytes", f"{LARGEST:,} at most"
            )
        found.setdefault(digest, []).append(name)
    return found


def _add(
    archive: zipfile.ZipFile, source: Path, directory: Path, digest: str, names: Collection[str]
) -> None:
    """One stage: its files, then its document."""
    if DOCUMENT not in names:
        raise StoreError(f"{source}: stage {digest[:12]} has no {DOCUMENT}", "a whole file")
    text = archive.read(f"{digest}/{DOCUMENT}").decode("utf-8", "replace")
    done = _read(text, f"{source}: {digest[:12]}")
    if done.digest != digest or {*done.files, DOCUMENT} != {*names}:
        raise StoreError(
            f"{source}: stage {digest[:12]} is not what its name says", "a file as it was exported"
        )
    folder = folder_of(directory, digest)
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for name, sha256 in done.files.items():
            data = archive.read(f"{digest}/{name}")
            if sha256_bytes(data) != sha256:
                raise StoreError(
                    f"{source}: {name} of stage {digest[:12]} is damaged",
                    "a file as it was exported",
                )
            write_atomic(folder / name, data)
    write_atomic(folder / DOCUMENT, _text(done))


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_CLOCK)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _text(done: Finished) -> str:
    """stage.json, sealed by the digest of all that it says."""
    body = {"format": _FORMAT, **asdict(done)}
    seal = sha256_bytes(canonical(body).encode())
    return json.dumps({**body, "seal": seal}, indent=1, allow_nan=False) + "\n"


def _read(text: str, where: str) -> Finished:
    """The stage of a stage.json. Raises StoreError."""
    problem: Exception | None = None
    try:
        document = json.loads(text)
        seal = document.pop("seal")
        if document["format"] == _FORMAT and sha256_bytes(canonical(document).encode()) == seal:
            del document["format"]
            return Finished(**{**document, "rows": tuple(document["rows"])})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = error
    raise StoreError(
        f"{where} is damaged",
        f"a {DOCUMENT} that relrob wrote",
        "delete its folder: it is made again",
    ) from problem
