"""The command `python -m relrob.testing --files N`: edited files against solvers and checker.

Its log adds up over runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relrob.testing import alone
from relrob.testing.campaign import Tally, append, campaign, contradictions, described, total
from relrob.testing.edited import FORMATS, Edited, edited
from relrob.testing.plain import Plain
from relrob.testing.referee import EASY, judged


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m relrob.testing", description=__doc__)
    made.add_argument(
        "--files", type=int, default=0, help="how many files; 0 with --log prints the log's totals"
    )
    made.add_argument("--first", type=int, default=0, help="number of the first file")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument(
        "--format",
        default="tflite,onnx",
        help=f"of {', '.join(FORMATS)}; number n takes them in turn",
    )
    made.add_argument(
        "--log", type=Path, help="append this run to a log of JSON lines, and print its totals"
    )
    made.add_argument(
        "--show",
        type=int,
        metavar="NUMBER",
        help="make this file again, judge it, write it to --out",
    )
    made.add_argument("--out", type=Path, help="folder for --show")
    return made


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when there is a contradiction."""
    given = parser().parse_args(arguments)
    formats = given.format.split(",")
    for name in formats:
        if name not in FORMATS:
            sys.stderr.write(f"format {name!r}; accepted: {', '.join(FORMATS)}\n")
            return 2
    if given.show is not None:
        return show(
            given.seed,
            formats[given.show % len(formats)],
            given.show,
            given.out or Path(f"file-{given.show}"),
        )
    if not given.files and given.log is None:
        sys.stderr.write("nothing to do; accepted: --files of 1 or more, --log or --show\n")
        return 2
    found, words = Tally(), ""
    if given.files:
        found, head = campaign(given.seed, formats, given.first, given.files, _say)
        if given.log is not None:
            append(given.log, head, found)
        words = f"seed {given.seed}, {given.files} files, {head['seconds']} s"
    if given.log is not None:
        found, twice = total(given.log)
        words = f"{given.log}, all runs"
        for each in twice:
            _say(f"counted twice: {each}")
    for key, count in sorted(found.counts.items()):
        _say(f"{count:>9,} {key}")
    wrong = len(found.contradictions)
    _say(f"{words}: {wrong} contradictions")
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show(seed: int, kind: str, number: int, folder: Path) -> int:
    """Write a file, its data and the commands that reproduce it; print the complaints about it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = edited(seed, kind, number)
    except alone.RefusedError as error:
        _say(f"{kind} {number} is refused by its runtime: {error}")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        report = judged(file, Path(scratch), number)
        facts = (Path(scratch), file.shape, file.classes, file.label, number % EASY != 0)
        Plain.of(*facts)
        (folder / "plain.onnx").write_bytes(Plain.path(*facts).read_bytes())
    (folder / f"file{file.suffix}").write_bytes(file.data)
    images = file.question.image[None]
    np.savez(folder / "data.npz", images=images, labels=np.array([file.label]))
    np.savez(
        folder / "points.npz", points=file.question.points, said=file.said, margins=file.margins
    )
    text = _text(file)
    (folder / "README").write_text(
        text + "".join(f"{described(c)}\n" for c in contradictions(file, report)), encoding="utf-8"
    )
    _say(text)
    for found in contradictions(file, report):
        _say(described(found))
    for key, count in sorted(report.counts.items()):
        _say(f"{count:>6} {key}")
    _say(f"written to {folder}")
    return 1 if report.complaints else 0


def _text(file: Edited) -> str:
    """A description of the file, and the command."""
    wrong = np.flatnonzero(file.wrong)
    first = (
        f"; point {wrong[0]} says {file.said[wrong[0]]}, margin {file.margins[wrong[0]]:.6g}"
        if len(wrong)
        else ""
    )
    return (
        f"{file.format} {file.number} of seed {file.seed}: {file.base} on {file.runtime}, "
        f"{file.style}; edits: "
        f"{' + '.join(file.edits) or 'none'}\nlabel {file.label}; {len(wrong)} of "
        f"{len(file.said)} points are wrong"
        f"{'' if file.question.every else ' (of corners and samples)'}{first}\n"
        f"relrob verify plain.onnx file{file.suffix} --dataset data.npz "
        f"{_region(file.question.region)} --images all --certificates"
        f" {'--runtime ' + file.runtime if file.format == 'tflite' else ''} --out out\n"
        f"python -m relrob.testing --seed {file.seed} --format {file.format} --show {file.number}\n"
    )


def _region(region: Any) -> str:
    """As options."""
    if region.kind == "ladder":
        return (
            f"--radius {region.radius} --step {region.step} "
            f"--features {region.features} --axes {region.axes}"
        )
    if region.kind == "lattice":
        return f"--region lattice --radius {region.radius} --step {region.step}"
    return f"--region {region.kind} --radius {region.radius}"
