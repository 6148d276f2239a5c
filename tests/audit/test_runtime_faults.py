"""Runtimes that give other labels."""

from __future__ import annotations

import pytest

from relrob.audit.runtime_faults import runtime_faults
from relrob.audit.runtime_report import NAMED, RuntimePair, RuntimeReport


def report(*rows: tuple[str, str, int, int, int, tuple[float, float]]) -> RuntimeReport:
    pairs = tuple(
        RuntimePair(
            (one, two), images, count, ties, tuple(range(min(count, NAMED))), 1.0, 0, accuracy
        )
        for one, two, images, count, ties, accuracy in rows
    )
    return RuntimeReport("n.tflite", "", 10_000, (), (), pairs, 0, 0, "", "")


# The three facts: shares measured on real files.
RESNET = ("xnnpack", "builtin", 10_000, 200, 88, (0.8697, 0.8702))
REFERENCE = ("xnnpack", "reference", 10_000, 41, 3, (0.5, 0.5))
GOOGLE = ("xnnpack", "tflm", 1000, 740, 0, (0.961, 0.238))


def test_a_runtime_that_reads_a_file_wrongly_is_named_and_blocks() -> None:
    (found,) = runtime_faults(report(RESNET, GOOGLE), "tflm")
    assert found.id == "wrong-runtime"
    assert found.blocking
    assert "96.1 % are right on xnnpack, 23.8 % on tflm" in found.sentence
    assert found.hint == "deploy on xnnpack, or convert for tflm"


def test_another_runtime_that_reads_the_file_wrongly_is_noted() -> None:
    """Who deploys on xnnpack need not mind that TFLM would fail."""
    (found,) = runtime_faults(report(GOOGLE), "xnnpack")
    assert not found.blocking
    assert "tflm does not execute the file as it is meant" in found.sentence


def test_without_labels_nobody_can_tell_which_is_wrong() -> None:
    row = RuntimePair(("xnnpack", "tflm"), 1000, 740, 0, tuple(range(NAMED)), 1.0, 0, None)
    unlabelled = RuntimeReport("n.tflite", "", 10_000, (), (), (row,), 0, 0, "", "")
    (found,) = runtime_faults(unlabelled, "xnnpack")
    assert found.blocking and "cannot be told" in found.sentence
    (found,) = runtime_faults(unlabelled, "reference")
    assert not found.blocking


def test_kernels_that_round_otherwise_are_noted() -> None:
    (found,) = runtime_faults(report(RESNET), "builtin")
    assert not found.blocking
    assert "200 of 10,000 images, 88 of them ties" in found.sentence


@pytest.mark.parametrize(
    "rows",
    [(), (REFERENCE,), (("a", "b", 100, 60, 60, (0.5, 0.5)),), (("a", "b", 0, 0, 0, (0.0, 0.0)),)],
)
def test_ties_and_a_few_images_are_no_fault(rows: tuple[object, ...]) -> None:
    assert runtime_faults(report(*rows), "xnnpack") == ()  # type: ignore[arg-type]
