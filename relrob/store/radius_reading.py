"""A finished search for critical radii as tables and pages read it: radius.json and the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relrob.domain.record import WitnessView, by_network
from relrob.errors import StoreError
from relrob.store.header_check import check_header
from relrob.store.images import asked
from relrob.store.radius_directory import RadiusStore
from relrob.store.radius_summary import RadiusSummary
from relrob.system.json_file import damage, read_json

# What makes two searches or runs about the same networks and the same data.
_PAIR = ("dataset", "reference", "quantised")


@dataclass(frozen=True, eq=False)
class RadiusData:
    """A finished search. `config`: all that decides its records; `witnesses`: index of an image to
    its witnesses by network."""

    summary: RadiusSummary
    config: Mapping[str, Any]
    witnesses: Callable[[int], Mapping[str, WitnessView]] = field(repr=False)


@contextmanager
def open_radius(directory: Path) -> Iterator[RadiusData]:
    """The search in a directory. Raises StoreError where it is not finished or damaged."""
    path = directory / "radius.json"
    with RadiusStore.read(directory) as store:
        if not path.is_file():
            raise StoreError(
                f"{directory} has no radius.json: the search is not finished",
                "a finished search",
                "relrob radius again",
            )
        accepted = "a radius.json that relrob radius wrote"
        document = read_json(path, accepted)
        kept = store.records()
        with damage(path, accepted):
            if document["run"] != store.digest:
                raise ValueError("of another search")
            check_header(path, _header(document), _config(store.config), store.digest)
            indices = asked(document)
            wanted = tuple(kept if indices is None else indices)
            summary = RadiusSummary.of(document, tuple(kept[index] for index in wanted))
        yield RadiusData(summary, store.config, by_network(store.witnesses))


def _header(document: Mapping[str, Any]) -> dict[str, Any]:
    """The header of radius.json as that of a summary.json; attacks are named in another form."""
    return {key: value for key, value in document.items() if key != "attacks"}


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, with the precision where the header has it."""
    region = {**config.get("region", {}), "precision": config["radius"]["precision"]}
    return {**config, "region": region}


def same_pair(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are two configurations, each of a run or a search, about the same networks on the same
    runtimes and the same data set?"""
    return all(one.get(name) == other.get(name) for name in _PAIR)
