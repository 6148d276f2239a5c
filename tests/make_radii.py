"""Searches for critical radii for tests of the store and the reports, made without networks; as a
program, a search that appends its images one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from relrob.domain.radius import Interval, RadiusRecord
from relrob.domain.record import WitnessView, by_network
from relrob.store.radius_directory import RadiusStore
from relrob.store.radius_reading import RadiusData
from relrob.store.radius_summary import RadiusSummary
from tests.make_records import make_header, make_witness

UNIT = Fraction(1, 2550)
CONFIG = {
    "dataset": {"name": "mnist", "split": "test", "sha256": "e" * 64},
    "reference": {"sha256": "b" * 64, "runtime": "onnxruntime"},
    "quantised": {"sha256": "c" * 64, "scheme": "dynamic", "runtime": "xnnpack"},
    "region": {"kind": "linf", "radius": 1.0, "exact": {"radius": "1"}},
    "time_limit": 4.0,
    "solver": "auto",
    "radius": {"format": 1, "precision": "1/2550"},
}


def made_interval(low: int, high: int | None, asked: int = 4) -> Interval:
    """From `low` to `high` units; decided where none lies between."""
    decided = high is not None and high <= low + 1
    broken = None if high is None else high * UNIT
    found = ("", -1) if high is None else ("witness", 3)
    reason = "" if decided else "time limit of 4 s"
    return Interval(low * UNIT, broken, decided, "bounds", *found, asked, reason)


def made_record(index: int) -> RadiusRecord:
    """Consistent; of every word of the comparison in turn, and one in ten in L_ic."""
    label, kind = index % 10, index % 10
    if kind == 9:
        return RadiusRecord(index, label, (label + 1) % 10, label)
    base = 20 + int(np.random.default_rng(index).integers(100))
    pairs: dict[int, tuple[tuple[int, int | None], tuple[int, int | None]]] = {
        0: ((base, base + 1), (base, base + 1)),
        1: ((base, base + 30), (base - 15, base + 10)),
        2: ((base - 15, base - 5), (base, base + 9)),
        3: ((base, None), (base, None)),
    }
    one, other = pairs.get(kind, ((base, base + 8), (base - 12, base - 3)))
    reference, quantised = made_interval(*one), made_interval(*other)
    if kind == 8:
        quantised = Interval(None, Fraction(0), True, "", "clean image", 1)
    return RadiusRecord(index, label, label, label, reference, quantised, index % 3)


def views_of(record: RadiusRecord) -> tuple[WitnessView, ...]:
    """A witness for each network that has one."""
    return tuple(
        make_witness(record.index, name)
        for name in ("quantised", "reference")
        if (found := getattr(record, name)) is not None and found.broken is not None
    )


def made_header(images: int, **changes: Any) -> dict[str, Any]:
    """The header of radius.json."""
    header = make_header(images)
    region = {"kind": "linf", "radius": 1.0, "exact": {"radius": "1"}, "precision": "1/2550"}
    reference = {**header["reference"], "runtime": "onnxruntime"}
    return {**header, "reference": reference, "region": region, "time_limit": 4.0, **changes}


def made_summary(images: int, **changes: Any) -> RadiusSummary:
    """Records of every word."""
    records = tuple(made_record(index) for index in range(images))
    return RadiusSummary(made_header(images, **changes), records, 12.5)


def made_data(images: int, **changes: Any) -> RadiusData:
    """A finished search without a disk."""
    summary = made_summary(images, **changes)
    by = {record.index: record for record in summary.records}
    return RadiusData(summary, CONFIG, by_network(lambda index: views_of(by[index])))


def made_search(
    directory: Path, images: int, config: Mapping[str, Any] = CONFIG, kept: Sequence[int] = ()
) -> Path:
    """A finished search on the disk. `kept`: more images that the store holds."""
    with RadiusStore.open(directory, config) as store:
        for index in (*range(images), *kept):
            record = made_record(index)
            store.append(record, views_of(record), 0.5)
        digest = store.digest
    region = {**config["region"], "precision": config["radius"]["precision"]}
    header = made_header(images, run=digest, region=region, time_limit=config["time_limit"])
    header["dataset"] |= {**config["dataset"], "indices": f"0:{images}"}
    for name in ("reference", "quantised"):
        header[name] |= config[name]
    header["arithmetic"] = config["reference"].get("arithmetic", "float32")
    records = tuple(made_record(index) for index in range(images))
    document = RadiusSummary(header, records, 12.5).json()
    (directory / "radius.json").write_text(json.dumps(document))
    return directory


def main(directory: str, images: str) -> None:
    """Search or resume; each image's number is printed when it is stored."""
    with RadiusStore.open(Path(directory), CONFIG) as store:
        for index in sorted(set(range(int(images))) - set(store.records())):
            record = made_record(index)
            store.append(record, views_of(record), 0.5)
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
