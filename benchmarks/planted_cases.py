"""Real pairs of networks, faithful and with planted faults, for `planted_faults.py`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.contract import input_options
from relrob.domain.network import Dense, Layer
from relrob.networks.load import load_network
from relrob.networks.weighted import weights_of
from relrob_datasets import load
from relrob_datasets.dataset import Dataset
from tests import planted_onnx
from tests import planted_pairs as plant
from tests.audit.pairs import dynamic
from tests.make_networks import write_keras1

Array = NDArray[Any]
MNIST, CIFAR, SPEECH = (28, 28, 1), (32, 32, 3), (49, 10, 1)
LEVELS = input_options(input_scale="255")
FEATURES = input_options(input_scale="149.099", mean="123.372")
# Options of a pair that reads pixels as levels of 0 to 255.
BOTH_LEVELS: Final = {"reference": {"inputs": LEVELS}, "quantised": {"inputs": LEVELS}}


@dataclass(frozen=True)
class Case:
    """A pair and the names that its faults have; `options` of `load_network` for each role."""

    name: str
    reference: Path
    quantised: Path
    expected: tuple[str, ...]
    data: str = "mnist"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Planter:
    """Files with faults in a folder."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        self._count = itertools.count()

    def write(self, content: bytes, suffix: str) -> Path:
        """A file of its own."""
        path = self.folder / f"{next(self._count)}{suffix}"
        path.write_bytes(content)
        return path

    def lite(self, name: str | bytes, fault: Callable[[plant.Lite], None]) -> Path:
        """A `.tflite` file with a fault."""
        return self.write(plant.lite(self._content(name), fault), ".tflite")

    def onnx(self, name: str | bytes, fault: Callable[[dict[str, Array]], None]) -> Path:
        """An `.onnx` file with a fault."""
        return self.write(plant.graph(self._content(name), fault), ".onnx")

    def _content(self, name: str | bytes) -> bytes:
        return name if isinstance(name, bytes) else (self.data / name).read_bytes()

    def dense(self, dense: Dense) -> Path:
        """Weights as Keras 1 wrote them."""
        return write_keras1(dense, self.folder / f"{next(self._count)}.h5")


def planted(
    reference: Path,
    write: Callable[[Any], Path],
    rows: Iterable[tuple[str, Callable[..., None], str]],
    **more: Any,
) -> Iterator[Case]:
    """A pair for each of the rows (name, fault, the name that the fault has). `write`: a fault to
    the quantised file; `more`: of `Case`."""
    for name, fault, expected in rows:
        yield Case(name, reference, write(fault), (expected,), **more)


def trained(dense: Dense, images: Floats, labels: Array, epochs: float, seed: int) -> Dense:
    """The network after so many epochs of plain gradient descent."""
    rng = np.random.default_rng(seed)
    values = [(la.weights.astype(np.float64), la.bias.astype(np.float64)) for la in dense.layers]
    for _ in range(int(epochs * len(images) / 50)):
        some = rng.integers(0, len(images), 50)
        inputs = [images[some].astype(np.float64)]
        for number, (weights, bias) in enumerate(values):
            out = inputs[-1] @ weights + bias
            inputs.append(out if number == len(values) - 1 else np.maximum(out, 0))
        powers = np.exp(inputs[-1] - inputs[-1].max(axis=1, keepdims=True))
        error = powers / powers.sum(axis=1, keepdims=True)
        error[np.arange(50), labels[some]] -= 1
        for number in range(len(values) - 1, -1, -1):
            weights, bias = values[number]
            step = inputs[number].T @ error / 50, error.mean(axis=0)
            error = (error @ weights.T) * (inputs[number] > 0)
            values[number] = weights - 0.05 * step[0], bias - 0.05 * step[1]
    return Dense(
        tuple(
            Layer(w.astype(np.float32), b.astype(np.float32), relu=number < len(values) - 1)
            for number, (w, b) in enumerate(values)
        )
    )


