"""The records of a study of stages, from which its report is made again.

| file | holds |
| --- | --- |
| `pipeline.json.gz` | the groups of the study, the axes and digests of their stages |
| `stages.zip` | the finished stages and their rows, for `relrob study import`; no image |
| `images.npz` | what became of each image of each attack; distances where a claim reads them |
| `examples.npz` | the examples that figures show, of data sets whose images may be published |
"""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from relrob.api.pipeline import claims_of, groups_of, stage_outcomes
from relrob.api.stage_files import StageFiles
from relrob.domain.arrays import Doubles, Ints
from relrob.errors import StoreError
from relrob.report.study.judgement import PaperClaim
from relrob.report.study.shown import Curves, Examples, Shown
from relrob.report.study.stage_figures import figures
from relrob.report.study.stage_rows import Rows
from relrob.report.study.stage_text import GroupRows, ImageOutcomes
from relrob.store.stage_archive import pack, unpack
from relrob.store.stage_directory import every
from relrob.store.stage_document import DOCUMENT, Finished
from relrob.store.stage_outcomes import FILE, Outcomes
from relrob.study.pipeline.campaign import INDEX, read_index
from relrob.system.npz import packed, unpacked

INDEX_FILE: Final = f"{INDEX}.gz"
STAGES: Final = "stages.zip"
IMAGES: Final = "images.npz"
EXAMPLES: Final = "examples.npz"
RECORDS: Final = (INDEX_FILE, STAGES, IMAGES, EXAMPLES)
# Files of stages that are left out, and those that stages.zip holds.
LEFT_OUT: Final = ("adv.npz", "net.keras", FILE)
IN_STAGES: Final = (DOCUMENT, "cdf.json", "recipe.txt")
# Data sets whose images may be published, and examples of a stage that a figure shows at most.
PUBLIC: Final = ("mnist",)
_MOST: Final = 10
_LARGEST: Final = 1 << 28
_DISTANCES: Final = ("l0", "l2", "linf")
_READ_FROM_DISTANCES: Final = (*_DISTANCES, "l2_recognisable")
_FLAGS: Final = ("right", "hit", "before", "success", "lost")
_Read = TypeVar("_Read")
_PARTS: Final = ("images", "adversarial", "labels", "found")


def _nobody(metric: str) -> None:
    """Nobody notes that a claim reads this metric."""


@final
@dataclass(frozen=True, eq=False)
class KeptOutcomes:
    """What is kept of the images of an attack. `whole`: the distances are, too. `read`: is told
    which metrics the claims read."""

    outcomes: Outcomes
    whole: bool
    read: Callable[[str], None] = _nobody

    @property
    def dataset(self) -> str:
        """The name of the images' data set."""
        return self.outcomes.dataset

    @property
    def places(self) -> Ints:
        """The places (n,) of the images there."""
        return self.outcomes.places

    def each(self, metric: str) -> Doubles | None:
        """As for `Outcomes`. Raises StoreError for a distance that was not kept."""
        self.read(metric)
        if metric in _READ_FROM_DISTANCES and not self.whole:
            raise StoreError(
                f"a claim reads {metric} of images whose distances the report did not keep",
                hint="make the report from the study's directory",
            )
        return self.outcomes.each(metric)


@final
class KeptExamples:
    """The files of a study for its figures. Examples come from `source` where that is given, and
    are noted in `kept`; else from `kept`. Those of groups that are not `public` are not there."""

    def __init__(
        self,
        curves: Shown,
        public: Collection[str],
        kept: dict[str, Examples],
        source: Shown | None = None,
    ) -> None:
        self._curves, self._public, self._kept, self._source = curves, public, kept, source

    def curves(self, group: str, **axes: Any) -> Curves | None:
        """The distributions of a stage."""
        return self._curves.curves(group, **axes)

    def examples(self, group: str, **axes: Any) -> Examples | None:
        """The first examples of a stage."""
        if group not in self._public:
            return None
        name = json.dumps([group, axes], sort_keys=True)
        if self._source is not None:
            found = self._source.examples(group, **axes)
            if found is not None:
                self._kept[name] = found.first(_MOST)
        return self._kept.get(name)


@dataclass(frozen=True, eq=False)
class Run:
    """A study as its records have it. `index`: pipeline.json; `stages`: digest to stage; `shown`:
    the files of its figures."""

    index: dict[str, Any]
    stages: Mapping[str, Finished]
    groups: list[GroupRows]
    shown: KeptExamples

    @cached_property
    def claims(self) -> list[PaperClaim]:
        """The judged claims of the paper."""
        return claims_of(self.index, self.groups)

    @cached_property
    def figures(self) -> dict[str, bytes]:
        """File name to content of the figures."""
        return figures(self.index["report"], Rows.of(self.groups), self.shown)


def records(directory: Path) -> dict[str, bytes]:
    """File name to content of the records of a study's directory, which is only read. Raises
    StoreError."""
    index = read_index(directory)
    with TemporaryDirectory() as name:
        there = Path(name)
        archive = there / STAGES
        pack(directory, archive, {entry["stage"] for entry in index["stages"]}, LEFT_OUT)
        _refuse_others(archive)
        found = {
            INDEX_FILE: gzip.compress((directory / INDEX).read_bytes(), mtime=0),
            STAGES: archive.read_bytes(),
        }
        unpack(archive, there)
        stages = every(there)
        outcomes = _outcomes(directory, index, stages)
        distances: set[str] = set()

        def noted(place: Path, stage: Finished) -> KeptOutcomes | None:
            def read(metric: str) -> None:
                if metric in _READ_FROM_DISTANCES:
                    distances.add(stage.digest)

            mine = outcomes.get(stage.digest)
            return None if mine is None else KeptOutcomes(mine, True, read)

        examples: dict[str, Examples] = {}
        files = StageFiles(directory, index)
        shown = KeptExamples(files, _public(index, stages), examples, files)
        run = Run(index, stages, groups_of(there, index, noted), shown)
        # Both note what they read.
        _ = run.claims, run.figures
    return {
        **found,
        IMAGES: _images_bytes(outcomes, distances),
        EXAMPLES: _examples_bytes(examples),
    }


