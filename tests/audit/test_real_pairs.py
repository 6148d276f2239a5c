"""Real pairs, faithful and wrong, by the names that runs alone give them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.audit.judge import diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.pair_report import PairReport
from relrob.audit.reading import LEVELS
from relrob.audit.weights import compare_weights
from relrob.domain.contract import InputContract, InputOptions, exactly
from relrob.networks.load import load_network
from relrob_datasets import load
from relrob_datasets.dataset import Dataset
from relrob_datasets.read_as import Reading
from tests.support import shared_data

FORMATS, TINY, AUTHORS = "quantised_formats/", "mlperf_tiny/", "duncan2020/"
TRIAL = "../cases/trial/"
PLAIN = exactly(InputContract())


def mnist(count: int = 1000) -> Dataset:
    test = load("mnist")
    return Dataset("mnist", "test", test.images[:count], test.labels[:count], 10, "")


def archive(name: str, key: slice = slice(None)) -> Dataset:
    """The images and labels of an `.npz`."""
    with np.load(shared_data(name)) as file:
        held = dict(file)
    pixels = held.get("images", held.get("x_test"))
    labels = held.get("labels", held.get("y_test"))
    assert pixels is not None and labels is not None
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return Dataset("images", "test", pixels[key], labels[key].reshape(-1), 10, "")


def compared(one: str, other: str, data: Dataset, **options: Any) -> PairReport:
    """The pair of two files."""
    words: dict[str, Any] = {"image_shape": data.image_shape, "classes": 10} | options
    reference = load_network(shared_data(one), **words)
    words["inherit"] = reference.layout
    quantised = load_network(shared_data(other), **words)
    return compare_pair(reference, quantised, data)


def names(report: PairReport) -> tuple[list[str], list[str]]:
    """The ids of the diagnoses and of the candidates."""
    return [each.id for each in report.diagnoses], [each.id for each in report.candidates]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            ("mlp.keras", f"mlp_{kind}.tflite")
            for kind in (
                *("dynamic_wi8", "dynamic_wi4", "wo_wi8", "wo_wi4"),
                *("static_wi8_ai8", "static_wi8_ai16"),
            )
        ),
        *(
            ("mlp.onnx", f"mlp_{kind}.onnx")
            for kind in ("qdq_s8s8", "qdq_s16s8", "qdq_w4", "qop_u8s8", "dyn", "nbits_4")
        ),
        ("conv_fc_mnist.tflite", "mnist_quantized.tflite"),
        ("conv_fc_mnist.tflite", "partly_quantized_mnist.tflite"),
    ],
)
def test_faithful_files_of_every_format(one: str, other: str) -> None:
    report = compared(FORMATS + one, FORMATS + other, mnist())
    assert names(report) == ([], [])
    assert report.kinship is not None and report.kinship.noise < 0.2


def test_the_authors_cifar_pair() -> None:
    data = archive("cifar10/cifar10_test.npz", slice(8000, 9000))
    pair = AUTHORS + "cifar10_weights_keras1.h5", AUTHORS + "converted_model_cifar.tflite"
    report = compared(*pair, data)
    assert names(report) == ([], [])
    assert report.kinship is not None and report.kinship.noise < 0.05


RESNET = TINY + "pretrainedResnet.tflite", TINY + "pretrainedResnet_quant.tflite"


def test_resnet8_reads_levels() -> None:
    data = archive("cifar10/cifar10_test.npz", slice(0, 200))
    faithful = compared(*RESNET, data, inputs=exactly(LEVELS))
    assert names(faithful) == ([], [])
    assert faithful.kinship is not None and faithful.kinship.noise < 0.15
    (found,) = compared(*RESNET, data, inputs=PLAIN).diagnoses
    assert (found.id, found.hint) == ("input-scale", "--input-scale 255")
    assert found.evidence["networks"] == ["reference", "quantised"]


def test_resnet8_with_its_channels_reversed() -> None:
    data = archive("cifar10/cifar10_test.npz", slice(0, 200))
    bgr = exactly(InputContract(Fraction(255), bgr=True))
    (found,) = compared(*RESNET, data, inputs=bgr).diagnoses
    assert (found.id, found.hint) == ("channel-order", "without --channels bgr")


@pytest.mark.parametrize(
    ("one", "other", "options", "found"),
    [
        ("01/mlp.keras", "01/mlp_int8_floatio.tflite", {}, ([], [])),
        ("01/mlp.keras", "01/mlp_int8_int8io.tflite", {}, ([], [])),
        ("11/cnn.keras", "11/cnn_int8_int8io.tflite", {}, ([], [])),
        ("01/mlp.keras", "04/other_int8_floatio.tflite", {}, ([], ["another-network"])),
        ("04/mlp_newer.keras", "01/mlp_int8_int8io.tflite", {}, ([], ["stale-weights"])),
        ("01/mlp.keras", "04/mlp_swapped_int8.tflite", {}, (["permuted-classes"], [])),
        ("01/mlp.keras", "04/mlp255_int8.tflite", {"inputs": PLAIN}, (["input-scale"], [])),
        ("01/mlp.keras", "01/mlp.keras", {}, (["nothing-quantised"], [])),
        (
            "05/mlp_rescaling.keras",
            "05/mlp_rescaling_int8.tflite",
            {"inputs": PLAIN},
            (["input-scale"], []),
        ),
        (
            "05/mlp_rescaling.keras",
            "05/mlp_rescaling_int8.tflite",
            {"inputs": InputOptions()},
            ([], []),
        ),
    ],
)
def test_pairs_of_a_first_user(
    one: str, other: str, options: dict[str, Any], found: tuple[list[str], list[str]]
) -> None:
    report = compared(TRIAL + one, TRIAL + other, archive(TRIAL + "01/mnist_te.npz"), **options)
    assert names(report) == found
    if other.endswith("swapped_int8.tflite"):
        assert report.diagnoses[0].sentence.startswith("classes 3 and 8 are swapped")
        assert report.agreement == pytest.approx(0.811)


def test_a_flat_network_that_reads_colours_apart() -> None:
    file = TRIAL + "07/c_mlp_flat.onnx"
    report = compared(file, file, archive(TRIAL + "07/cifar_te.npz"))
    assert names(report) == (["layout", "nothing-quantised"], [])
    assert report.diagnoses[0].hint == "--layout chw"


def test_images_that_are_stored_colour_by_colour() -> None:
    data = archive(TRIAL + "07/cifar_te.npz")
    turned: NDArray[np.uint8] = np.asarray(data.images.transpose(0, 3, 1, 2), np.uint8)
    chw = Dataset("images", "test", turned, data.labels, 10, "")
    pair = AUTHORS + "cifar10_weights_keras1.h5", AUTHORS + "converted_model_cifar.tflite"
    report = compared(*pair, chw)
    assert names(report) == (["layout"], [])
    assert report.diagnoses[0].hint == "--images-layout chw"


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_noise_brings_no_reading_that_two_networks_share(kind: str) -> None:
    """The keyword spotter on seeded noise of its range, labelled by the float file: both give one
    label to nearly all noise that is scaled down, which is no agreement."""
    rng = np.random.default_rng(0)
    noise = rng.normal(-40, 25, (300, 49, 10, 1)) if kind == "normal" else None
    values = rng.uniform(-123, 25, (300, 49, 10, 1)) if noise is None else noise.clip(-123, 25)
    contract = InputContract(Fraction(148), (Fraction(123),))
    networks = [
        load_network(
            shared_data(TINY + name),
            image_shape=(49, 10, 1),
            classes=12,
            inputs=exactly(contract),
        )
        for name in ("kws_ref_model_float32.tflite", "kws_ref_model.tflite")
    ]
    pixels = ((values + 123) / 148).astype(np.float32)
    reading = Reading(labels="reference")
    data = Dataset("noise", "test", pixels, np.zeros(300, np.int64), 12, "", reading=reading)
    report = compare_pair(networks[0], networks[1], data)
    assert (report.diagnoses, report.labels) == ((), None)


def features(kind: str, seed: int) -> NDArray[Any]:
    """Seeded features (300, 49, 10, 1) of the keyword spotter, unlike those of its calibration."""
    rng = np.random.default_rng(seed)
    if kind == "normal":
        values = rng.normal(0, 20, (300, 49, 10))
    elif kind == "walk":
        steps = np.cumsum(rng.normal(0, 2.5, (300, 49, 10)), axis=1)
        values = steps * np.linspace(1, 0.3, 10) - 20 * np.exp(-np.arange(10))
    else:
        values = rng.normal(0, 1, (300, 49, 10)) * np.linspace(30, 4, 10)
        values = values - 10 * np.exp(-np.arange(10) / 2)
    return values.clip(-120, 25)[..., None]


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("kind", ["normal", "walk", "coefficients"])
def test_features_unlike_those_of_the_calibration_are_no_other_fault(kind: str, seed: int) -> None:
    pixels = ((features(kind, seed) + 124) / 150).astype(np.float32)
    contract = exactly(InputContract(Fraction(150), (Fraction(124),)))
    one, two = (
        load_network(shared_data(TINY + name), image_shape=(49, 10, 1), classes=12, inputs=contract)
        for name in ("kws_ref_model_float32.tflite", "kws_ref_model.tflite")
    )
    reading = Reading(labels="reference")
    data = Dataset("noise", "test", pixels, np.zeros(300, np.int64), 12, "", reading=reading)
    weights = compare_weights(one, two, pixels.reshape(300, -1)[:256])
    found = diagnose(compare_pair(one, two, data), weights)
    assert {each.id for each in found} <= {"calibration"}
