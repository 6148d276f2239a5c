"""From what the user asked for to a plan: data, images, two networks with their digests, region, solver, budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import relrob_datasets
from relrob import __version__, registry
from relrob.architectures import default_architecture
from relrob.compress.build import default_runtime, quantised_bytes, suffix
from relrob.compress.calibration import draw
from relrob.decide import solver_named
from relrob.domain.arrays import Ints
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Layout, Network
from relrob.domain.query import Budget
from relrob.domain.region import Ladder
from relrob.errors import UsageError
from relrob.files import cache_dir, sha256_bytes, write_atomic
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.reference import cached_reference
from relrob.regions.exact import nearest_8bit, parse_fraction
from relrob.regions.ladder import rung_set
from relrob.relative import Effective
from relrob.study.store import canonical
from relrob_datasets.dataset import Dataset
from relrob_datasets.select import select

FORMAT = 1  # goes up when the same configuration gives other records


@dataclass(frozen=True)
class Request:
    """What the user asked for, as typed: the options of `relrob verify` (interface.md). None = the default."""

    radius: str
    step: str
    reference: str | None = None
    quantised: str | None = None
    dataset: str = "mnist"
    split: str = "test"
    images: str = "0:100"
    quantise: str = "dynamic"
    runtime: str | None = None
    reference_runtime: str | None = None
    layout: str = "auto"
    region: str = "ladder"
    features: str = "20"
    axes: int = 10
    grid: str = "exact"
    seed: int = 0
    effective: str = "closest"
    solver: str = "auto"
    time_limit: float = 60.0
    counts: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """A run, ready: everything that decides its records, and the header of its summary."""

    dataset: str
    split: str
    indices: tuple[int, ...]
    reference: Network
    quantised: Network
    ladder: Ladder
    solver: str
    budget: Budget
    effective: Effective
    counts: bool
    header: dict[str, Any]
    config: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical configuration: the name of the run."""
        return sha256_bytes(canonical(self.config).encode())


def ladder_of(request: Request) -> Ladder:
    """The region asked for. Raises RegionError or UsageError."""
    if request.region != "ladder":
        raise UsageError(f"region {request.region!r}", "ladder", "--region ladder; the others are not in this version")
    if request.grid not in ("exact", "8bit"):
        raise UsageError(f"grid {request.grid!r}", "exact, 8bit")
    step = parse_fraction(request.step, "step")
    ladder = Ladder(
        radius=parse_fraction(request.radius, "radius"),
        step=step,
        features=None if request.features == "all" else _whole(request.features),
        axes=request.axes,
        seed=request.seed,
    )
    return (
        ladder
        if request.grid == "exact"
        else Ladder(ladder.radius, nearest_8bit(step), ladder.features, ladder.axes, ladder.seed)
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"features {text!r}", "a whole number above 0, or all") from error


def make_plan(request: Request, listener: Listener = silent) -> Plan:
    """Check everything, load or train and quantise the networks, measure their clean accuracy. Raises RelrobError."""
    ladder = ladder_of(request)
    solver = solver_named(request.solver)
    budget = Budget(request.time_limit)
    try:
        effective = Effective(request.effective)
    except ValueError as error:
        raise UsageError(f"effective {request.effective!r}", ", ".join(Effective)) from error
    if request.quantised is None:
        registry.find(registry.QUANTISERS, request.quantise, "scheme")
    data = relrob_datasets.load(request.dataset, request.split)
    indices = select(data, request.images)
    rung_set(ladder, data.images[indices[0]])  # features that do not fit the image are refused before any training
    reference = reference_network(request, data, listener)
    quantised = quantised_network(request, data, reference, listener)
    header = _header(request, ladder, data, indices, reference, quantised, listener)
    config = {
        "format": FORMAT,
        **{key: header[key] for key in ("dataset", "region")},
        **{key: _identity(header[key]) for key in ("reference", "quantised")},
        "indices": list(indices),
        "solver": solver.name,
        "time_limit": budget.seconds,
        "effective": effective.value,
        "counts": request.counts,
    }
    config_digest = sha256_bytes(canonical(config).encode())
    header = {"relrob": __version__, "run": config_digest, **header}
    return Plan(
        dataset=request.dataset,
        split=request.split,
        indices=indices,
        reference=reference,
        quantised=quantised,
        ladder=ladder,
        solver=solver.name,
        budget=budget,
        effective=effective,
        counts=request.counts,
        header=header,
        config=config,
    )


