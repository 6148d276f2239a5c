"""The bytes of a trained model's file, with no clock and no memory address in them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from relrob.system.temporary import temporary_folder


def saved(model: Any) -> bytes:
    """The bytes of the model's `.keras` file, with no clock and no memory address in them."""
    with temporary_folder() as folder:
        path = folder / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    del metadata["date_saved"]
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(
        _renumbered(json.loads(members["config.json"]), {})
    ).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)
    return target.getvalue()


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    """The configuration with shared objects counted in order of appearance. Keras names them by
    their memory address."""
    if isinstance(value, list):
        return [_renumbered(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _renumbered(item, numbers) for key, item in value.items()}
    if "shared_object_id" in value:
        changed["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers))
    return changed
