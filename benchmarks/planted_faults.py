"""Is each planted fault of a quantised network called by its right name, and a faithful
quantisation by none?

python -m benchmarks.planted_faults [--data ../shared/data] [--only WORD]

The networks are real ones: see docs/audit-weights.md for the list. Every line is one pair: the
fault that was planted, the names that the audit gives, and the share of labels that it changes.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted_cases import LEVELS, MAKERS, Case, Planter, pictures
from benchmarks.planted_folded import folded, standing
from relrob.audit.judge import diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.runtime_faults import runtime_faults
from relrob.audit.runtimes import compare
from relrob.audit.sample import WEIGHED, spread
from relrob.audit.weights import compare_weights
from relrob.domain.network import Network
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob_datasets.dataset import Dataset


def judged(case: Case, data: Dataset) -> tuple[Any, ...]:
    """The diagnoses of a pair, those of its runs alone, the share of equal labels, the seconds."""
    pair: dict[str, Network] = {}
    for role, path in (("reference", case.reference), ("quantised", case.quantised)):
        options = dict(case.options.get(role, {}))
        pair[role] = load_network(
            path,
            image_shape=data.image_shape,
            classes=data.classes,
            more_classes=True,
            **options,
        )
    start = time.perf_counter()
    runs = compare_pair(pair["reference"], pair["quantised"], _labelled(case, pair, data))
    some = data.pixels(spread(200, WEIGHED))
    weights = compare_weights(pair["reference"], pair["quantised"], some)
    found = diagnose(runs, weights)
    alone = [each.id for each in (*runs.diagnoses, *runs.candidates)]
    return found, alone, runs.agreement, time.perf_counter() - start


def _labelled(case: Case, pair: dict[str, Network], data: Dataset) -> Dataset:
    """The data; features are labelled by the reference."""
    if case.data != "speech":
        return data
    outputs = open_network(pair["reference"]).outputs(data.pixels(range(len(data))))
    return replace(
        data,
        labels=outputs.argmax(axis=1).astype(np.int64),
        reading=replace(data.reading, labels="reference"),
    )


def on_runtimes(data: Path) -> list[tuple[str, bool, str]]:
    """Files on all their runtimes: a name, is it right, and what was found."""
    rows = []
    levels: dict[str, Any] = {"inputs": LEVELS}
    none: dict[str, Any] = {}
    for path, name, options, expected in (
        ("quantised_formats/mnist_quantized.tflite", "mnist", none, True),
        ("quantised_formats/mlp_static_wi8_ai8.tflite", "mnist", none, False),
        ("mlperf_tiny/pretrainedResnet_quant.tflite", "cifar", levels, False),
    ):
        images = pictures(name, data)
        network = load_network(
            data / path, image_shape=images.image_shape, classes=images.classes, **options
        )
        report = compare(network, images)
        found = runtime_faults(report, "tflm" if expected else network.runtime)
        right = any(each.blocking for each in found) == expected
        told = "; ".join(each.sentence for each in found) or report.sentence
        rows.append((f"runtimes of {Path(path).name}", right, told))
    return rows


def main() -> int:
    """Prints the table; 1 where a name is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    wrong = total = 0
    with tempfile.TemporaryDirectory() as folder:
        at = Planter(options.data, Path(folder))
        makers = (*MAKERS, folded, standing)
        for case in itertools.chain.from_iterable(maker(at) for maker in makers):
            if options.only not in case.name:
                continue
            found, alone, agreement, seconds = judged(case, pictures(case.data, options.data))
            names = tuple(dict.fromkeys(each.id for each in found if each.blocking))
            right = set(names) == set(case.expected)
            wrong, total = wrong + (not right), total + 1
            print(
                f"{'ok   ' if right else 'WRONG'} {case.name:42} {', '.join(names) or '-':24} "
                f"{100 * agreement:6.1f} % {seconds:5.2f} s  runs: {', '.join(alone) or '-'}",
                flush=True,
            )
            if not right:
                for each in found:
                    print("      ", each.sentence)
    if not options.only:
        for name, right, told in on_runtimes(options.data):
            wrong, total = wrong + (not right), total + 1
            print(f"{'ok   ' if right else 'WRONG'} {name:42} {told}", flush=True)
    print(f"{total} pairs, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
