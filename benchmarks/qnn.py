"""The AAAI 2021 benchmark of quantised networks (Henzinger, Lechner, Zikelic): 400 MNIST samples in
integer L-infinity balls.

    python benchmarks/qnn.py FOLDER [--samples 0:400] [--workers 2] [--time-limit 120] [--out DIR]

FOLDER holds `mnist_mlp.h5` (784-64-32, of which the first ten outputs count; 6-bit weights and
activations) and `published_mnist.csv` (sample_id, eps_linf_levels, published). Every sample is
decided in the ball of eps/255 around it. Every ROBUST verdict gets a certificate, which is checked
as by `relrob check`. Every witness is replayed in Python's own integers. A verdict that contradicts
a published one ends the run.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from relrob.certificates.checking.check import check
from relrob.certificates.writing.write import certificate
from relrob.deciding.decide import decide
from relrob.domain.region import Ball, Norm
from relrob.domain.verdict import Status
from relrob.networks.fixed.file import fixed_of, write_fixed
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.fixed.qnn_file import read_qnn
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ball import ball_set
from relrob.study.work import opened
from relrob_datasets import load

_TRUTH = {"robust": Status.ROBUST, "vulnerable": Status.NOT_ROBUST}


@dataclass(frozen=True)
class Sample:
    """One row of the published table."""

    index: int
    eps: int
    published: str


@dataclass(frozen=True)
class Answer:
    """What became of a sample: `verdict` (or "misclassified"), who decided, seconds to decide and
    to check, certificate bytes."""

    sample: Sample
    verdict: str
    by: str
    seconds: float
    checked: float
    size: int


@lru_cache(maxsize=1)
def _opened(path: str) -> Opened:
    threadpool_limits(1)
    return opened(load_network(path, image_shape=(28, 28, 1), classes=10), 1)


def answered(task: tuple[str, Sample, float]) -> Answer:
    """One sample, in a worker."""
    path, sample, limit = task
    network, data, begin = _opened(path), load("mnist", "test"), time.perf_counter()
    image, label = data.images[sample.index], int(data.labels[sample.index])
    if int(network.evaluator.outputs(data.pixels([sample.index])).argmax()) != label:
        return Answer(sample, "misclassified", "", 0.0, 0.0, 0)
    region = Ball(Norm.LINF, Fraction(sample.eps, 255))
    ball = ball_set(region, image)
    decision = decide(Query(ball, Label(label), (network,), Budget(limit), certify=True))
    verdict, seconds = decision.verdicts[0], time.perf_counter() - begin
    if verdict.witness is not None:
        fixed = fixed_of(network.network)
        assert fixed is not None
        codes = fixed.codes(verdict.witness.image[None, :])[0]
        levels = image.ravel().astype(np.int64)
        assert np.abs(codes - levels).max() <= sample.eps, sample
        assert _label(fixed, codes.tolist()) != label, sample
    size, begin = 0, time.perf_counter()
    if verdict.status is Status.ROBUST:
        proof = decision.each[0].proof
        assert proof is not None
        written = certificate(network, ball, image, label, "quantised", proof)
        assert written is not None
        size = len(written)
        file = Path(path).parent / f"{sample.index:05d}-quantised.json"
        file.write_bytes(written)
        report = check(file, Path(path))
        assert report.valid, report
    return Answer(
        sample, verdict.status.value, verdict.solver, seconds, time.perf_counter() - begin, size
    )


def _label(network: FixedNetwork, codes: list[int]) -> int:
    """The first largest output, one multiplication after another."""
    values = codes
    for layer in network.layers:
        columns = zip(*layer.weights.tolist(), strict=True)
        sums = [sum(w * x for w, x in zip(column, values, strict=True)) for column in columns]
        shifted = [(s + o) >> layer.shift for s, o in zip(sums, layer.offset.tolist(), strict=True)]
        values = [min(max(value, layer.low), layer.high) for value in shifted]
    return values.index(max(values))


def rows(folder: Path, chosen: str) -> Iterator[Sample]:
    """The published samples of a slice."""
    first, _, last = chosen.partition(":")
    with (folder / "published_mnist.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if int(first) <= int(row["sample_id"]) < int(last):
                yield Sample(int(row["sample_id"]), int(row["eps_linf_levels"]), row["published"])


def main() -> None:
    """A line for each sample that takes more than a second, then the sums."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", default="0:400")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    begin, counts, every = time.perf_counter(), Counter[tuple[str, str, str]](), []
    with tempfile.TemporaryDirectory() as made:
        folder = asked.out or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "network.npz"
        write_fixed(read_qnn(asked.folder / "mnist_mlp.h5"), path)
        tasks = [
            (str(path), sample, asked.time_limit) for sample in rows(asked.folder, asked.samples)
        ]
        with ProcessPoolExecutor(asked.workers) as pool:
            for answer in pool.map(answered, tasks):
                every.append(answer)
                counts[answer.verdict, answer.by, answer.sample.published] += 1
                known = _TRUTH.get(answer.sample.published)
                assert known is None or known.value == answer.verdict, answer
                assert (answer.sample.published == "misclassified") == (
                    answer.verdict == "misclassified"
                ), answer
                if answer.seconds > 1:
                    print(
                        f"sample {answer.sample.index}, eps {answer.sample.eps}: {answer}",
                        flush=True,
                    )
    for (verdict, by, published), count in sorted(counts.items()):
        print(f"{count:4d} {verdict} ({by or 'the network'}); published: {published}")
    solving, checking = (
        sum(getattr(answer, what) for answer in every) for what in ("seconds", "checked")
    )
    sizes = sorted(answer.size for answer in every if answer.size)
    print(
        f"{time.perf_counter() - begin:.1f} s of wall time; {solving:.1f} s to decide,"
        f" {checking:.1f} s to write and check"
    )
    print(f"{len(sizes)} certificates, all valid, of {sizes[0]:,} to {sizes[-1]:,} bytes")
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of a worker: {workers:.0f} MiB")


if __name__ == "__main__":
    main()