def fresh(sizes: tuple[int, ...], seed: int) -> Dense:
    """An untrained network."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(sizes))
    return Dense(
        tuple(
            Layer(
                (rng.standard_normal(pair) * np.sqrt(2 / pair[0])).astype(np.float32),
                np.zeros(pair[1], np.float32),
                relu=number < len(pairs) - 1,
            )
            for number, pair in enumerate(pairs)
        )
    )


def faithful(at: Planter) -> Iterator[Case]:
    """Pairs without a fault."""
    data, forms, tiny = at.data, at.data / "quantised_formats", at.data / "mlperf_tiny"
    for path in sorted(forms.glob("mlp_*")):
        if path.suffix in (".tflite", ".onnx") and path.stem != "mlp_float":
            yield Case(f"faithful {path.name}", forms / "mlp.keras", path, ())
    for name in ("mnist_quantized", "partly_quantized_mnist"):
        yield Case(
            f"faithful {name} CNN", forms / "conv_fc_mnist.tflite", forms / f"{name}.tflite", ()
        )
    for suffix in (".h5", ".tflite"):
        yield Case(
            f"faithful ResNet8 of {suffix}",
            tiny / f"pretrainedResnet{suffix}",
            tiny / "pretrainedResnet_quant.tflite",
            (),
            "cifar",
            BOTH_LEVELS,
        )
    yield Case(
        "faithful DS-CNN keywords",
        tiny / "kws_ref_model_float32.tflite",
        tiny / "kws_ref_model.tflite",
        (),
        "speech",
        {"reference": {"inputs": FEATURES}, "quantised": {"inputs": FEATURES}},
    )
    yield Case(
        "faithful authors' CIFAR pair",
        data / "duncan2020/cifar10_weights_keras1.h5",
        data / "duncan2020/converted_model_cifar.tflite",
        (),
        "cifar",
        {"quantised": {"layout": "chw"}},
    )


def lite_faults(at: Planter) -> Iterator[Case]:
    """Faults of MLPs in `.tflite` files."""
    forms = at.data / "quantised_formats"
    reference = forms / "mlp.keras"
    int8 = "quantised_formats/mlp_static_wi8_ai8.tflite"
    dynamic = "quantised_formats/mlp_dynamic_wi8.tflite"
    four = "quantised_formats/mlp_dynamic_wi4.tflite"
    rows = [
        ("one weight by 40 steps, MLP int8", int8, plant.weight(1, 40), "changed-weights"),
        ("one weight by 1 step, MLP int8", int8, plant.weight(0, 1, 70000), "changed-weights"),
        ("one weight by 3 steps, MLP dynamic", dynamic, plant.weight(2, 3), "changed-weights"),
        ("one bias by 0.5, MLP int8", int8, plant.bias(1, 0.5), "changed-bias"),
        ("one bias by 0.01, MLP dynamic", dynamic, plant.bias(2, 0.01), "changed-bias"),
        ("one bias by 1, MLP int4", four, plant.bias(0, 1.0), "changed-bias"),
        ("scale of a channel x2, MLP int8", int8, plant.scale(1, 2.0, 3), "changed-scale"),
        ("scale of a channel x1.05, MLP dyn.", dynamic, plant.scale(0, 1.05, 7), "changed-scale"),
        ("scales of a layer x0.5, MLP int4", four, plant.scale(1, 0.5), "changed-scale"),
        (
            "scale of an activation x1.5, int8",
            int8,
            plant.activation_scale(0, 1.5),
            "changed-scale",
        ),
        ("zero point of hidden +30, MLP int8", int8, plant.zero_point(1, 30), "changed-zero-point"),
        ("zero point of input +9, MLP int8", int8, plant.zero_point(0, 9, 0), "changed-zero-point"),
        ("classes 3 and 8, MLP int8", int8, plant.swapped_classes(3, 8), "permuted-classes"),
        ("classes 4 and 9, MLP dynamic", dynamic, plant.swapped_classes(4, 9), "permuted-classes"),
        ("ranges a quarter, MLP int8", int8, plant.calibrated(0.25), "saturated-activations"),
        ("ranges tenfold, MLP int8", int8, plant.calibrated(10.0), "calibration"),
    ]
    for name, file, fault, expected in rows:
        yield Case(name, reference, at.lite(file, fault), (expected,))
    yield Case(
        "the float file twice", reference, forms / "mlp_float.tflite", ("nothing-quantised",)
    )
    yield Case("float ONNX as quantised", reference, forms / "mlp.onnx", ("nothing-quantised",))


def trained_faults(at: Planter) -> Iterator[Case]:
    """Another seed, another epoch, layers of one shape."""
    forms = at.data / "quantised_formats"
    train = load("mnist", "train")
    images, labels = train.pixels(range(6000)).reshape(-1, 784), train.labels[:6000]
    mlp = load_network(forms / "mlp.onnx", image_shape=MNIST, classes=10).dense
    assert mlp is not None
    files = (
        "mlp_static_wi8_ai8.tflite",
        "mlp_qdq_u8s8.onnx",
        "mlp_nbits_4.onnx",
        "mlp_wo_wi4.tflite",
    )
    later = at.dense(trained(mlp, images, labels, 1, 1))
    other = at.dense(trained(fresh((784, 128, 64, 10), 5), images, labels, 3, 2))
    for file in files:
        yield Case(f"an epoch older, {file}", later, forms / file, ("stale-weights",))
        yield Case(f"another seed, {file}", other, forms / file, ("another-network",))
    yield Case(
        "another training, CNN int8",
        forms / "conv_fc_mnist.tflite",
        forms / "conv_fc_mnist_srq_a8w8.tflite",
        ("another-network",),
    )


def normalised(at: Planter) -> Iterator[Case]:
    """A network that reads (x - mean) / std of each channel, fed pixels."""
    path = at.data / "duncan2020/cifar10_weights_keras1.h5"
    dense = load_network(path, image_shape=CIFAR, classes=10).dense
    assert dense is not None
    mean = np.tile([0.4914, 0.4822, 0.4465], 1024)
    std = np.tile([0.2470, 0.2435, 0.2616], 1024)
    first = dense.layers[0]
    bias = (first.bias + mean @ first.weights).astype(np.float32)
    weights = (first.weights * std[:, None]).astype(np.float32)
    other = Dense((replace(first, weights=weights, bias=bias), *dense.layers[1:]))
    both = {role: {"layout": "hwc"} for role in ("reference", "quantised")}
    yield Case(
        "mean and std forgotten, CIFAR MLP",
        at.dense(other),
        at.write(dynamic(other), ".tflite"),
        ("normalisation",),
        "cifar many",
        both,
    )


def resnet_faults(at: Planter) -> Iterator[Case]:
    """Faults of a residual network in int8."""
    tiny = at.data / "mlperf_tiny"
    reference, quantised = tiny / "pretrainedResnet.tflite", tiny / "pretrainedResnet_quant.tflite"
    rows = [
        ("one weight by 20 steps, ResNet8", plant.weight(4, 20), "changed-weights"),
        ("one weight by 1 step, ResNet8", plant.weight(7, 1, 300), "changed-weights"),
        ("one bias by 1, ResNet8", plant.bias(3, 1.0), "changed-bias"),
        ("scale of a channel x0.7, ResNet8", plant.scale(6, 0.7, 11), "changed-scale"),
        ("scale of an activation x2, ResNet8", plant.activation_scale(0, 2.0), "changed-scale"),
        ("zero point of hidden +20, ResNet8", plant.zero_point(3, 20), "changed-zero-point"),
        ("cat and dog, ResNet8", plant.swapped_classes(3, 5), "permuted-classes"),
        ("layers 1 and 2, ResNet8", plant.swapped_layers(1, 2), "swapped-layers"),
        (
            "BGR kernel, ResNet8",
            plant.inputs_reordered(np.arange(27).reshape(-1, 3)[:, ::-1].ravel()),
            "channel-order",
        ),
    ]
    lite = partial(at.lite, quantised.read_bytes())
    yield from planted(reference, lite, rows, data="cifar", options=BOTH_LEVELS)
    yield Case("/255 forgotten, ResNet8", reference, quantised, ("input-scale",), "cifar")
    yield Case(
        "pictures of blue, green, red, ResNet8",
        reference,
        quantised,
        ("channel-order",),
        "cifar bgr",
        BOTH_LEVELS,
    )
    both = {role: {"layout": "hwc"} for role in ("reference", "quantised")}
    yield Case(
        "C,H,W read as H,W,C by both, authors' CIFAR",
        at.data / "duncan2020/cifar10_weights_keras1.h5",
        at.data / "duncan2020/converted_model_cifar.tflite",
        ("layout",),
        "cifar",
        both,
    )
    yield Case(
        "C,H,W read as H,W,C by one, authors' CIFAR",
        at.data / "duncan2020/cifar10_weights_keras1.h5",
        at.data / "duncan2020/converted_model_cifar.tflite",
        ("layout",),
        "cifar",
        {"quantised": {"layout": "hwc"}},
    )


def onnx_faults(at: Planter) -> Iterator[Case]:
    """Faults of MLPs and of a CNN in `.onnx` files."""
    forms = at.data / "quantised_formats"
    reference, qdq = forms / "mlp.keras", "quantised_formats/mlp_qdq_u8s8.onnx"

    def by(name: str, index: Any, change: Callable[[Array], Array]) -> Callable[..., None]:
        def fault(arrays: dict[str, Array]) -> None:
            arrays[name][index] = change(arrays[name][index])

        return fault

    rows = [
        (
            "one weight by 9 steps, MLP QDQ",
            by("W1_quantized", (5, 5), lambda w: w - 9 * np.sign(w + 0.5)),
            "changed-weights",
        ),
        (
            "one bias by 9 steps, MLP QDQ",
            by("b1_quantized", 3, lambda b: np.where(b > 128, b - 9, b + 9)),
            "changed-bias",
        ),
        ("scale of a channel x3, MLP QDQ", by("W2_scale", 4, lambda s: s * 3), "changed-scale"),
        (
            "zero point of hidden 25, MLP QDQ",
            by("r0_zero_point", (), lambda z: z + 25),
            "changed-zero-point",
        ),
    ]
    yield from planted(reference, partial(at.onnx, qdq), rows)
    source = load_network(forms / "conv_fc_mnist.tflite", image_shape=MNIST, classes=10)
    plain = planted_onnx.cnn(weights_of(source), 28)
    images = pictures("mnist", at.data).pixels(range(100)).reshape(-1, 1, 28, 28)
    rng = np.random.default_rng(0)
    noise, even = rng.standard_normal(images.shape), rng.random(images.shape)
    cnn, good = at.write(plain, ".onnx"), planted_onnx.quantised(plain, images)
    yield Case("faithful CNN QDQ", cnn, at.write(good, ".onnx"), ())
    yield Case(
        "faithful CNN QDQ against .tflite",
        forms / "conv_fc_mnist.tflite",
        at.write(good, ".onnx"),
        (),
    )
    operators = planted_onnx.quantised(plain, images, operators=True)
    yield Case("faithful CNN QOperator", cnn, at.write(operators, ".onnx"), ())
    for name, values in (("normal", noise), ("uniform", even)):
        wide = planted_onnx.quantised(plain, values)
        # Uniform noise of 0..1 happens to have the ranges of the images.
        names = ("calibration",) if name == "normal" else ()
        yield Case(f"calibrated on {name} noise, CNN QDQ", cnn, at.write(wide, ".onnx"), names)
    dark = planted_onnx.quantised(plain, images * 0.1)
    yield Case(
        "calibrated on dark images, CNN QDQ",
        cnn,
        at.write(dark, ".onnx"),
        ("saturated-activations",),
    )
    rows = [
        (
            "one weight, CNN QDQ",
            by("w0_quantized", (2, 0, 1, 1), lambda w: w - 30 * np.sign(w + 0.5)),
            "changed-weights",
        ),
        ("scale of a channel, CNN QDQ", by("w0_scale", 2, lambda s: s * 1.5), "changed-scale"),
        ("classes 1 and 7, CNN QDQ", _rows_swapped, "permuted-classes"),
    ]
    yield from planted(cnn, partial(at.onnx, good), rows)


def _rows_swapped(arrays: dict[str, Array]) -> None:
    for name, array in arrays.items():
        if name.startswith(("w2", "b2")) and array.ndim and len(array) == 10:
            array[[1, 7]] = array[[7, 1]]


def pictures(name: str, folder: Path) -> Dataset:
    """Images and labels; of the keyword spotter's features, labels that mean nothing."""
    if name == "speech":
        # Features like those of speech, between the ends of the input's codes.
        rng = np.random.default_rng(0)
        steps = rng.standard_normal((256, 49, 10)) * np.linspace(16, 3, 10)
        values = -20 * np.exp(-np.arange(10)) + np.cumsum(steps, axis=1) / 8
        features = np.clip((values + 123.372) / 149.099, 0, 1).astype(np.float32)[..., None]
        return Dataset(name, "test", features, np.zeros(256, np.int64), 12, "")
    if name == "mnist":
        data = load("mnist", "test")
        return Dataset(name, "test", data.images[:1000], data.labels[:1000], 10, "")
    held = np.load(folder / "cifar10/cifar10_test.npz")
    count = 3000 if name == "cifar many" else 500
    images = held["x_test"][:count]
    labels = held["y_test"][:count].ravel().astype(np.int64)
    images = np.ascontiguousarray(images[..., ::-1]) if name == "cifar bgr" else images
    return Dataset(name, "test", images, labels, 10, "")


MAKERS: Final = (
    *(faithful, lite_faults, onnx_faults, trained_faults),
    *(normalised, resnet_faults),
)
