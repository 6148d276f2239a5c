"""What `relrob.attack` and `relrob.transfer` return: frozen values, and their JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from relrob.api.subjects import network_json
from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.craft import Crafted
from relrob.attacks.metrics import Metrics, flips_of
from relrob.attacks.recognition import Recognition
from relrob.attacks.transfer import Cell, Scenario, matrix, means
from relrob.domain.arrays import Ints
from relrob.domain.network import Network
from relrob.errors import printable
from relrob.system.files import readable
from relrob.system.version import VERSION

# Steps of a history that JSON shows.
_STEPS: Final = 50


@dataclass(frozen=True, eq=False)
class AttackResult:
    """An attack on one network.

    `samples`: the examples, as -o keeps them; `metrics`, `recognition`: of these; `crafted`: the
    run behind them (`crafted.attacked`: replay, queries, history). `chosen`: images asked for, of
    which `accuracy` is the share that the network labels rightly; the filter and the draw left
    those in `samples`. `path`: the file that was written, or None. `class_names`: the classes of
    the data in the order of labels, () where labels are numbers.
    """

    network: Network
    samples: AdversarialSet
    metrics: Metrics
    recognition: Recognition
    crafted: Crafted
    chosen: int
    accuracy: float
    path: Path | None = None
    class_names: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The document of `relrob attack --json`; the same command gives the same bytes, but for
        the key `seconds`."""
        origin, run = self.samples.origin, self.crafted.attacked
        return {
            "relrob": VERSION,
            "attack": origin.attack,
            "norm": origin.norm.value,
            "seed": origin.seed,
            "network": network_json(self.network),
            "dataset": dataset_json(self.samples, self.class_names),
            "images": self.chosen,
            "accuracy": round(self.accuracy, 6),
            "filter": origin.filter.value,
            "metrics": self.metrics.json(),
            "flips": _flips(self.samples),
            "unrecognisable": self.recognition.json(),
            "model": self._model(),
            "queries": _counts(run.queries),
            "gradients": _counts(run.gradients),
            "history": _history(run.history),
            "words": _words(run.words),
            "fitted": self._fitted(),
            "file": None if self.path is None else readable(self.path),
            "seconds": round(run.seconds, 3),
        }

    def _fitted(self) -> dict[str, Any] | None:
        """The universal perturbation: a fit that ended because it fooled enough has converged."""
        fitted = self.crafted.fitted
        if fitted is None:
            return None
        return {
            "on": self.samples.origin.fitted_on,
            "fooling": round(fitted.fooling, 6),
            "converged": fitted.converged,
            "passes": fitted.passes,
        }

    def _model(self) -> dict[str, Any] | None:
        """Both rates: of the differentiable model, and of the network itself."""
        model, on_model = self.crafted.model, self.crafted.attacked.on_model
        if model is None or on_model is None:
            return None
        success = self.samples.success
        return {
            "name": model.name,
            "exact": model.exact,
            "agreement": round(float(self.crafted.agreement or 0.0), 6),
            "success_on_model": int(on_model.sum()),
            "success_on_network": int(success.sum()),
            "lost": int((on_model & ~success).sum()),
        }


@dataclass(frozen=True, eq=False)
class TransferResult:
    """Examples of some sources on some targets.

    `networks`: the targets, in order; `accuracies`: the share of clean images that each labels
    rightly; `sets`: a set for each source; `columns`: for each source, the number of the network
    that it is among the targets, -1 for none; `cells`: by source, then target. `scenarios`: those
    of Zhao et al. 2018, () without a full-precision network; `class_names`: as `AttackResult` has
    them, () for samples that were kept.
    """

    networks: tuple[Network, ...]
    accuracies: tuple[float, ...]
    sets: tuple[AdversarialSet, ...]
    columns: tuple[int, ...]
    cells: tuple[Cell, ...]
    scenarios: tuple[Scenario, ...]
    seconds: float
    class_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The targets by file name, or by path where two files have one name."""
        return _short([network.path for network in self.networks])

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources, likewise, told apart by attack where it must be."""
        names = _short([each.origin.network for each in self.sets])
        return _told_apart(names, [each.origin.attack for each in self.sets])

    def cell(self, source: int, target: int) -> Cell:
        """The cell of two numbers."""
        return self.cells[source * len(self.networks) + target]

    def json(self) -> dict[str, Any]:
        """The document of `relrob transfer --json`; the same command gives the same bytes, but for
        the key `seconds`."""
        rows, columns = len(self.networks), len(self.sets)
        rates = matrix(self.cells, rows, columns)
        targeted = any(found.targets is not None for found in self.sets)
        return {
            "relrob": VERSION,
            "targets": [
                {"name": name, **network_json(network), "accuracy": round(share, 6)}
                for name, network, share in zip(
                    self.names, self.networks, self.accuracies, strict=True
                )
            ],
            "sources": [
                {"name": name, **_source(found, self.class_names), "target": column}
                for name, found, column in zip(self.sources, self.sets, self.columns, strict=True)
            ],
            "cells": [each.json() for each in self.cells],
            "matrix": {
                "rows": list(self.names),
                "columns": list(self.sources),
                "evasion_rate": rates,
                "row_means": means(rates),
                "column_means": means([list(column) for column in zip(*rates, strict=True)]),
                "targeted_rate": matrix(self.cells, rows, columns, True) if targeted else None,
            },
            "scenarios": [
                {"name": self.names[each.network], **each.json()} for each in self.scenarios
            ],
            "seconds": round(self.seconds, 3),
        }


