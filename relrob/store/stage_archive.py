"""Finished stages of a study as one .zip, which carries them to another machine."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from relrob.errors import RelrobError, StoreError
from relrob.store.stage_directory import (
    FOLDER,
    checked_file,
    document,
    every,
    folder_of,
    missing,
)
from relrob.store.stage_document import DOCUMENT, Finished, is_digest, is_plain, stage_of, text_of
from relrob.system.files import (
    atomic_path,
    check_writable,
    disk_errors,
    open_regular,
    sha256_bytes,
    write_atomic,
)

# The most bytes of one file of a stage, of one JSON file, and of all JSON files together. The 679
# stages of reports/zhao2018 have 1,267 bytes of stage.json at most and 11,534 of cdf.json.
LARGEST: Final = 1 << 30
_MOST_TEXT: Final = 1 << 22
_ALL_TEXT: Final = 1 << 26
# The most bytes of JSON that one packed byte may stand for; those stages have 9 at most.
_RATIO: Final = 100
_CLOCK: Final = (1980, 1, 1, 0, 0, 0)


def pack(
    directory: Path,
    output: Path,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> int:
    """Write finished stages, all or those of these digests, as one .zip; returns their number. The
    same stages give the same bytes. `without`: names of files that are left out, as are those that
    the directory lacks.

    Raises StoreError where a file is not the one that its stage wrote.
    """
    stages = {
        digest: done for digest, done in every(directory).items() if only is None or digest in only
    }
    if not stages:
        raise StoreError(f"{directory} has no finished stages", "a study of stages that was run")
    with atomic_path(output) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for digest, done in stages.items():
            _write(archive, f"{digest}/{DOCUMENT}", text_of(done).encode())
            left_out = {*without, *missing(directory, done)}
            for name in (name for name in done.files if name not in left_out):
                data = checked_file(directory, done, name).read_bytes()
                _write(archive, f"{digest}/{name}", data)
    return len(stages)


def unpack(source: Path, directory: Path) -> tuple[int, int]:
    """Add the stages of a .zip that `pack` wrote to a study's directory: (added, there already).

    A stage that is there already gets the files that it lacks. Every digest is checked before a
    stage counts. Raises StoreError for a damaged file, and before
    anything is added where a stage is there already with another result, or one was made from
    another result than the directory has. Stages added until an error stay.
    """
    try:
        with (
            disk_errors(source, "read"),
            open_regular(source) as file,
            zipfile.ZipFile(file) as archive,
        ):
            sizes = _members(archive, source)
            stages = {digest: _stage(archive, source, digest, sizes[digest]) for digest in sizes}
            there = {digest for digest in stages if document(directory, digest) is not None}
            _refuse_others(source, directory, stages)
            room = sum(
                sum(names.values()) for digest, names in sizes.items() if digest not in there
            )
            check_writable(directory / FOLDER / "stage", max(room, 1 << 16))
            for digest, done in stages.items():
                _add(archive, source, directory, done, sizes[digest], digest in there)
    except (RelrobError, MemoryError):
        raise
    # zipfile and zlib raise errors of many classes on a damaged file.
    except Exception as error:
        raise StoreError(
            f"{source} is damaged ({error})", "a .zip that relrob study export wrote"
        ) from error
    return len(stages) - len(there), len(there)


def _members(archive: zipfile.ZipFile, source: Path) -> dict[str, dict[str, int]]:
    """Digest to the names of its files and their sizes. Raises StoreError for any other name."""
    found: dict[str, dict[str, int]] = {}
    left = _ALL_TEXT
    for info in archive.infolist():
        digest, _, name = info.filename.partition("/")
        if not is_digest(digest) or not is_plain(name) or name in found.get(digest, {}):
            raise StoreError(f"{source} holds {info.filename!r}", "files of stages, DIGEST/NAME")
        text = name.endswith(".json")
        most = min(_MOST_TEXT, _RATIO * info.compress_size) if text else LARGEST
        left -= info.file_size if text else 0
        if info.file_size > most:
            packed = f", packed in {info.compress_size:,}" if text else ""
            raise StoreError(
                f"{source}: {info.filename} has {info.file_size:,} bytes{packed}",
                f"{most:,} at most",
            )
        if left < 0:
            raise StoreError(
                f"{source} has more than {_ALL_TEXT:,} bytes of JSON",
                "fewer stages in one file",
                "relrob study export --only GROUP",
            )
        found.setdefault(digest, {})[name] = info.file_size
    return found


def _stage(archive: zipfile.ZipFile, source: Path, digest: str, names: Collection[str]) -> Finished:
    """The document of one stage, which names its files; some may be left out. Raises StoreError."""
    if DOCUMENT not in names:
        raise StoreError(f"{source}: stage {digest[:12]} has no {DOCUMENT}", "a whole file")
    text = _bytes(archive, f"{digest}/{DOCUMENT}").decode("utf-8", "replace")
    done = stage_of(text, f"{source}: {digest[:12]}")
    if done.digest != digest or not {*names} <= {*done.files, DOCUMENT}:
        raise StoreError(
            f"{source}: stage {digest[:12]} is not what its name says", "a file as it was exported"
        )
    return done


def _refuse_others(source: Path, directory: Path, stages: dict[str, Finished]) -> None:
    """Raise StoreError for stages that do not belong to those of the directory: the same training
    on two machines makes two networks, whose attacks must not be mixed."""
    for digest, done in stages.items():
        mine = document(directory, digest)
        others: list[tuple[str, str, Finished | None]] = []
        if mine is not None:
            others.append((digest, done.result, mine))
        others += [
            (link, done.read[role], stages.get(link) or document(directory, link))
            for role, link in done.inputs.items()
            if role in done.read
        ]
        for name, result, known in others:
            if known is not None and known.result != result:
                raise StoreError(
                    f"{source} and {directory} have two results of stage {name[:12]} "
                    f"({known.kind}), as two machines make them",
                    "stages of one machine",
                    "another --out",
                )


def _add(
    archive: zipfile.ZipFile,
    source: Path,
    directory: Path,
    done: Finished,
    names: Collection[str],
    there: bool,
) -> None:
    """One stage: the files `names`, then its document; of one that is `there`, the files that it
    lacks."""
    folder = folder_of(directory, done.digest)
    if not there:
        with disk_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for name in missing(directory, done):
        if name not in names:
            continue
        data = _bytes(archive, f"{done.digest}/{name}")
        if sha256_bytes(data) != done.files[name]:
            raise StoreError(
                f"{source}: {name} of stage {done.digest[:12]} is damaged",
                "a file as it was exported",
            )
        write_atomic(folder / name, data)
    if not there:
        write_atomic(folder / DOCUMENT, text_of(done))


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member, of which no more is unpacked than the directory of the archive says: `read` of the
    whole unpacks all that there is before it looks."""
    info = archive.getinfo(name)
    with archive.open(info) as file:
        return file.read(info.file_size)


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_CLOCK)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)
