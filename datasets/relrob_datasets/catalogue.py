"""Open a data set by its name or its path, check it, and list those that have a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relrob import registry
from relrob.domain.arrays import Ints, Levels
from relrob.errors import DatasetError
from relrob.system.files import readable
from relrob_datasets import manifest as manifests
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.fetch import folder_of
from relrob_datasets.integrity import check_file, reading, sha256_of
from relrob_datasets.manifest import Form, Manifest
from relrob_datasets.names import labels_of
from relrob_datasets.read_as import AUTO, GIVEN, ReadAs, Reading, ranged

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


def load(
    name_or_path: str, split: str = "test", read_as: ReadAs = GIVEN, whole: bool = False
) -> Dataset:
    """The images of a named data set, whose files are checked first, or of a user's .npz, directory
    or official files, with their labels.

    `split` selects the images of a named set, of official files, and of a .npz with x_SPLIT; other
    data have no splits: they are "test", or any split where `whole` is True. Raises DatasetError,
    ChecksumError.
    """
    return load_images(name_or_path, split, read_as, whole).dataset()


def load_images(
    name_or_path: str, split: str = "test", read_as: ReadAs = GIVEN, whole: bool = False
) -> Images:
    """`load`, where labels may be those of the reference network: then there are none yet."""
    manifest = manifests.find(name_or_path)
    if manifest is None:
        return _load_path(name_or_path, split, read_as, whole)
    return _known(load_known(manifest, split), manifest, read_as)


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


def _known(data: Dataset, manifest: Manifest, read_as: ReadAs) -> Images:
    """A set of a manifest as the user asked for it: its own class names in another order, labels of
    the reference, a range. Raises DatasetError."""
    where, given = f"data set {data.name!r}", read_as.labels == "given"
    if read_as.layout != AUTO:
        raise DatasetError(f"images layout {read_as.layout} of {where}", "arrays of a .npz")
    pixels, scale = ranged(data.images, read_as.range, where)
    labels, classes = data.labels, read_as.classes
    if classes:
        texts = list(manifest.classes)
        known = labels_of(texts, classes, lambda at: f"{where} has the class")
        if len(classes) != len(texts):
            raise DatasetError(f"{where} has {len(texts)} classes", f"{len(texts)} in --classes")
        labels = np.array(known.labels, dtype=np.int64)[labels]
    how = Reading(
        class_names=classes,
        named_by="classes" if classes else "data",
        labels="data" if given else "reference",
        range=scale,
        splits=tuple(split for split, _ in manifest.splits),
    )
    return Images(
        data.name,
        data.split,
        pixels,
        labels if given else None,
        data.classes,
        data.sha256,
        data.classes_known,
        how,
    )


def _load_path(text: str, split: str, read_as: ReadAs, whole: bool) -> Images:
    """A user's own data: the kind of file at the path decides the reader."""
    path = Path(text)
    with reading(path):
        is_folder, is_file = path.is_dir(), path.is_file()
    if not text.strip() or not (is_folder or is_file):
        raise DatasetError(f"no data set {text!r}", ACCEPTED, "relrob datasets list")
    if path.suffix == ".npz":
        loaded: Images = registry.load("relrob_datasets.npz:load_npz")(path, split, read_as, whole)
        return loaded
    official = _official(path, split)
    if official is not None:
        return _known(*official, read_as)
    if is_file:
        raise DatasetError(f"{path} is not a data set", ACCEPTED)
    load_pictures = registry.load("relrob_datasets.pictures:load_pictures")
    pictures: Images = load_pictures(path, split, read_as, whole)
    return pictures


def _official(path: Path, split: str) -> tuple[Dataset, Manifest] | None:
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
                    paths = [folder / file for file in files]
                    data = _read(form, paths, split, readable(name), len(manifest.classes))
                    return data, manifest
    return None
