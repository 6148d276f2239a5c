"""A small run that tests of the command line share: its files, and the program as a user runs
it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import relrob
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import draw
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.study.request import Request
from relrob_datasets import load
from tests.support import random_dense, rounded


@dataclass(frozen=True)
class Case:
    """A small data set whose labels the reference mostly gives; the reference, its QDQ form, and
    one with weights rounded to 8 bits, which has bounds."""

    folder: Path
    data: Path
    reference: Path
    quantised: Path
    simulated: Path

    def arguments(self, *more: str) -> list[str]:
        """A complete command line."""
        fixed = [
            "--radius",
            "3",
            "--step",
            "1/2",
            "--features",
            "8",
            "--axes",
            "3",
            "--images",
            "all",
            *(() if "--scheduler" in more else ("--workers", "1")),
        ]
        return [
            "verify",
            str(self.reference),
            str(self.quantised),
            "--dataset",
            str(self.data),
            *fixed,
            *more,
        ]

    def request(self, images: str) -> Request:
        """The ladder of `arguments`, on some images."""
        return Request(
            reference=str(self.reference),
            quantised=str(self.quantised),
            dataset=str(self.data),
            radius="3",
            step="1/2",
            features="8",
            axes=3,
            images=images,
        )


def make_case(folder: Path) -> Case:
    """Write the files."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, size=(40, 8, 8), dtype=np.uint8)
    dense = random_dense(11, (64, 24, 16, 4))
    (folder / "ref.onnx").write_bytes(to_onnx(dense))
    values = images.reshape(40, 64).astype(np.float32) / np.float32(255)
    for layer in dense.layers:
        values = values @ layer.weights + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
    labels = values.argmax(axis=1).astype(np.int64)
    labels[::10] = (labels[::10] + 1) % 4
    np.savez(folder / "data.npz", images=images, labels=labels, classes=4)
    data = load(str(folder / "data.npz"), "test")
    network = load_network(folder / "ref.onnx", image_shape=(8, 8, 1), classes=4)
    (folder / "q.onnx").write_bytes(quantised_bytes(network, "qdq", draw(data, 20), (8, 8, 1)))
    (folder / "grid.onnx").write_bytes(to_onnx(rounded(dense, 8)))
    names = ("data.npz", "ref.onnx", "q.onnx", "grid.onnx")
    return Case(folder, *(folder / name for name in names))


def environment(cwd: Path, cache: Path | None = None) -> dict[str, str]:
    """What the program needs to find itself, and a cache of its own."""
    given = {**os.environ, "RELROB_CACHE": str(cache or cwd / "cache"), "COLUMNS": "100"}
    root = Path(relrob.__file__).resolve().parent.parent
    if (root / "solvers").is_dir():
        given["PYTHONPATH"] = os.pathsep.join(
            str(root / part) for part in ("", "solvers", "datasets")
        )
    return given


def relrob_command(
    arguments: list[str], cwd: Path, cache: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "relrob", *arguments],
        cwd=cwd,
        env=environment(cwd, cache),
        text=True,
        capture_output=True,
        check=check,
    )
