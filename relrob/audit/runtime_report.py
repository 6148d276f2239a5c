"""What one file gives on several runtimes, side by side, as values that a report prints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from relrob.errors import how_many
from relrob.system.files import readable

# Images that a difference names.
NAMED: Final = 20


@dataclass(frozen=True)
class RuntimeRun:
    """A file on one runtime.

    `details`: versions and all else on which the answers depend. `images`: how many were run.
    `accuracy`: the share of them with the right label, None where there are none. `sampled`: they
    are a sample of the images asked for.
    """

    name: str
    details: str
    images: int
    accuracy: float | None
    sampled: bool

    def json(self) -> dict[str, Any]:
        """The fields."""
        return {
            "runtime": self.name,
            "details": self.details,
            "images": self.images,
            "sampled": self.sampled,
            "accuracy": None if self.accuracy is None else round(self.accuracy, 6),
        }


@dataclass(frozen=True)
class RefusedRuntime:
    """A runtime that is not there or does not run the file, and the reason."""

    name: str
    reason: str

    def json(self) -> dict[str, str]:
        """The fields."""
        return {"runtime": self.name, "reason": self.reason}


@dataclass(frozen=True)
class RuntimePair:
    """Two runtimes on the images that both ran.

    `names` of the two; `images`: how many. `differing`: images whose labels differ; `ties`: those
    of them where the largest output of one of the two stands at several classes, and the label is
    the first of these. `named`: the first `NAMED` indices of `differing`.

    `largest`: the largest difference between outputs of the two for one class, infinite where one
    is no number; `largest_image`: its image, None where there is no difference. `accuracy`: the
    shares of these images that the two get right, None without labels.

    Raises ValueError where the numbers cannot be true.
    """

    names: tuple[str, str]
    images: int
    differing: int
    ties: int
    named: tuple[int, ...]
    largest: float
    largest_image: int | None
    accuracy: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.ties <= self.differing <= self.images:
            raise ValueError(f"{self.ties} ties of {self.differing} of {self.images} images")
        if len(self.named) != min(self.differing, NAMED):
            raise ValueError(f"{len(self.named)} named images of {self.differing}")

    @property
    def first(self) -> str:
        """The first of the two."""
        return self.names[0]

    @property
    def second(self) -> str:
        """The second of the two."""
        return self.names[1]

    @property
    def sentence(self) -> str:
        """The images whose labels differ, as text."""
        ties = f", {self.ties:,} of them ties" if self.ties else ""
        return (
            f"{self.first} and {self.second} give other labels on {self.differing:,} of "
            f"{how_many(self.images, 'image')}{ties}"
        )

    @property
    def share(self) -> float:
        """The share of the images whose labels differ."""
        return self.differing / self.images if self.images else 0.0

    def json(self) -> dict[str, Any]:
        """The fields; `largest_difference` is null where it is infinite."""
        return {
            "runtimes": list(self.names),
            "images": self.images,
            "accuracy": [round(share, 6) for share in self.accuracy] if self.accuracy else None,
            "differing": self.differing,
            "ties": self.ties,
            "differing_images": list(self.named),
            "largest_difference": self.largest if math.isfinite(self.largest) else None,
            "largest_difference_image": self.largest_image,
        }


@dataclass(frozen=True)
class RuntimeReport:
    """A file on each of its runtimes.

    `path`, `sha256` of the file; `runs`: the default runtime first; `refused`: the others; `rows`:
    each two of `runs`. `images`: how many were asked for; `sample`: how many of them the runtimes
    ran that are `RuntimeRun.sampled`, drawn with `seed`; `rule`: which runtimes these are, in
    words. `data`: the images, in words.
    """

    path: str
    sha256: str
    images: int
    runs: tuple[RuntimeRun, ...]
    refused: tuple[RefusedRuntime, ...]
    rows: tuple[RuntimePair, ...]
    sample: int
    seed: int
    rule: str
    data: str

    @property
    def names(self) -> tuple[str, ...]:
        """The runtimes that ran the file."""
        return tuple(run.name for run in self.runs)

    @property
    def accuracy(self) -> dict[str, float | None]:
        """Of each runtime: the share of its images with the right label."""
        return {run.name: run.accuracy for run in self.runs}

    @property
    def worst(self) -> RuntimePair | None:
        """The two runtimes whose labels differ on the largest share of images, or None."""
        return max(self.rows, key=lambda row: row.share, default=None)

    @property
    def sentence(self) -> str:
        """The two runtimes whose labels differ most, as a line."""
        worst = self.worst
        if worst is None:
            return (
                f"nothing to compare: {self.names[0] if self.names else 'no runtime'} alone runs it"
            )
        if worst.differing == 0:
            fewest = min(row.images for row in self.rows)
            where = f" on {how_many(fewest, 'image')}" if fewest < self.images else ""
            return f"{', '.join(self.names)} give the same labels{where}"
        return worst.sentence

    def row(self, one: str, other: str) -> RuntimePair:
        """The pair of these two, in either order. Raises KeyError where one of them did not run."""
        for row in self.rows:
            if {*row.names} == {one, other}:
                return row
        raise KeyError(f"{one}, {other}")

    def json(self) -> dict[str, Any]:
        """The document of `relrob runtimes --json`, and the part `runtimes` of `audit.json`."""
        return {
            "network": {"path": readable(self.path), "sha256": self.sha256},
            "data": self.data,
            "images": self.images,
            "sample": {"images": self.sample, "seed": self.seed, "for": self.rule},
            "runtimes": [run.json() for run in self.runs],
            "refused": [each.json() for each in self.refused],
            "pairs": [row.json() for row in self.rows],
        }
