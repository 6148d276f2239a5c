"""evidence.json: what a page shows beside the records of a run.

The command, the comparison of the weights, the layer whose rounding flips an image, and small
pictures of images that no witness shows. The networks and the data set need not be there any more
when the page is written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relrob.system import json_file
from relrob.system.files import write_atomic
from relrob.system.json_file import read_json

FILE: Final = "evidence.json"
_FORMAT: Final = 1
_ACCEPTED: Final = "an evidence.json that relrob wrote"
_HINT: Final = "delete it"
_PICTURE: Final = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Evidence:
    """`command`: the one that makes the run again, "" where it is not known. `weights`: the
    document of `relrob.audit.weight_report.WeightReport`, None where weights were not compared.
    `flips`: image to the first layer whose rounding flips it, and `flips_told`: how that was found,
    or why not. `pictures`: image to a PNG as a data URI.

    Raises ValueError for a picture that is anything else.
    """

    command: str = ""
    weights: Mapping[str, Any] | None = None
    flips: Mapping[int, str] = field(default_factory=dict)
    flips_told: str = ""
    pictures: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, picture in self.pictures.items():
            if not _PICTURE.fullmatch(picture):
                raise ValueError(f"the picture of image {index} is no PNG")


def write_evidence(directory: Path, evidence: Evidence) -> None:
    """Write evidence.json; the same evidence gives the same bytes. Raises StoreError."""
    document = {"format": _FORMAT, **vars(evidence)}
    text = json.dumps(document, indent=1, allow_nan=False)
    write_atomic(directory / FILE, text + "\n")


def read_evidence(directory: Path) -> Evidence:
    """The evidence of a run directory, empty where there is none. Raises StoreError for a damaged
    file."""
    path = directory / FILE
    if not path.is_file():
        return Evidence()
    document = read_json(path, _ACCEPTED, _HINT)
    with damage(directory):
        if document.pop("format") != _FORMAT:
            raise ValueError("another format")
        for name in ("flips", "pictures"):
            document[name] = {int(index): str(each) for index, each in document[name].items()}
        return Evidence(**document)


@contextmanager
def damage(directory: Path) -> Iterator[None]:
    """Errors from values that are not those of an evidence.json become StoreError."""
    with json_file.damage(directory / FILE, _ACCEPTED, _HINT):
        yield
