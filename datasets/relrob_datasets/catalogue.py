"""Open a data set by its name or its path, check it, and list those that have a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from relrob import registry
from relrob.domain.arrays import Ints, Levels
from relrob.errors import DatasetError
from relrob.system.files import readable
from relrob_datasets import manifest as manifests
from relrob_datasets.dataset import Dataset
from relrob_datasets.fetch import folder_of
from relrob_datasets.integrity import check_file, reading, sha256_of
from relrob_datasets.manifest import Form, Manifest

Reader = Callable[[Sequence[Path], str], tuple[Levels, Ints]]
ACCEPTED = (
    f"{manifests.NAMES}, PATH.npz, a DIRECTORY of pictures, "
    "or the official files of one of the named sets"
)


@dataclass(frozen=True)
class Listing:
    """A data set with a name, as it is listed.

    `state`: "embedded", "on disk" or "to fetch"; `here`: the splits on the disk; `size`: bytes on
    the disk.
    """

    name: str
    title: str
    state: str
    here: tuple[str, ...]
    path: Path
    size: int
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    splits: tuple[tuple[str, int], ...]
    licence: str
    credit: str
    urls: tuple[str, ...]


def load(name_or_path: str, split: str = "test") -> Dataset:
    """The images of a named data set, whose files are checked first, or of a user's .npz, directory
    or official files.

    `split` selects the images of a named set and of official files; other data has no splits, and
    it is recorded as given. Raises DatasetError, ChecksumError.
    """
    manifest = manifests.find(name_or_path)
    return load_known(manifest, split) if manifest else _load_path(name_or_path, split)


def load_known(manifest: Manifest, split: str) -> Dataset:
    """A data set of a manifest, from the package or the cache. Raises DatasetError where it is not
    on this machine."""
    manifest.check_split(split)
    folder = folder_of(manifest)
    form = manifest.form_in(folder, split)
    if form is None:
        raise DatasetError(
            f"data set {manifest.name!r} ({split}) is not on this machine",
            hint=f"relrob datasets get {manifest.name}",
        )
    for file in form.of(split):
        check_file(folder / file.name, file)
    paths = [folder / file.name for file in form.of(split)]
    dataset = _read(form, paths, split, manifest.name, len(manifest.classes))
    if len(dataset) != dict(manifest.splits)[split] or dataset.image_shape != manifest.image_shape:
        raise DatasetError(
            f"{manifest.name} ({split}) has {len(dataset)} images of {dataset.image_shape}",
            "the manifest's",
        )
    return dataset


def catalogue() -> tuple[Listing, ...]:
    """Every data set with a name. The disk is looked at; no file is read."""
    return tuple(_row(manifest) for manifest in manifests.MANIFESTS)


def _row(manifest: Manifest) -> Listing:
    folder, here = folder_of(manifest), splits_here(manifest)
    state = "embedded" if manifest.embedded else "on disk" if here else "to fetch"
    names = {file.name for form in manifest.forms for file in form.files}
    size = sum((folder / name).stat().st_size for name in names if (folder / name).is_file())
    return Listing(
        manifest.name,
        manifest.title,
        state,
        here,
        folder,
        size,
        manifest.image_shape,
        manifest.classes,
        manifest.splits,
        manifest.licence,
        manifest.credit,
        manifest.urls,
    )


def splits_here(manifest: Manifest) -> tuple[str, ...]:
    """The splits whose files are on disk."""
    folder = folder_of(manifest)
    return tuple(split for split, _ in manifest.splits if manifest.form_in(folder, split))


def _read(form: Form, paths: Sequence[Path], split: str, name: str, classes: int) -> Dataset:
    """Read the files of a form. Its reader is imported now."""
    reader: Reader = registry.load(form.loader)
    images, labels = reader(paths, split)
    return Dataset(name, split, images, labels, classes, sha256_of(paths))


def _load_path(text: str, split: str) -> Dataset:
    """A user's own data: the kind of file at the path decides the reader."""
    path = Path(text)
    with reading(path):
        is_folder, is_file = path.is_dir(), path.is_file()
    if not text.strip() or not (is_folder or is_file):
        raise DatasetError(f"no data set {text!r}", ACCEPTED, "relrob datasets list")
    if path.suffix == ".npz":
        loaded: Dataset = registry.load("relrob_datasets.npz:load_npz")(path, split)
        return loaded
    official = _official(path, split)
    if official is not None:
        return official
    if is_file:
        raise DatasetError(f"{path} is not a data set", ACCEPTED)
    pictures: Dataset = registry.load("relrob_datasets.pictures:load_pictures")(path, split)
    return pictures


def _official(path: Path, split: str) -> Dataset | None:
    """The official files in a folder, packed or (idx) unpacked, or one official file that holds the
    split; None where there are none.

    Their checksums are not compared, because other data sets have the same formats.
    """
    folder = path if path.is_dir() else path.parent
    name = folder.resolve().name if path.is_dir() else path.name.split(".")[0]
    for manifest in manifests.MANIFESTS:
        for form in manifest.forms:
            names = [file.name for file in form.of(split)]
            for files in (names, [file.removesuffix(".gz") for file in names]):
                wanted = path.is_dir() or files == [path.name]
                if wanted and files and all((folder / file).is_file() for file in files):
                    return _read(
                        form,
                        [folder / file for file in files],
                        split,
                        readable(name),
                        len(manifest.classes),
                    )
    return None
