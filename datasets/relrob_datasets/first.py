"""The first reading of a foreign data set in a child process with limits
(`relrob.system.child`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relrob.errors import DatasetError, UsageError
from relrob.registry import load as load_object
from relrob.system.child import guarded, size_of
from relrob_datasets import manifest as manifests
from relrob_datasets.catalogue import ACCEPTED, load, load_known, splits_here
from relrob_datasets.dataset import Dataset

READY: Final = (
    "relrob_datasets.first",
    "relrob_datasets.npz",
    "relrob_datasets.single",
    "relrob_datasets.pictures",
    "relrob_datasets.cifar",
    "relrob_datasets.idx",
)


def load_guarded(name_or_path: str, split: str, memory: float | None = None) -> Dataset:
    """`load`, after a child has loaded the images where they are the user's own.

    Files with a published checksum are not foreign. `memory`: GiB, None for the default. Raises
    DatasetError, ChecksumError.
    """
    path = Path(name_or_path)
    if manifests.find(name_or_path) is None and name_or_path.strip() and path.exists():
        _try("first_reading", name_or_path, ACCEPTED, memory, split=split)
    return load(name_or_path, split)


def refuse_memory(memory: float | None, name: str) -> None:
    """Refuse a limit for the reading of a data set whose files have published checksums: no foreign
    file is read. Raises UsageError."""
    if memory is not None and manifests.find(name) is not None:
        raise UsageError(
            f"--memory has no effect with {name}, whose files have published checksums",
            "--memory with a file of your own",
            "leave out --memory",
        )


def load_image_guarded(path: Path, memory: float | None = None) -> Dataset:
    """`relrob_datasets.single.load_image`, after a child has loaded the image. `memory`: GiB, None
    for the default. Raises DatasetError."""
    _try("first_image", str(path), load_object("relrob_datasets.single:ACCEPTED"), memory)
    return _image(path)


def _try(function: str, path: str, accepted: str, memory: float | None, **more: str) -> None:
    """Call a function of this module with the path and `more` in a child. Raises DatasetError."""
    guarded(
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


def first_reading(path: str, split: str) -> int:
    """The number of images, which are loaded (in the child)."""
    return len(load(path, split))


def first_image(path: str) -> int:
    """The number of pixels times channels of the image, which is loaded (in the child)."""
    return _image(Path(path)).images.size


def _image(path: Path) -> Dataset:
    """By a reader that is imported when it is asked for: it needs Pillow."""
    loaded: Dataset = load_object("relrob_datasets.single:load_image")(path)
    return loaded
