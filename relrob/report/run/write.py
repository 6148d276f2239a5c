"""A run directory's readable files, from its store alone: summary.json, images.csv, table.md,
witnesses and certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from relrob import registry
from relrob.report.run.csv_file import images_csv
from relrob.report.run.table import image_table, table_markdown
from relrob.store.run_directory import Store
from relrob.store.summary import Summary
from relrob.store.witness_file import decode
from relrob.system.files import disk_errors, write_atomic


def summary_json(summary: Summary) -> str:
    """summary.json: two spaces of indentation, keys in the summary's order, a line end."""
    return json.dumps(summary.json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_run(directory: Path, summary: Summary, indices: Collection[int] | None = None) -> None:
    """Write summary.json, images.csv, table.md, witnesses/NNNNN-NETWORK.npz and .png, and
    certificates/NNNNN-NETWORK.json.

    `indices`: images to write about; None is all images in the store. The same store gives the same
    bytes, and a file that has them already is left as it is. Raises StoreError: not a run
    directory, a full disk.
    """
    with Store.read(directory) as store:
        records, found = store.records(indices), store.attacks()
        files = {
            "summary.json": summary_json(summary),
            "images.csv": images_csv(records, store.seconds(), summary.attacks, found),
            "table.md": table_markdown(summary) + image_table(summary, records, found),
        }
        wanted = store.done() if indices is None else frozenset(indices)
        witnesses = [each for each in store.witness_files() if each[0] in wanted]
        certificates = [each for each in store.certificates() if each[0] in wanted]
    for name, text in files.items():
        keep(directory / name, text.encode())
    if witnesses:
        write_witnesses(directory / "witnesses", witnesses)
    for index, network, data in certificates:
        keep(directory / "certificates" / f"{index:05d}-{network}.json", data)


def write_witnesses(folder: Path, witnesses: list[tuple[int, str, bytes]]) -> None:
    """Write each .npz as the store has it, and its picture."""
    draw: Callable[..., bytes] = registry.load("relrob.report.run.picture:witness_png")
    for index, network, data in witnesses:
        keep(folder / f"{index:05d}-{network}.npz", data)
        keep(folder / f"{index:05d}-{network}.png", draw(decode(data)))


def keep(path: Path, data: bytes) -> None:
    """Write the file unless it has these bytes already."""
    with disk_errors(path):
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    write_atomic(path, data)
