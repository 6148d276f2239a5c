"""The first reading of a foreign data set in a child process with limits
(`relrob.system.child`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from relrob.errors import DatasetError, UsageError
from relrob.registry import load as load_object
from relrob.system.child import guarded, size_of
from relrob_datasets import manifest as manifests
from relrob_datasets.catalogue import ACCEPTED, load_images, load_known, splits_here
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.names import ACCEPTED as NAMES_ACCEPTED
from relrob_datasets.names import read_classes
from relrob_datasets.read_as import GIVEN, ReadAs

READY: Final = (
    "relrob_datasets.first",
    "relrob_datasets.npz",
    "relrob_datasets.single",
    "relrob_datasets.pictures",
    "relrob_datasets.cifar",
    "relrob_datasets.idx",
)


def load_guarded(
    name_or_path: str,
    split: str,
    memory: float | None = None,
    read_as: ReadAs = GIVEN,
    whole: bool = False,
) -> Dataset:
    """`load`, after a child has loaded the images where they are the user's own.

    Files with a published checksum are not foreign. `memory`: GiB, None for the default. Raises
    DatasetError, ChecksumError.
    """
    return load_images_guarded(name_or_path, split, memory, read_as, whole).dataset()


def load_images_guarded(
    name_or_path: str,
    split: str,
    memory: float | None = None,
    read_as: ReadAs = GIVEN,
    whole: bool = False,
) -> Images:
    """`load_images`, after a child has, as `load_guarded`."""
    path = Path(name_or_path)
    if manifests.find(name_or_path) is None and name_or_path.strip() and path.exists():
        more = {"split": split, "read_as": read_as.json(), "whole": whole}
        _try("first_reading", name_or_path, ACCEPTED, memory, **more)
    return load_images(name_or_path, split, read_as, whole)


def refuse_memory(memory: float | None, name: str) -> None:
    """Refuse a limit for the reading of a data set whose files have published checksums: no foreign
    file is read. Raises UsageError."""
    if memory is not None and manifests.find(name) is not None:
        raise UsageError(
            f"--memory has no effect with {name}, whose files have published checksums",
            "--memory with a file of your own",
            "leave out --memory",
        )


def load_image_guarded(path: Path, memory: float | None = None, read_as: ReadAs = GIVEN) -> Dataset:
    """`relrob_datasets.single.load_image`, after a child has loaded the image. `memory`: GiB, None
    for the default. Raises DatasetError."""
    accepted = load_object("relrob_datasets.single:ACCEPTED")
    _try("first_image", str(path), accepted, memory, read_as=read_as.json())
    return _image(path, read_as)


def class_names(path: str | None, memory: float | None = None) -> tuple[str, ...]:
    """The class names in the file of --classes, () for no file, as a child reads them. Raises
    DatasetError."""
    if path is None:
        return ()
    found = _try("first_names", path, NAMES_ACCEPTED, memory)
    return tuple(str(name) for name in found)


def _try(function: str, path: str, accepted: str, memory: float | None, **more: Any) -> Any:
    """Call a function of this module with the path and `more` in a child. Raises DatasetError."""
    return guarded(
        f"relrob_datasets.first:{function}",
        {"path": path, **more},
        name=path,
        size=size_of(path),
        failure=DatasetError,
        accepted=accepted,
        memory=memory,
        imports=READY,
    )


def check(
    name_or_path: str, split: str | None = None, memory: float | None = None
) -> tuple[Dataset, ...]:
    """Check images on the disk by loading them: one split, or each split of a named set that is
    here. Raises DatasetError."""
    refuse_memory(memory, name_or_path)
    manifest = manifests.find(name_or_path)
    if manifest and split is None:
        return tuple(load_known(manifest, here) for here in splits_here(manifest) or ("test",))
    return (load_guarded(name_or_path, split or "test", memory),)


def first_reading(
    path: str, split: str, read_as: dict[str, Any] | None = None, whole: bool = False
) -> int:
    """The number of images, which are loaded (in the child)."""
    return len(load_images(path, split, ReadAs.of(read_as) if read_as else GIVEN, whole))


def first_image(path: str, read_as: dict[str, Any] | None = None) -> int:
    """The number of pixels times channels of the image, which is loaded (in the child)."""
    return _image(Path(path), ReadAs.of(read_as) if read_as else GIVEN).images.size


def first_names(path: str) -> list[str]:
    """The class names of a file (in the child)."""
    return list(read_classes(Path(path)))


def _image(path: Path, read_as: ReadAs) -> Dataset:
    """By a reader that is imported when it is asked for: it needs Pillow."""
    loaded: Dataset = load_object("relrob_datasets.single:load_image")(path, read_as)
    return loaded
