"""Seeded results of images for tests of the store and the reports; as a program, a run that appends
them one by one."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from relrob.domain.record import ImageResult, Record, Set, WitnessView
from relrob.store import seals, tables
from relrob.store.configuration import canonical
from relrob.store.run_directory import FILE, Store
from relrob.store.seals import RunSeal
from relrob.store.witness_file import encode

SHAPES = {1: (28, 28, 1), 3: (32, 32, 3)}


def make_config(**changes: Any) -> dict[str, Any]:
    """The configuration of a run; which images it is of does not belong to it."""
    region = {
        "kind": "ladder",
        "radius": "20",
        "step": "1/4",
        "features": 20,
        "axes": 10,
        "seed": 0,
    }
    return {"format": 4, "reference": "a" * 64, "region": region} | changes


def make_header(images: int) -> dict[str, Any]:
    """What a summary holds before its counts."""
    reference = {"path": "weights|of [2017].h5", "sha256": "b" * 64, "accuracy": 0.9827}
    quantised = {
        "path": "q.tflite",
        "sha256": "c" * 64,
        "scheme": "dynamic",
        "runtime": "xnnpack",
        "accuracy": 0.9824,
    }
    return {
        "relrob": "0.1.0",
        "run": "d" * 64,
        "dataset": {"name": "mnist", "split": "test", "images": images, "sha256": "e" * 64},
        "reference": reference,
        "quantised": quantised,
        "region": {
            "kind": "ladder",
            "radius": 20.0,
            "step": 0.25,
            "features": 20,
            "axes": 10,
            "seed": 0,
        },
        "arithmetic": "float32",
    }


def make_witness(index: int, network: str = "reference", channels: int = 1) -> WitnessView:
    """A disc, of which two bands were moved by 1/4: one brighter, one darker."""
    height, width, channels = SHAPES[channels]
    rng = np.random.default_rng([index, channels])
    y, x = np.mgrid[0:height, 0:width]
    disc = (np.hypot(y - height / 2, x - width / 2) < 5 + index % 6)[..., None] * rng.uniform(
        0.5, 1, channels
    )
    original = (np.rint(disc * 255) / 255).astype(np.float32)
    perturbed = original.copy()
    top = 4 + index % 10
    perturbed[top : top + 2, 4:20] = np.minimum(
        perturbed[top : top + 2, 4:20] + np.float32(0.25), 1
    )
    perturbed[top + 4 : top + 6, 8:24, 0] = np.maximum(
        perturbed[top + 4 : top + 6, 8:24, 0] - np.float32(0.25), 0
    )
    fooled = network == "reference"
    return WitnessView(
        index=index,
        network=network,
        label=index % 10,
        original=original.reshape(-1),
        perturbed=perturbed.reshape(-1),
        shape=(height, width, channels),
        reference_label=(index + fooled) % 10,
        quantised_label=(index + 1) % 10,
        reference_margin=-0.03125 if fooled else 0.5,
        quantised_margin=-0.125,
        cost=str(
            Fraction(round(1020 * float(np.abs(perturbed - original).sum(dtype=np.float64))), 1020)
        ),
        moved=tuple(range(index % 5)),
    )


def make_record(index: int) -> Record:
    """Consistent, and of every set in turn; NOT_ROBUST images have counts, one in seven of them
    beyond 64 bits."""
    which = list(Set)[index % len(Set)]
    verdicts = {
        Set.RQFP: ("ROBUST", "ROBUST"),
        Set.RFP: ("ROBUST", "NOT_ROBUST"),
        Set.RQ: ("NOT_ROBUST", "ROBUST"),
        Set.R0: ("NOT_ROBUST", "NOT_ROBUST"),
        Set.MIXED: ("NOT_ROBUST", "NOT_ROBUST"),
        Set.UNKNOWN: ("NOT_ROBUST", "UNKNOWN"),
        Set.L_IC: ("", ""),
    }[which]
    if which is Set.L_IC:
        return Record(index, index % 10, (index + 1) % 10, index % 10, which)
    transferred = {Set.RQ: 0, Set.R0: 40, Set.MIXED: 30}.get(which)
    counted = transferred is not None
    return Record(
        index,
        index % 10,
        index % 10,
        index % 10,
        which,
        *verdicts,
        points=2**78 + index if index % 7 == 4 else 1000 + index,
        reference_effective=40 if counted else None,
        quantised_effective=42 if counted else None,
        transferred=transferred,
        same_class=transferred and transferred - 5,
        closest_effective=4 if counted else None,
        closest_transferred=transferred and transferred // 10,
        reference_margin=index / 7,
        quantised_margin=-1 / (index + 3),
        decided_by="enumerate, enumerate",
        reason="the time limit, as a test has it" if which is Set.UNKNOWN else "",
        evaluated=2000 + index,
        clean_regression=which is Set.RFP and index % 2 == 1,
    )


def changed(record: Record, **changes: Any) -> Record:
    """The record with fields of any type in it, as a careless caller may make one."""
    return Record(**vars(record) | changes)


def make_result(index: int, channels: int = 1) -> ImageResult:
    """The record with a witness for each network that is not robust."""
    record = make_record(index)
    verdicts = {"reference": record.reference_verdict, "quantised": record.quantised_verdict}
    views = tuple(
        make_witness(index, name, channels)
        for name, verdict in verdicts.items()
        if verdict == "NOT_ROBUST"
    )
    return ImageResult(record, views, seconds=0.001 * (index + 1))


def make_older(directory: Path, images: int, version: int = 3) -> Path:
    """A finished run as relrob wrote it in format 5, without attacks; in format 4, without ties and
    points proved for each network too; or in format 3: no seals, no spot checks, the selection in
    the configuration."""
    directory.mkdir(parents=True)
    config = make_config() | ({"format": 3, "indices": [*range(images)]} if version == 3 else {})
    columns = {3: 23, 4: 24, 5: 27}[version]
    schema = tables.schema(columns, version)[: 5 if version == 3 else None]
    with closing(sqlite3.connect(directory / FILE)) as connection, connection:
        for statement in (*schema, f"PRAGMA user_version={version}"):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('config', ?)", (canonical(config),))
        run = RunSeal()
        for index in range(images):
            result, row = make_result(index), tables.encode(make_record(index))[:columns]
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO records VALUES ({places})", row)  # noqa: S608
            for view in result.witnesses:
                connection.execute(
                    "INSERT INTO witnesses VALUES (?, ?, ?)", (index, view.network, encode(view))
                )
            connection.execute("INSERT INTO timings VALUES (?, ?)", (index, result.seconds))
            run = seals.add(connection, index, version, run) if version > 3 else run
        if version > 3:
            seals.write(connection, canonical(config), run)
    return directory


def main(directory: str, images: str) -> None:
    """Run or resume; each image's number is printed when it is stored."""
    with Store.open(Path(directory), make_config()) as store:
        for index in sorted(set(range(int(images))) - store.done()):
            store.append(make_result(index))
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
