"""The files of a study's finished stages, as its figures ask for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, final

import numpy as np

from relrob.attacks.set_file import read_set
from relrob.errors import StoreError
from relrob.report.study.shown import Curves, Examples
from relrob.store.stage_directory import checked_file, finished, missing
from relrob.store.stage_document import Finished

_SAMPLES = "adv.npz"
_CURVES = "cdf.json"


@final
class StageFiles:
    """Those of a directory. `index`: its pipeline.json."""

    def __init__(self, directory: Path, index: dict[str, Any]) -> None:
        self._directory, self._index = directory, index

    def curves(self, group: str, **axes: Any) -> Curves | None:
        """The distributions of the first stage of a group with these axes. Raises StoreError."""
        path = self._file(group, _CURVES, axes)
        if path is None:
            return None
        try:
            found = {
                name: np.asarray(values, np.float64)
                for name, values in json.loads(path.read_text(encoding="utf-8")).items()
            }
            return Curves(found.pop("grid"), found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{path} has no distributions ({error})", "a file that relrob wrote"
            ) from error

    def examples(self, group: str, **axes: Any) -> Examples | None:
        """The examples of the first stage of a group with these axes. Raises StoreError,
        DatasetError."""
        path = self._file(group, _SAMPLES, axes)
        if path is None:
            return None
        found = read_set(path)
        shape = (-1, *found.shape)
        return Examples(
            found.images.reshape(shape),
            found.adversarial.reshape(shape),
            found.labels,
            found.found,
        )

    def _file(self, group: str, name: str, axes: dict[str, Any]) -> Path | None:
        """The file of that name of the first finished stage that has it."""
        for entry in self._index["stages"]:
            there = entry["axes"]
            if entry["group"] == group and all(
                (there.get(key) or None) == (value or None) for key, value in axes.items()
            ):
                stage: Finished | None = finished(self._directory, entry["stage"])
                if stage is None or name in missing(self._directory, stage):
                    continue
                if name in stage.files:
                    return checked_file(self._directory, stage, name)
        return None
