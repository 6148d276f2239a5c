"""The header that a summary.json, study.json or radius.json shows, held against the store.

These files have no seal. What decides the records stands in the store's configuration too, which
is sealed: the two must agree. The rest (`UNSEALED`, `UNSEALED_DATA`, the version, warnings) is
checked by type and range alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final

from relrob.errors import StoreError
from relrob.store.header import UNSEALED, UNSEALED_DATA
from relrob.store.images import asked
from relrob.store.tables import differences
from relrob.system.json_file import damage

_NETWORKS: Final = ("reference", "quantised")
_ACCEPTED: Final = "the file that relrob wrote beside its store"
_TEXTS: Final = ("path", "black_box", "conversion", "input_from", "head", "runtime_details")


def check_header(
    path: Path, header: Mapping[str, Any], config: Mapping[str, Any], run: str | None
) -> None:
    """Raise StoreError for a header from the file `path` that is not that of a store.

    `config`: the store's configuration. `run`: its digest, None for a store of an older format,
    whose summary has another.
    """
    with damage(path, _ACCEPTED):
        _check_told(header)
        there, here = _sealed(config), _shown(header)
        if run is not None and "run" in header:
            there["run"], here["run"] = run, header["run"]
        both = [key for key in here if key in there]
        told = differences({key: there[key] for key in both}, {key: here[key] for key in both})
    if told:
        raise StoreError(
            f"{path} and the store beside it differ: {told} (there: the store)",
            _ACCEPTED,
            "the same command again, which writes it anew",
        )


def _sealed(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of networks, data, region, rule and attacks."""
    found: dict[str, Any] = {}
    for key, told in (("dataset", UNSEALED_DATA), *((name, UNSEALED) for name in _NETWORKS)):
        if isinstance(config.get(key), Mapping):
            found[key] = _without(config[key], told)
    if isinstance(config.get("dataset"), Mapping):
        # Names of classes stand in a configuration where the user gave them.
        found["dataset"] |= {k: v for k, v in config["dataset"].items() if k == "classes"}
    if isinstance(config.get("region"), Mapping) and "dataset" in found:
        found["region"] = dict(config["region"])
    if "reference" in found and "arithmetic" in found["reference"]:
        found["arithmetic"] = found["reference"]["arithmetic"]
    if "time_limit" in config:
        found["time_limit"] = config["time_limit"]
    if "effective" in config:
        found["effective_rule"] = config["effective"]
    if isinstance(config.get("attacks"), Mapping):
        found["attacks"] = dict(config["attacks"])
    return found


def _shown(header: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a header."""
    data = header["dataset"]
    found = {
        "dataset": {**_without(data, UNSEALED_DATA), **_named(data)},
        **{name: _without(header[name], UNSEALED) for name in _NETWORKS},
        "region": header["region"],
        "arithmetic": header["arithmetic"],
    }
    found |= {key: header[key] for key in ("effective_rule", "time_limit") if key in header}
    if "attacks" in header:
        attacks = header["attacks"]
        texts = [each["attack"] for each in attacks["each"]]
        found["attacks"] = {"each": texts, "seed": attacks["seed"]}
    return found


def _without(value: Mapping[str, Any], told: tuple[str, ...]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in told}


def _named(data: Mapping[str, Any]) -> dict[str, Any]:
    """The classes of a header that the user named."""
    return {"classes": data.get("classes")} if data.get("named_by") == "classes" else {}


def _check_told(header: Mapping[str, Any]) -> None:
    """Types and ranges of what no store holds. Raises ValueError."""
    data = header["dataset"]
    _check(_is_text(header.get("relrob", "")), "relrob is no text")
    _check(_is_text(data.get("name", "")), "dataset.name is no text")
    for key in ("notes", "classes"):
        _check(_are_texts(data.get(key, [])), f"dataset.{key} is no list of texts")
    _check(_are_texts(header.get("warnings", [])), "warnings is no list of texts")
    count, indices = data.get("images", 0), asked(header)
    whole = isinstance(count, int) and not isinstance(count, bool) and count >= 0
    _check(whole, f"dataset.images is {count!r}")
    _check(indices is None or count == len(indices), f"dataset.images is {count}, not of indices")
    for role in _NETWORKS:
        for key in _TEXTS:
            _check(_is_text(header[role].get(key, "")), f"{role}.{key} is no text")
        given = header[role].get("accuracy")
        _check(given is None or _is_share(given), f"{role}.accuracy is {given!r}, not in [0, 1]")


def _check(right: bool, told: str) -> None:
    if not right:
        raise ValueError(told)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_share(value: Any) -> bool:
    """Is it a finite number in [0, 1]?"""
    return type(value) in (int, float) and isfinite(value) and 0 <= value <= 1
