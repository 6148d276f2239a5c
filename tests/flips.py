"""Single bits flipped in a store, by hand: `python -m tests.flips 5000`. Exit code 1 where one
changes what is shown in silence."""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from relrob.errors import StoreError
from relrob.store import witness_file
from relrob.store.run_directory import FILE, Store
from tests.make_records import make_config, make_result

IMAGES = 8
GOOD = ("refused, with its image", "refused", "shown as it was")


def make_store(directory: Path) -> bytes:
    """The bytes of a store of every kind of row; a certificate where a verdict is ROBUST."""
    with Store.open(directory, make_config()) as store:
        for index in range(IMAGES):
            result = make_result(index)
            verdicts = {
                "quantised": result.record.quantised_verdict,
                "reference": result.record.reference_verdict,
            }
            proved = [name for name, verdict in verdicts.items() if verdict == "ROBUST"]
            store.append(
                replace(
                    result, certificates=tuple((name, b'{"form": "a"}' * 20) for name in proved)
                )
            )
    return (directory / FILE).read_bytes()


def shown(store: Store) -> list[Any]:
    """Everything that a report can show of a store."""
    views = [(view.index, view.network, witness_file.digest(view)) for view in store.witnesses()]
    return [
        store.records(),
        store.seconds(),
        views,
        store.certificates(),
        store.config,
        store.older,
    ]


def flipped(
    directory: Path, whole: bytes, place: int, bit: int, true: list[Any], write: bool = False
) -> str:
    """What becomes of a store with one bit flipped: one of GOOD, or what went wrong. `write`: on
    resuming, with one image more."""
    data = bytearray(whole)
    data[place] ^= 1 << bit
    (directory / FILE).write_bytes(data)
    try:
        if write:
            with Store.open(directory, make_config()) as store:
                store.append(make_result(IMAGES))
                store.forget([IMAGES])
        with Store.read(directory) as store:
            return (
                GOOD[2]
                if shown(store) == true
                else f"byte {place}, bit {bit} changes what is shown"
            )
    except StoreError as error:
        told = str(error)
        if "\n" in told or len(told) > 500:
            return f"byte {place}, bit {bit}: {told!r}"
        return GOOD[0] if told.startswith("image ") and FILE in told else GOOD[1]


def flips(directory: Path, count: int, seed: int = 0) -> Counter[str]:
    """So many random bits, one at a time, half of them on resuming."""
    rng, whole = random.Random(seed), make_store(directory)
    with Store.read(directory) as store:
        true = shown(store)
    return Counter(
        flipped(directory, whole, rng.randrange(len(whole)), rng.randrange(8), true, trial % 2 == 0)
        for trial in range(count)
    )


def main(count: str, seed: str = "0") -> int:
    """Flip, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="relrob-flips-") as name:
        told = flips(Path(name), int(count), int(seed))
    for sort, times in told.most_common():
        sys.stdout.write(f"{times:5d} {sort}\n")
    return int(not set(told) <= set(GOOD))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