def reference_network(request: Request, data: Dataset, listener: Listener) -> Network:
    """The user's reference, or the paper's MLP for the data set from the cache, trained if need be."""
    path = request.reference
    if path is None:
        path = str(cached_reference(request.dataset, default_architecture(data.name), 0, listener))
    return load_network(
        path,
        image_shape=data.image_shape,
        classes=data.classes,
        runtime=request.reference_runtime,
        layout=request.layout,
    )


def quantised_network(request: Request, data: Dataset, reference: Network, listener: Listener) -> Network:
    """The user's quantised file, or the reference quantised now (kept in the cache by digest)."""
    runtime = request.runtime
    if request.quantised is not None:
        path = Path(request.quantised)
    else:
        path = _quantise(request, data, reference, listener)
        runtime = runtime or default_runtime(request.quantise)
    inherit = reference.layout if reference.layout is not Layout.HWC else None
    return load_network(
        path,
        image_shape=data.image_shape,
        classes=data.classes,
        runtime=runtime,
        layout=request.layout,
        inherit=inherit,
    )


def _quantise(request: Request, data: Dataset, reference: Network, listener: Listener) -> Path:
    """Path of the quantised reference in the cache; its name is a digest of the network, the scheme and the calibration."""
    calibration = (
        draw(request.dataset, data, seed=request.seed) if request.quantise not in ("dynamic", "float16") else None
    )
    described = [reference.sha256, reference.layout, request.quantise, calibration.name if calibration else ""]
    path = (
        cache_dir()
        / "quantised"
        / f"{request.quantise}-{sha256_bytes(repr(described).encode())[:20]}{suffix(request.quantise)}"
    )
    if not path.is_file():
        listener(Event("quantise", f"quantising {Path(reference.path).name} ({request.quantise})"))
        write_atomic(path, quantised_bytes(reference, request.quantise, calibration, data.image_shape))
    return path


def clean_labels(network: Network, data: Dataset, progress: Callable[[int], None], block: int = 1000) -> Ints:
    """Labels of the whole split on the network's runtime: (n,). Memory O(block)."""
    evaluator = open_network(network, threads=2)
    found = []
    for start in range(0, len(data.labels), block):
        found.append(labels(evaluator.outputs(data.pixels(range(start, min(start + block, len(data.labels)))))))
        progress(start)
    return np.concatenate(found)


def _header(
    request: Request,
    ladder: Ladder,
    data: Dataset,
    indices: tuple[int, ...],
    reference: Network,
    quantised: Network,
    listener: Listener,
) -> dict[str, Any]:
    """The first keys of the summary JSON; accuracies are of the whole split."""
    described = {}
    for name, network in (("reference", reference), ("quantised", quantised)):
        listener(
            Event("note", f"clean accuracy of the {name} network on {len(data.labels):,} images ({network.runtime})")
        )
        right = int((clean_labels(network, data, lambda done: None) == data.labels).sum())
        described[name] = {
            "path": _shown_path(request, name, network),
            "sha256": network.sha256,
            "scheme": network.scheme,
            "runtime": network.runtime,
            "arithmetic": network.arithmetic.value,
            "accuracy": round(right / len(data.labels), 6),
        }
    del described["reference"]["scheme"]
    return {
        "dataset": {"name": data.name, "split": data.split, "images": len(indices), "sha256": data.sha256},
        **described,
        "region": {
            "kind": ladder.kind,
            "radius": float(ladder.radius),
            "step": float(ladder.step),
            "features": ladder.features if ladder.features is not None else "all",
            "axes": ladder.axes,
            "seed": ladder.seed,
            "exact": {"radius": str(ladder.radius), "step": str(ladder.step)},
        },
        "arithmetic": reference.arithmetic.value,
        "effective_rule": request.effective,
    }


def _identity(described: dict[str, Any]) -> dict[str, Any]:
    """What makes a network the same network, wherever its file lies."""
    return {key: value for key, value in described.items() if key not in ("path", "accuracy")}


def _shown_path(request: Request, name: str, network: Network) -> str:
    """The path as the user typed it; for a network that relrob made, the name of its copy in the run directory."""
    typed = request.reference if name == "reference" else request.quantised
    return typed if typed is not None else f"{name}{Path(network.path).suffix}"
