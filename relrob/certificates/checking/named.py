"""The network's file that a certificate names: found, digested, and described.

Nothing that the certificate says of the network is believed but its name.
Source: docs/certificates.md, "The file".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Final

from relrob.certificates.checking.entries import InvalidError, keys, pixels
from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.certificates.form import FORMAT
from relrob.domain.network import Arithmetic, Layout, Network
from relrob.errors import CertificateError, NetworkError
from relrob.system.files import read_regular

# Bytes of a certificate, a run's summary or a network.
LARGEST: Final = 1 << 32
# Called with a file and its `image_shape`, `classes`, `runtime` and `layout`. It raises where the
# file cannot be read and run in another process.
Trial = Callable[..., None]
_NETWORK: Final = (
    "file",
    "sha256",
    "format",
    "runtime",
    "layout",
    "arithmetic",
    "image_shape",
    "classes",
)


def network_of(
    path: Path,
    content: dict[str, Any],
    given: Path | None,
    said: list[str],
    first: Trial | None,
) -> tuple[Network, bytes]:
    """The network that the certificate speaks of, and its file's bytes, which have its digest.

    `first` tries the file before anything else reads it.
    """
    newer = ("details",) if content["format"] == FORMAT else ()
    facts = keys(content["network"], (*_NETWORK, *newer), "the network")
    shape, classes = facts["image_shape"], facts["classes"]
    if not (
        isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)
    ):
        raise InvalidError("an image shape that is not (height, width, channels)")
    if (
        type(classes) is not int
        or classes < 2
        or not 0 <= content["label"] < classes
        or prod(shape) != len(pixels(content["image"])[0])
    ):
        raise InvalidError("an image or a label that does not fit the network")
    if not all(
        isinstance(value, str)
        for name, value in facts.items()
        if name not in ("image_shape", "classes")
    ):
        raise InvalidError("a network whose description is not text")
    if facts["layout"] not in list(Layout) or facts["arithmetic"] not in list(Arithmetic):
        raise InvalidError(
            f"a layout or an arithmetic that is none: {facts['layout']!r}, {facts['arithmetic']!r}"
        )
    file = given if given is not None else _beside(path, content["role"], facts["file"])
    data = _bytes(file)
    digest = hashlib.sha256(data).hexdigest()
    if digest != facts["sha256"]:
        raise InvalidError(
            f"{file} has SHA-256 {digest[:16]}..., the certificate speaks of "
            f"{facts['sha256'][:16]}..."
        )
    shape_of = (shape[0], shape[1], shape[2])
    if first is not None:
        first(
            file,
            image_shape=shape_of,
            classes=classes,
            runtime=facts["runtime"],
            layout=facts["layout"],
        )
    described = Network(
        path=str(file),
        sha256=digest,
        format=facts["format"],
        runtime=facts["runtime"],
        inputs=prod(shape),
        classes=classes,
        image_shape=shape_of,
        layout=Layout(facts["layout"]),
        arithmetic=Arithmetic(facts["arithmetic"]),
    )
    said.append(
        f"the network: {file} has SHA-256 {digest[:16]}..., the one that the certificate names"
    )
    if facts.get("details"):
        said.append(f"recorded with {facts['details'][:200]!a}")
    return described, data


def _bytes(file: Path) -> bytes:
    """The network's file."""
    if file.is_dir():
        raise NoRulesError(f"{file} is a directory: the checker has no rules for SavedModels")
    if not file.exists():
        raise NetworkError(
            f"no network file at {file}",
            "the file that the certificate speaks of",
            "--network FILE",
        )
    try:
        return read_regular(file, LARGEST)
    except OSError as error:
        raise NetworkError(
            f"cannot read {file}: {error.strerror or error}", "the network's file"
        ) from error


def _beside(path: Path, role: str, name: str) -> Path:
    """The network's file in the run directory that holds the certificate, or where that run's
    summary says it was."""
    run = path.resolve().parent.parent
    plain = Path(name).name
    places = [run / f"{role}{Path(plain).suffix}", run / plain, path.parent / plain]
    summary = run / "summary.json"
    try:
        typed = Path(json.loads(read_regular(summary, LARGEST))[role]["path"])
        places += [typed, run / typed]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    for place in places:
        if plain and _there(place):
            return place
    raise CertificateError(
        f"the network {name} of {path} is not beside it", "the run directory", "--network FILE"
    )


def _there(place: Path) -> bool:
    """Does it exist? A name that no file system takes is of no file."""
    try:
        return place.exists()
    except OSError:
        return False
