"""Fetch a data set from its publisher, or from files that the user downloaded. Every file is
checked before it gets its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from relrob.domain.events import Event, Listener, silent
from relrob.errors import ChecksumError, DatasetError
from relrob.registry import load
from relrob.system import files
from relrob_datasets import manifest as manifests
from relrob_datasets.integrity import check_file, reading
from relrob_datasets.manifest import File, Manifest


def folder_of(manifest: Manifest) -> Path:
    """The folder of the files of a data set: in the package, or in the user's cache directory."""
    return manifest.embedded or files.cache_dir() / "datasets" / manifest.name


def fetch(
    name: str | Manifest, listener: Listener = silent, *, from_path: Path | None = None
) -> Path:
    """Get every official file of a data set, or those in a folder or file of the user's
    (`from_path`); returns their folder.

    Whole files that are there are kept. `listener` gets events of the stage "download", in bytes.
    The cost is the published sizes. Raises DatasetError (unknown name, no connection, nothing
    usable at `from_path`) and ChecksumError; no file is left half-written.
    """
    manifest = name if isinstance(name, Manifest) else manifests.find(name)
    if manifest is None:
        raise DatasetError(f"no data set {name!r} to fetch", manifests.NAMES)
    folder = folder_of(manifest)
    if manifest.embedded:
        listener(Event("note", f"{manifest.name} is part of relrob; there is nothing to fetch"))
    elif from_path is None:
        for file in manifest.forms[0].files:
            if not _whole(folder / file.name, file):
                _download(manifest, file, folder / file.name, listener)
    else:
        for path, file in _found(manifest, from_path):
            _copy(path, file, folder / file.name, listener)
    return folder


def _whole(path: Path, file: File) -> bool:
    """True where the file is there with the right bytes."""
    try:
        check_file(path, file)
    except DatasetError:
        return False
    return True


def _found(manifest: Manifest, source: Path) -> list[tuple[Path, File]]:
    """(path, official file) in a folder or one level below, or of one file; all are checked."""
    known = [file for form in manifest.forms for file in form.files]
    if source.is_file():
        file = next((file for file in known if file.name == source.name), None)
        file = file or next((file for file in known if _whole(source, file)), None)
        if file is None:
            raise ChecksumError(
                f"{source} is no file of {manifest.name}", ", ".join(file.name for file in known)
            )
        check_file(source, file)
        return [(source, file)]
    if not source.is_dir():
        raise DatasetError(
            f"{source} does not exist",
            f"a folder or file with the official files of {manifest.name}",
        )
    with reading(source):
        places = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    pairs = [
        (place / file.name, file)
        for file in known
        for place in places
        if (place / file.name).is_file()
    ]
    if not pairs:
        raise DatasetError(
            f"{source} has no file of {manifest.name}", ", ".join(file.name for file in known)
        )
    for path, file in pairs:
        check_file(path, file)
    return pairs


def _copy(path: Path, file: File, target: Path, listener: Listener) -> None:
    """Copy a checked file into place, and check the copy."""
    if path.resolve() == target.resolve():
        return
    with files.atomic_path(target) as temporary:
        with reading(path):
            size = path.stat().st_size
        listener(Event("download", file.name, 0, size))
        shutil.copyfile(path, temporary)
        check_file(temporary, file)
    listener(Event("download", file.name, size, size))


def _download(manifest: Manifest, file: File, target: Path, listener: Listener) -> None:
    """Try each address in turn. Raises the last failure."""
    failure = DatasetError(f"{manifest.name} has no address to fetch {file.name} from")
    for base in manifest.urls:
        url = base + file.name
        try:
            with files.atomic_path(target) as temporary:
                _receive(url, file, temporary, listener)
                check_file(temporary, file)
            return
        except ChecksumError as fault:
            failure = ChecksumError(f"{url} is not the published file: {fault}")
        except DatasetError as fault:
            failure = DatasetError(
                f"cannot fetch {url}: {fault}",
                hint="get the file in another way, "
                f"then relrob datasets get {manifest.name} --from PATH",
            )
    raise failure


def _receive(url: str, file: File, target: Path, listener: Listener) -> None:
    """Write the body to `target`. Raises DatasetError for more or fewer bytes than announced."""
    done = total = 0
    blocks: Callable[[str], Iterator[tuple[bytes, int]]] = load("relrob_datasets.download:blocks")
    with target.open("wb") as output:
        for block, announced in blocks(url):
            done, total = done + len(block), announced or file.size
            if total and done > total:
                break
            output.write(block)
            listener(Event("download", file.name, done, total))
    if total and done != total:
        raise DatasetError(
            f"the connection gave {'more than ' * (done > total)}{min(done, total)} bytes "
            f"of {total}"
        )
    if not done:
        raise DatasetError("the answer is empty")
