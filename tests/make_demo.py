"""The two networks of `relrob demo`, made again: `python -m tests.make_demo`.

A small MLP, trained in NumPy on the embedded MNIST (seeded), and its dynamic-range LiteRT file. The
files in the repository are the ones that count: another processor may train other weights.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from relrob.api.quantise import quantise
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense, Layer
from relrob.networks.onnx.export import to_onnx
from relrob_datasets import load
from tests.support import ROOT

SIZES = (784, 48, 32, 10)
EPOCHS, BATCH, RATE = 6, 100, 1e-3


def trained(pixels: Floats, labels: NDArray[np.int64]) -> Dense:
    """An MLP of `SIZES`, trained with Adam on the cross-entropy; the seed is 0."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.pairwise(SIZES))
    values = [rng.standard_normal(pair) * np.sqrt(2 / pair[0]) for pair in pairs]
    values += [np.zeros(after) for _, after in pairs]
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in values]
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(pixels))
        for start in range(0, len(order), BATCH):
            chosen, step = order[start : start + BATCH], step + 1
            slopes = _slopes(values, pixels[chosen], labels[chosen])
            for at, slope in enumerate(slopes):
                mean, square = moments[at]
                np.add(0.9 * mean, 0.1 * slope, out=mean)
                np.add(0.999 * square, 0.001 * slope**2, out=square)
                scaled = np.sqrt(square / (1 - 0.999**step)) + 1e-8
                values[at] -= RATE * (mean / (1 - 0.9**step)) / scaled
    last, count = len(pairs) - 1, len(pairs)
    return Dense(
        tuple(
            Layer(
                values[at].astype(np.float32), values[count + at].astype(np.float32), relu=at < last
            )
            for at in range(count)
        ),
        softmax=False,
    )


def _slopes(values: list[Doubles], batch: Floats, labels: NDArray[np.int64]) -> list[Doubles]:
    """The gradients of the mean cross-entropy, weights first and then biases."""
    count = len(values) // 2
    outputs = [batch.astype(np.float64)]
    for at in range(count):
        sums = outputs[-1] @ values[at] + values[count + at]
        outputs.append(np.maximum(sums, 0) if at < count - 1 else sums)
    powers = np.exp(outputs[-1] - outputs[-1].max(axis=1, keepdims=True))
    back = powers / powers.sum(axis=1, keepdims=True)
    back[np.arange(len(labels)), labels] -= 1
    back /= len(labels)
    weights, biases = [], []
    for at in reversed(range(count)):
        weights.append(outputs[at].T @ back)
        biases.append(back.sum(axis=0))
        back = (back @ values[at].T) * (outputs[at] > 0)
    return [*reversed(weights), *reversed(biases)]


def main() -> None:
    """Write both files."""
    folder = ROOT / "relrob" / "study" / "builtin"
    data = load("mnist", "train")
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) / np.float32(255)
    dense = trained(pixels, data.labels)
    (folder / "demo.onnx").write_bytes(to_onnx(dense))
    quantise(folder / "demo.onnx", folder / "demo.tflite", scheme="dynamic")


if __name__ == "__main__":
    main()
