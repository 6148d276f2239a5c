"""Our attacks by labels against those of ART 1.20, paired, A B A, in one run.

    relrob quantise mnist_weights_keras1.h5 --scheme int8 -o q.tflite
    python benchmarks/attacks_art.py q.tflite [--images 100] [--rounds 2] [--batch 64]

Both attack the same first MNIST test images on the same LiteRT file, through one and the same
evaluator with one thread. Ours gets all images in one call and shares the noise of a step among
them; ART, which goes image by image, gets its batches of `--batch` candidates (64 is its default).
Steps are chosen so that both ask about as often. Our Boundary begins with longer moves here, and
ends with a bisection. The clock is the processor's (user and system time of this process), which
other work on the machine disturbs less; wall time stands beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.attack import attacked
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.cli.main import tune_blas

tune_blas()

from art.attacks.evasion import BoundaryAttack, HopSkipJump  # noqa: E402
from art.estimators.classification import BlackBoxClassifier  # noqa: E402

from relrob.domain.arrays import Floats, Ints  # noqa: E402
from relrob.networks.load import load_network  # noqa: E402
from relrob.networks.open import Opened  # noqa: E402
from relrob.study.work import opened  # noqa: E402
from relrob_datasets import load  # noqa: E402

# Our attack, and the same of ART by the classifier and the batch size.
PAIRS: Final = {
    "hopskipjump:steps=10": lambda c, b: HopSkipJump(c, b, max_iter=10, verbose=False),
    "boundary:steps=50:delta=0.05:finish=true": lambda c, b: BoundaryAttack(
        c, b, targeted=False, max_iter=50, verbose=False
    ),
}


@dataclass
class Result:
    """One attack: processor and wall seconds an image, queries an image, and the L2 distances (n,),
    infinity where it failed."""

    seconds: float
    wall: float
    queries: float
    distances: Floats

    def __str__(self) -> str:
        return (
            f"{1000 * self.seconds:7.2f} ms an image (wall {1000 * self.wall:7.2f}),"
            f" {self.queries:7.1f} queries, success {np.isfinite(self.distances).mean():.3f}"
        )


def main() -> None:
    """Print each run, then the medians and the ratio of each pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--attack", action="append")
    asked = parser.parse_args()
    data = load("mnist", "test")
    network = load_network(asked.network, image_shape=data.image_shape, classes=10)
    ready = opened(network, 1)
    images = data.pixels(range(asked.images))
    clean = ready.evaluator.outputs(images).argmax(axis=1)
    for text in asked.attack or PAIRS:
        ratios, controls = [], []
        for seed in range(asked.rounds):
            first = ours(text, ready, images, clean, seed)
            theirs = art(text, ready, images, clean, asked.batch, seed)
            again = ours(text, ready, images, clean, seed)
            assert np.array_equal(first.distances, again.distances)
            print(f"{text}\n  relrob {first}\n  ART    {theirs}\n  relrob {again}")
            both = np.isfinite(first.distances) & np.isfinite(theirs.distances)
            medians = [np.median(each.distances[both]) for each in (first, theirs)]
            print(f"  median L2 of the {both.sum()} images that both break: {medians[0]:.3f},")
            print(f"  ART {medians[1]:.3f}")
            ratios.append(2 * theirs.seconds / (first.seconds + again.seconds))
            controls.append(first.seconds / again.seconds)
        print(f"  ART / relrob {statistics.median(ratios):.2f}, each {spelled(ratios)}")
        print(f"  control relrob / relrob {spelled(controls)}")


def ours(text: str, ready: Opened, images: Floats, clean: Ints, seed: int) -> Result:
    """Our attack, its final replay included."""
    full, attack = named(text)
    wall, begin = time.perf_counter(), time.process_time()
    found = attacked(attack, full, ready, images, Goal(clean), seed=seed)
    spent = time.process_time() - begin, time.perf_counter() - wall
    gaps = distances_of(ready, images, found.adversarial, clean)
    seconds, clock = (second / len(images) for second in spent)
    return Result(seconds, clock, float(found.queries.mean()), gaps)


def distances_of(ready: Opened, images: Floats, found: Floats, clean: Ints) -> Floats:
    """L2 distances (n,), infinity where an image that is run alone keeps its label."""
    won = ready.replayer.outputs(np.asarray(found, np.float32)).argmax(axis=1) != clean
    return np.asarray(np.where(won, np.linalg.norm(found - images, axis=1), np.inf), np.float32)


def art(text: str, ready: Opened, images: Floats, clean: Ints, batch: int, seed: int) -> Result:
    """ART's attack, which draws its starts without a seed."""
    asked = 0

    def predict(candidates: Floats) -> Floats:
        nonlocal asked
        asked += len(candidates)
        flat = np.ascontiguousarray(candidates.reshape(len(candidates), -1), np.float32)
        return ready.evaluator.outputs(flat)

    shape = ready.network.image_shape
    classifier = BlackBoxClassifier(predict, shape, ready.network.classes, clip_values=(0.0, 1.0))
    attack = PAIRS[text](classifier, batch)
    np.random.seed(seed)
    wall, begin = time.perf_counter(), time.process_time()
    found = attack.generate(images.reshape(-1, *shape)).reshape(images.shape)
    spent = time.process_time() - begin, time.perf_counter() - wall
    seconds, clock = (second / len(images) for second in spent)
    return Result(seconds, clock, asked / len(images), distances_of(ready, images, found, clean))


def spelled(numbers: list[float]) -> str:
    """The numbers, with two places."""
    return ", ".join(f"{number:.2f}" for number in numbers)


if __name__ == "__main__":
    main()
