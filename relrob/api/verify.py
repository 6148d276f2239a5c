"""The library's front door: what the command line calls, with the same words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from relrob.compress.build import check_quantisable, default_runtime, needs_calibration, quantised_bytes, suffix
from relrob.compress.calibration import DEFAULT_COUNT, Calibration, draw
from relrob.compress.source import rebuilt
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.accuracy import accuracy
from relrob.networks.first import try_network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.report.run.write import write_run
from relrob.store.run_directory import Store
from relrob.store.summary import summarise
from relrob.study.export import export as write_questions
from relrob.study.lost import accuracy_warnings
from relrob.study.plan import Plan, make_plan, run_directory
from relrob.study.request import request_of
from relrob.study.run import check_scheduler, keep_networks, run, worker_count
from relrob.system.files import check_writable, readable, sweep, write_atomic
from relrob.training.architectures import check_training, default_architecture
from relrob.training.reference import trainer
from relrob_datasets.dataset import Dataset
from relrob_datasets.first import load_guarded

__all__ = ["quantise", "train", "verify", "verify_plan"]


def verify(
    reference: str | Path | None = None,
    quantised: str | Path | None = None,
    *,
    radius: float | str,
    step: float | str | None = None,
    out: str | Path | None = None,
    workers: int | str = 1,
    scheduler: str | None = None,
    export: str | Path | None = None,
    listener: Listener = silent,
    **options: Any,
) -> dict[str, Any]:
    """Sort images into R_Q^FP, R^FP, R_Q, R^0, R^mixed and unknown; returns summary.json as a dictionary, and "directory".

    `options` are those of `relrob verify` with underscores: dataset, split, images (text, or indices), quantise, runtime,
    reference_runtime, layout, region, features, axes, grid, seed, evaluations, rollouts, strict_radius, include_misclassified,
    effective, solver, time_limit, counts, certificates, memory.
    `export`: NAME.smt2, to write each image's questions as NAME-INDEX-reference.smt2 and NAME-INDEX-quantised.smt2 first.
    `out`: run directory (default: relrob-runs/DIGEST); the same call resumes it, other `images` extend it.
    `workers` above 1 starts processes, which needs the caller's module to be guarded by `if __name__ == "__main__"`.
    `scheduler`: the address of a Dask scheduler whose workers decide the images, in place of `workers` (relrob[distributed]).

    Raises RelrobError, with one line that says what was given, what is accepted and what to try.
    """
    request = request_of(radius, step, reference, quantised, options)
    count = worker_count(str(workers))
    check_scheduler(scheduler)
    directory = None if out is None else Path(out)
    plan = make_plan(request, listener, directory)
    if export is not None:
        write_questions(plan, Path(export), listener)
    return verify_plan(plan, directory, count, listener, scheduler)


def verify_plan(
    plan: Plan, out: Path | None, workers: int, listener: Listener = silent, scheduler: str | None = None
) -> dict[str, Any]:
    """Run a plan, or what is left of it, and write its directory; returns the summary, plus "directory"."""
    directory = run_directory(out, plan.digest)
    with Store.open(directory, plan.config) as store:
        sweep(directory)
        keep_networks(plan, directory)
        run(plan, store, workers, listener, scheduler)
        seconds = store.seconds()
        summary = summarise(store.records(plan.indices), plan.header, sum(seconds[index] for index in plan.indices))
        listener(Event("note", f"writing {directory}"))
        write_run(directory, summary, plan.indices)
    return {**summary, "directory": str(directory)}


def train(
    output: str | Path,
    *,
    arch: str | None = None,
    dataset: str = "mnist",
    seed: int = 0,
    epochs: int | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Train a reference network and write it as `output` (.keras); returns what `relrob train --json` prints.

    `arch` and `epochs`: the paper's when not given. Imports TensorFlow. Raises RelrobError.
    """
    started, path, name = time.monotonic(), Path(output), arch or default_architecture(dataset)
    check_training(name, path, seed, epochs)
    test = load_guarded(dataset, "test")
    listener(Event("note", f"training {name} on {dataset}, seed {seed}; TensorFlow takes a few seconds to load"))
    trainer()(name, dataset, path, seed=seed, epochs=epochs, listener=listener)
    network = load_network(
        path, image_shape=test.image_shape, classes=test.classes, more_classes=not test.classes_known
    )
    return {
        "path": readable(path),
        "sha256": network.sha256,
        "arch": name,
        "dataset": dataset,
        "seed": seed,
        "accuracy": _accuracy(network, test),
        "images": len(test),
        "runtime": network.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }


def quantise(
    reference: str | Path,
    output: str | Path,
    *,
    scheme: str = "int8",
    dataset: str = "mnist",
    calibration: int = DEFAULT_COUNT,
    calibration_split: str = "train",
    seed: int = 0,
    layout: str = "auto",
    memory: float | None = None,
    listener: Listener = silent,
) -> dict[str, Any]:
    """Quantise `reference` and write it as `output` (.tflite, or .onnx for qdq); returns what `relrob quantise --json` prints.

    `calibration` images are drawn from `calibration_split` where the scheme needs any. `memory`: GiB that the first reading of a
    file may take. Raises RelrobError.
    """
    started, path = time.monotonic(), Path(output)
    if path.suffix != suffix(scheme):
        raise UsageError(f"output {path} for scheme {scheme}", f"a file name that ends in {suffix(scheme)}")
    check_writable(path)
    test = load_guarded(dataset, "test", memory)
    shape, more = test.image_shape, not test.classes_known
    asked: dict[str, Any] = {"image_shape": shape, "classes": test.classes, "more_classes": more, "layout": layout}
    try_network(reference, memory=memory, **asked)
    network = load_network(reference, **asked)
    check_quantisable(network)
    drawn: Calibration | None = None
    if needs_calibration(scheme):
        drawn = draw(load_guarded(dataset, calibration_split, memory), calibration, seed)
    how = f", calibrated on {drawn.name}" if drawn else ""
    listener(Event("note", f"quantising {reference} as {scheme}{how}"))
    data = quantised_bytes(network, scheme, drawn, shape)
    write_atomic(path, data)
    quantised = load_network(
        path,
        image_shape=shape,
        classes=test.classes,
        more_classes=more,
        runtime=default_runtime(scheme),
        inherit=network.layout,
    )
    before, after = _accuracy(network, test), _accuracy(quantised, test)
    lost, how = accuracy_warnings(before, after), rebuilt(network, scheme)
    return {
        "path": readable(path),
        "sha256": quantised.sha256,
        "bytes": len(data),
        "scheme": scheme,
        "calibration": drawn.name if drawn else None,
        **({"conversion": how} if how else {}),
        "reference": {"path": readable(reference), "sha256": network.sha256},
        "accuracy": after,
        **({"warnings": lost} if lost else {}),
        "images": len(test),
        "runtime": quantised.runtime,
        "seconds": round(time.monotonic() - started, 2),
    }


def _accuracy(network: Network, test: Dataset) -> float:
    """Share of the test images that the network gets right, rounded for JSON."""
    return round(accuracy(open_network(network, 2), test.images, test.labels), 6)