def dataset_json(found: AdversarialSet, class_names: Sequence[str] = ()) -> dict[str, Any]:
    """The data set of the clean images of a set, with the names of its classes where there are
    any."""
    origin = found.origin
    return {
        "name": origin.dataset,
        "split": origin.split,
        "sha256": origin.data_sha256,
        **({"range": origin.range} if origin.range else {}),
        **({"classes": [printable(name) for name in class_names]} if class_names else {}),
    }


def _flips(found: AdversarialSet) -> list[dict[str, int]]:
    """The most frequent changes of label among the successes on the source."""
    return [
        {"label": true, "found": said, "examples": count}
        for true, said, count in flips_of(found.labels, found.found, found.success)
    ]


def _source(found: AdversarialSet, class_names: Sequence[str]) -> dict[str, Any]:
    origin = found.origin
    return {
        "path": readable(origin.network),
        "sha256": origin.sha256,
        "runtime": origin.runtime,
        "scheme": origin.scheme,
        "attack": origin.attack,
        "norm": origin.norm.value,
        "seed": origin.seed,
        "filter": origin.filter.value,
        "dataset": dataset_json(found, class_names),
        "samples": len(found),
        "success": int(found.success.sum()),
        "flips": _flips(found),
    }


def _short(paths: Sequence[str]) -> tuple[str, ...]:
    """File names, or paths where two networks have one file name."""
    names = [readable(Path(path).name) for path in paths]
    whole = [readable(path) for path in paths]
    alike = {name for name, path in zip(names, whole, strict=True) if _others(name, names, whole)}
    return tuple(path if name in alike else name for name, path in zip(names, whole, strict=True))


def _others(name: str, names: Sequence[str], paths: Sequence[str]) -> bool:
    """Do several paths have this file name?"""
    return len({path for each, path in zip(names, paths, strict=True) if each == name}) > 1


def _told_apart(names: Sequence[str], attacks: Sequence[str]) -> tuple[str, ...]:
    """The names, with the attack where one network is the source of several sets: its name, or its
    whole text; then the number of the set."""
    pairs = list(zip(names, attacks, strict=True))
    for labels in (
        list(names),
        [f"{name} {attack.partition(':')[0]}" for name, attack in pairs],
        [f"{name} {attack}" for name, attack in pairs],
    ):
        if len(set(labels)) == len(labels):
            return tuple(labels)
    return tuple(f"{name} {attack} ({at})" for at, (name, attack) in enumerate(pairs, 1))


def _counts(values: Ints) -> dict[str, float]:
    return {
        "total": int(values.sum()),
        "mean": round(float(values.mean()), 3),
        "median": float(np.median(values)),
        "largest": int(values.max()),
    }


def _history(steps: Sequence[Any]) -> list[dict[str, Any]]:
    """For some steps: the images that have an adversarial example so far, and the median of their
    least distances."""
    some = np.unique(np.linspace(0, len(steps) - 1, _STEPS).astype(int)) if steps else ()
    told = []
    for step in some:
        there = steps[step][np.isfinite(steps[step])]
        median = round(float(np.median(there)), 6) if len(there) else None
        told.append({"step": int(step) + 1, "found": len(there), "median": median})
    return told


def _words(words: dict[int, str]) -> dict[str, int]:
    """How often each remark was made."""
    found: dict[str, int] = {}
    for text in words.values():
        found[text] = found.get(text, 0) + 1
    return dict(sorted(found.items()))
