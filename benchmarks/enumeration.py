"""Enumeration of a rung set against Keras `tf.function` on the same images, paired, A B A B, in one
run.

    python benchmarks/enumeration.py REFERENCE.h5 [--images 6] [--rounds 3] [--cores 1]

Both label every point of the ladders (r = 20, step 1/4, F = 20) around the first MNIST test images
with the float network and must find the same number of effective perturbations. Keras gets the
perturbed images ready-made in memory, in its best batch size of those tried; the time to make them
is not charged to it. Both get the same cores: one by default, which is what each worker of `relrob
verify` has.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from fractions import Fraction

from relrob.cli.main import tune_blas

CORES = int(sys.argv[sys.argv.index("--cores") + 1]) if "--cores" in sys.argv else 1
# Before any library counts the cores.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
tune_blas()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from relrob.deciding.decide import decide  # noqa: E402
from relrob.domain.region import Ladder  # noqa: E402
from relrob.networks.load import load_network  # noqa: E402
from relrob.queries.properties import Label  # noqa: E402
from relrob.queries.query import Budget, Query  # noqa: E402
from relrob.regions.ladder import RungSet, rung_set  # noqa: E402
from relrob.study.work import opened  # noqa: E402
from relrob.system.processors import processors  # noqa: E402
from relrob_datasets import load  # noqa: E402
from relrob_solvers.enumerate_ladder import Enumerate  # noqa: E402

BATCHES = (256, 1024, 4096)


def main() -> None:
    """Print each pair, then medians and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reference")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1)
    asked = parser.parse_args()
    data = load("mnist", "test")
    network = load_network(asked.reference, image_shape=data.image_shape, classes=10)
    assert network.dense is not None
    model = keras.Sequential([keras.Input((784,))])
    for layer in network.dense.layers:
        model.add(
            keras.layers.Dense(layer.weights.shape[1], activation="relu" if layer.relu else None)
        )
    model.set_weights(
        [array for layer in network.dense.layers for array in (layer.weights, layer.bias)]
    )
    call = tf.function(lambda x: tf.argmax(model(x), axis=1), reduce_retracing=True)
    ready = opened(network, processors())

    def keras_effective(rungs: RungSet, label: int, batch: int) -> tuple[int, float]:
        seconds, wrong = 0.0, 0
        for rung in rungs.rungs(batch):
            images = tf.constant(rungs.images(rung.masks))
            begin = time.perf_counter()
            wrong += int((call(images).numpy() != label).sum())
            seconds += time.perf_counter() - begin
        return wrong, seconds

    def relrob_effective(rungs: RungSet, label: int) -> tuple[int, float]:
        begin = time.perf_counter()
        problem = Query(rungs, Label(label), (ready,), Budget(600), counts=True)
        found = decide(problem, Enumerate()).each[0].effective
        assert found is not None
        return found, time.perf_counter() - begin

    ladders = [
        (rung_set(Ladder(Fraction(20), Fraction(1, 4)), data.images[i]), int(data.labels[i]))
        for i in range(asked.images)
    ]
    trial = {
        batch: min(keras_effective(*ladders[0], batch)[1] for _ in range(2)) for batch in BATCHES
    }
    best = min(trial, key=lambda batch: trial[batch])
    print(
        f"{CORES} core(s); keras batches { ({b: round(s, 3) for b, s in trial.items()}) } s,"
        f" best {best}"
    )
    ratios, controls = [], []
    for _ in range(asked.rounds):
        for rungs, label in ladders:
            theirs, theirs_s = keras_effective(rungs, label, best)
            ours, ours_s = relrob_effective(rungs, label)
            _, again_s = keras_effective(rungs, label, best)
            same = "same count" if ours == theirs else f"DIFFERENT: keras {theirs}"
            print(
                f"{rungs.count} points, {ours} effective, keras {theirs_s:.3f} s,"
                f" relrob {ours_s:.3f} s, {same}"
            )
            ratios.append((theirs_s + again_s) / 2 / ours_s)
            controls.append(again_s / theirs_s)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"keras / relrob: median {statistics.median(ratios):.2f},"
        f" {min(ratios):.2f} to {max(ratios):.2f}"
    )
    print(
        f"control keras / keras: median {statistics.median(controls):.2f},"
        f" {min(controls):.2f} to {max(controls):.2f}"
    )
    print(f"peak memory of this process, TensorFlow included: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
