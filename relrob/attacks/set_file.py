"""Adversarial sets as files: an .npz with a digest, read without pickle.

The file is a data set as well (docs/data.md): its `images` are the examples, its `labels` the true
ones, so that `--dataset adv.npz` runs any command on them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.attacks.adversarial_set import AdversarialSet, Origin
from relrob.attacks.selection import Filter
from relrob.domain.network import Layout
from relrob.domain.region import Norm
from relrob.errors import DatasetError, RelrobError
from relrob.system.child import guarded, size_of
from relrob.system.files import disk_errors, write_atomic
from relrob.system.npz import digest_of, packed, unpacked

VERSION: Final = 1
ACCEPTED: Final = "an adversarial set that relrob attack -o wrote"
_KIND: Final = "relrob adversarial set"
_LARGEST: Final = 1 << 33
_NUMBERS: Final = ("indices", "labels", "clean", "found", "queries", "gradients")
_MORE: Final = ("targets", "delta")


def set_bytes(found: AdversarialSet) -> bytes:
    """The bytes of the file; the same set gives the same bytes."""
    arrays = _arrays(found)
    return packed({**arrays, "digest": np.array(digest_of(arrays))})


def most_bytes(count: int, width: int) -> int:
    """The most bytes that the file of `count` examples of `width` pixels takes: examples and clean
    images in float32, eight numbers an example, a perturbation, and what says where they are
    from."""
    return 4 * (2 * count + 1) * width + 64 * count + (1 << 16)


def write_set(path: Path, found: AdversarialSet) -> None:
    """Write the whole file or nothing. Raises StoreError."""
    write_atomic(path, set_bytes(found))


def read_set(path: str | Path, memory: float | None = None) -> AdversarialSet:
    """The set in a file, after a child has read it. `memory`: GiB that the child may take, None for
    the default. Raises DatasetError, StoreError."""
    guarded(
        "relrob.attacks.set_file:first_reading",
        {"path": str(path)},
        name=str(path),
        size=size_of(path),
        failure=DatasetError,
        accepted=ACCEPTED,
        memory=memory,
        imports=("relrob.attacks.set_file",),
    )
    return parse_set(str(path), _read(Path(path)))


def first_reading(path: str) -> int:
    """The number of examples in the file, which is read (in the child)."""
    return len(parse_set(path, _read(Path(path))))


def parse_set(name: str, data: bytes) -> AdversarialSet:
    """The set in these bytes of the file called `name`. Raises DatasetError for damaged bytes, or
    those of another file."""
    try:
        return _parsed(unpacked(data, _LARGEST))
    except RelrobError as error:
        raise DatasetError(f"{name}: {error}", ACCEPTED) from error
    # zip, zlib, NumPy, its parser of headers and JSON each raise errors of their own.
    except Exception as error:
        told = str(error).partition("\n")[0] or type(error).__name__
        raise DatasetError(f"{name} is no adversarial set: {told}", ACCEPTED) from error


def _read(path: Path) -> bytes:
    with disk_errors(path, "read"):
        return path.read_bytes()


def _arrays(found: AdversarialSet) -> dict[str, NDArray[Any]]:
    """The members of the file in order, little-endian, but for the digest."""
    full = (len(found), *found.shape)
    arrays: dict[str, NDArray[Any]] = {
        "about": np.array(json.dumps(_about(found), sort_keys=True)),
        "images": found.adversarial.astype("<f4").reshape(full),
        "clean_images": found.images.astype("<f4").reshape(full),
    }
    arrays |= {name: getattr(found, name).astype("<i8") for name in _NUMBERS}
    if found.origin.classes_known:
        arrays["classes"] = np.array(found.origin.classes, dtype="<i8")
    if found.targets is not None:
        arrays["targets"] = found.targets.astype("<i8")
    if found.delta is not None:
        arrays["delta"] = found.delta.astype("<f4").reshape(found.shape)
    return arrays


def _about(found: AdversarialSet) -> dict[str, Any]:
    return {"kind": _KIND, "format": VERSION, **asdict(found.origin)}


def _parsed(arrays: dict[str, NDArray[Any]]) -> AdversarialSet:
    """The set. It may raise errors of any class."""
    known = {"about", "images", "clean_images", *_NUMBERS, "digest"}
    optional = {"classes", *_MORE}
    if known - set(arrays) or set(arrays) - known - optional:
        raise ValueError(f"it holds {', '.join(sorted(arrays)[:20])}")
    digest = str(arrays.pop("digest"))
    if digest_of(arrays) != digest:
        raise ValueError("its values are not those of its digest; it was damaged or edited")
    origin = _origin(json.loads(str(arrays["about"])))
    classes = arrays.get("classes")
    if (None if classes is None else classes.tolist()) != (
        origin.classes if origin.classes_known else None
    ):
        raise ValueError("its classes are not those of its about")
    images, clean = arrays["images"], arrays["clean_images"]
    if images.ndim != 4:
        raise ValueError(f"images of shape {images.shape}")
    delta, shape = arrays.get("delta"), images.shape[1:]
    if delta is not None and delta.shape != shape:
        raise ValueError(f"delta {delta.shape} for images {shape}")
    count, width = len(images), int(np.prod(shape))
    return AdversarialSet(
        origin,
        (int(shape[0]), int(shape[1]), int(shape[2])),
        images.reshape(count, width),
        clean.reshape(len(clean), -1),
        **{name: arrays[name] for name in _NUMBERS},
        targets=arrays.get("targets"),
        delta=None if delta is None else delta.reshape(width),
    )


def _origin(about: Any) -> Origin:
    """From the text of `about`. It may raise errors of any class."""
    if about.pop("kind") != _KIND or about.pop("format") != VERSION:
        raise ValueError(f"not in format {VERSION}")
    # Sets of before 30 November 2026 have no layout.
    about.setdefault("layout", Layout.HWC.value)
    kinds = {"int": int, "bool": bool}
    for field in fields(Origin):
        kind = kinds.get(str(field.type), str)
        if type(about[field.name]) is not kind:
            raise ValueError(f"{field.name} is {about[field.name]!r}")
    norm, chosen = Norm(about.pop("norm")), Filter(about.pop("filter"))
    return Origin(norm=norm, filter=chosen, layout=Layout(about.pop("layout")), **about)
