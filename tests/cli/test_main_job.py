"""The main job on the authors' own MNIST network: clean accuracies, and every verdict and count
against the naive referee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from relrob.domain.network import Network
from relrob.networks.onnx.export import to_onnx
from relrob.study.plan import make_plan
from relrob.study.request import Request
from relrob.study.work import Plan, make_classifier
from relrob_datasets import load
from tests import naive
from tests.support import shared_data

IMAGES = 30  # of the whole set below, which takes minutes
ALL_IMAGES = 200
CELLS = [("10", "1/4"), ("20", "1/2"), ("20", "1")]
Labeller = Callable[[NDArray[np.float32]], int]


@dataclass(frozen=True)
class Authors:
    """The reference file, and the paper's quantised form of it."""

    reference: Path
    quantised: Path


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory) -> Authors:
    """Quantised once, through the library."""
    reference = shared_data("duncan2020/mnist_weights_keras1.h5")
    monkey = pytest.MonkeyPatch()
    monkey.setenv("RELROB_CACHE", str(tmp_path_factory.mktemp("cache")))
    plan = make_plan(Request(radius="20", step="1", reference=str(reference), images="0:1"))
    monkey.undo()
    return Authors(reference, Path(plan.quantised.path))


def plan_of(authors: Authors, radius: str, step: str, runtime: str) -> Plan:
    return make_plan(
        Request(
            radius=radius,
            step=step,
            reference=str(authors.reference),
            quantised=str(authors.quantised),
            runtime=runtime,
            images=f"0:{ALL_IMAGES}",
        )
    )


def one_by_one_onnx(network: Network) -> Labeller:
    """The float network on onnxruntime, one image a call, without relrob's evaluator."""
    assert network.dense is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        to_onnx(network.dense), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def label_of(image: NDArray[np.float32]) -> int:
        return int(np.asarray(session.run(None, {name: image[None, :]})[0]).argmax())

    return label_of


def one_by_one_tflite(path: Path) -> Labeller:
    """The quantised file on LiteRT as it comes (XNNPACK), one image a call."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def label_of(image: NDArray[np.float32]) -> int:
        interpreter.set_tensor(given["index"], image.reshape(given["shape"]))
        interpreter.invoke()
        return int(np.argmax(interpreter.get_tensor(result["index"])))

    return label_of


def test_clean_accuracies_are_the_papers(authors: Authors) -> None:
    """98.27 % and 98.24 %: per-tensor dynamic range on the built-in kernels (Duncan et al. 2020,
    Sec. IV-B: a drop of 0.03 %)."""
    plan = plan_of(authors, "20", "1", "builtin")
    assert plan.header["reference"]["accuracy"] == 0.9827
    assert plan.header["quantised"]["accuracy"] == 0.9824
    assert plan.quantised.scheme == "dynamic"


def test_cifar_accuracies_with_the_authors_own_tflite() -> None:
    reference = shared_data("duncan2020/cifar10_weights_keras1.h5")
    quantised = shared_data("duncan2020/converted_model_cifar.tflite")
    with np.load(shared_data("cifar10/cifar10_test.npz")) as data:
        names = list(data.files)
    assert len(names) >= 2
    plan = make_plan(
        Request(
            radius="20",
            step="1",
            reference=str(reference),
            quantised=str(quantised),
            dataset=str(shared_data("cifar10/cifar10_test.npz")),
            images="0:2",
        )
    )
    assert plan.header["reference"]["accuracy"] == 0.4107
    assert abs(plan.header["quantised"]["accuracy"] - 0.4107) <= 0.001


@pytest.mark.parametrize(("radius", "step"), CELLS)
def test_images_agree_with_the_naive_enumeration(authors: Authors, radius: str, step: str) -> None:
    agrees(authors, radius, step, range(IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize(("radius", "step"), CELLS)
def test_the_other_images_agree_with_the_naive_enumeration(
    authors: Authors, radius: str, step: str
) -> None:
    agrees(authors, radius, step, range(IMAGES, ALL_IMAGES))


def agrees(authors: Authors, radius: str, step: str, images: range) -> None:
    """Verdicts and counts of these images are those of the referee, point by point."""
    plan = plan_of(authors, radius, step, "xnnpack")
    decide = make_classifier(plan)
    data = load("mnist", "test")
    referees = (one_by_one_onnx(plan.reference), one_by_one_tflite(authors.quantised))
    right = 0
    for index in images:
        image, label = data.images[index], int(data.labels[index])
        result = decide(index)
        record = result.record
        clean = image.ravel().astype(np.float32) / np.float32(255)
        if referees[0](clean) != label:
            assert record.set == "L_ic"
            continue
        right += 1
        effective = ([], []) if record.points is None else (list[int](), list[int]())
        transferred = count = 0
        for point in naive.points(image, Fraction(radius), Fraction(step), 20):
            wrong = [referee(point.image) != label for referee in referees]
            transferred += all(wrong)
            for which in range(2):
                if wrong[which]:
                    effective[which].append(count)
            count += 1
        assert record.points == count
        assert (record.reference_verdict == "NOT_ROBUST") == bool(effective[0])
        assert (record.quantised_verdict == "NOT_ROBUST") == bool(effective[1])
        assert (record.reference_effective, record.quantised_effective) == (
            len(effective[0]),
            len(effective[1]),
        )
        assert record.transferred == transferred
    assert right > len(images) * 0.9