@contextmanager
def opened(kept: Mapping[str, bytes]) -> Iterator[Run]:
    """The study of records, file name to content. Raises StoreError."""
    with TemporaryDirectory() as name:
        there = Path(name)
        (there / INDEX).write_bytes(_read(kept, INDEX_FILE, gzip.decompress))
        archive = there / STAGES
        archive.write_bytes(kept[STAGES])
        unpack(archive, there)
        index, stages = read_index(there), every(there)
        outcomes = _read(kept, IMAGES, _images_of)

        def mine(place: Path, stage: Finished) -> ImageOutcomes | None:
            return outcomes.get(stage.digest)

        examples = _read(kept, EXAMPLES, _examples_of)
        shown = KeptExamples(StageFiles(there, index), _public(index, stages), examples)
        yield Run(index, stages, groups_of(there, index, mine), shown)


def _read(kept: Mapping[str, bytes], name: str, read: Callable[[bytes], _Read]) -> _Read:
    """What a record holds. Raises StoreError where it is damaged."""
    try:
        return read(kept[name])
    # gzip, zipfile and NumPy raise errors of many classes.
    except Exception as error:
        raise StoreError(
            f"{name} is damaged ({error})", "a record that `python -m reports.stages` wrote"
        ) from error


def _refuse_others(archive: Path) -> None:
    """Raise StoreError for a file that a report must not hold, such as one with pixels."""
    with zipfile.ZipFile(archive) as found:
        names = {name.partition("/")[2] for name in found.namelist()}
    if others := sorted(names - {*IN_STAGES}):
        raise StoreError(
            f"stages with {', '.join(others)}", ", ".join(IN_STAGES), "add it to LEFT_OUT"
        )


def _public(index: dict[str, Any], stages: Mapping[str, Finished]) -> set[str]:
    """The groups whose finished stages attack images that may be published, and no others."""
    data: dict[str, set[Any]] = {}
    for entry in index["stages"]:
        if entry["stage"] in stages:
            told = stages[entry["stage"]].options.get("dataset")
            data.setdefault(entry["group"], set()).add(told)
    return {group for group, names in data.items() if names <= {*PUBLIC}}


def _outcomes(
    directory: Path, index: dict[str, Any], stages: Mapping[str, Finished]
) -> dict[str, Outcomes]:
    """Digest to what became of the images of a stage, in the order of the study."""
    found = {}
    for digest in dict.fromkeys(entry["stage"] for entry in index["stages"]):
        mine = stage_outcomes(directory, stages[digest]) if digest in stages else None
        if mine is not None:
            found[digest] = mine
    return found


def _images_bytes(outcomes: Mapping[str, Outcomes], distances: Collection[str]) -> bytes:
    """images.npz. `distances`: the stages whose distances are kept."""
    some = list(outcomes.values())
    whole = [digest in distances for digest in outcomes]
    flags = [
        np.sum([getattr(each, name) << bit for bit, name in enumerate(_FLAGS)], 0) for each in some
    ]
    arrays: dict[str, NDArray[Any]] = {
        "stages": np.array([*outcomes], "U64"),
        "datasets": np.array([each.dataset for each in some], "U"),
        "counts": np.array([len(each.places) for each in some], "<i4"),
        "whole": np.array(whole, np.bool_),
        "places": _joined([each.places for each in some], "<i4"),
        "flags": _joined(flags, "u1"),
    }
    for name in _DISTANCES:
        kept = [getattr(each, name) for each, all_ in zip(some, whole, strict=True) if all_]
        arrays[name] = _joined(kept, "<f4")
    return packed(arrays)


def _joined(parts: list[Any], kind: str) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *parts]).astype(kind)


def _images_of(data: bytes) -> dict[str, KeptOutcomes]:
    """Digest to what images.npz keeps of a stage."""
    arrays = unpacked(data, _LARGEST)
    ends = np.cumsum(arrays["counts"])
    far = np.cumsum(arrays["counts"] * arrays["whole"])
    found = {}
    for number, digest in enumerate(arrays["stages"]):
        count, whole = int(arrays["counts"][number]), bool(arrays["whole"][number])
        mine = slice(ends[number] - count, ends[number])
        flags = arrays["flags"][mine]
        distances = (
            [arrays[name][far[number] - count : far[number]] for name in _DISTANCES]
            if whole
            else [np.zeros(count, np.float32)] * len(_DISTANCES)
        )
        outcomes = Outcomes(
            str(arrays["datasets"][number]),
            arrays["places"][mine].astype(np.int64),
            *((flags >> bit & 1) == 1 for bit in range(len(_FLAGS))),
            *distances,
        )
        found[str(digest)] = KeptOutcomes(outcomes, whole)
    return found


def _examples_bytes(examples: Mapping[str, Examples]) -> bytes:
    """examples.npz."""
    arrays: dict[str, NDArray[Any]] = {"names": np.array([*examples], "U")}
    for number, each in enumerate(examples.values()):
        arrays |= {f"{part}-{number}": getattr(each, part) for part in _PARTS}
    return packed(arrays)


def _examples_of(data: bytes) -> dict[str, Examples]:
    arrays = unpacked(data, _LARGEST)
    return {
        str(name): Examples(*(arrays[f"{part}-{number}"] for part in _PARTS))
        for number, name in enumerate(arrays["names"])
    }
