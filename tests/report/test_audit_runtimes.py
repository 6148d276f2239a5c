"""The runtimes of a file as text: each number of the report, and no more."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from relrob.api.checks import runtimes_sentence
from relrob.audit.pair_report import PairReport, Side
from relrob.audit.runtime_report import (
    RefusedRuntime,
    RuntimePair,
    RuntimeReport,
    RuntimeRun,
)
from relrob.audit.weight_report import WeightReport
from relrob.report.audit.details import details
from relrob.report.audit.pair import pair_markdown
from relrob.report.audit.runtimes import text

RUNS = (
    RuntimeRun("xnnpack", "LiteRT 2", 2500, 0.8697, False),
    RuntimeRun("builtin", "LiteRT 2", 2500, 0.8702, False),
    RuntimeRun("tflm", "TFLM 1", 1000, 0.5, True),
)
PAIR = RuntimePair(
    ("xnnpack", "builtin"), 2500, 10, 4, tuple(range(3, 33, 3)), 0.34, 295, (0.8697, 0.8702)
)
SAME = RuntimePair(("xnnpack", "tflm"), 1000, 0, 0, (), 2e-6, 7, (0.5, 0.5))
EQUAL = RuntimePair(("builtin", "tflm"), 1000, 0, 0, (), 0.0, None, (0.5, 0.5))
REPORT = RuntimeReport(
    "q.tflite",
    "ab" * 32,
    2500,
    RUNS,
    (RefusedRuntime("reference", "it is not there"),),
    (PAIR, SAME, EQUAL),
    1000,
    0,
    "runtimes above 1 ms an image",
    "2,500 images of digits (test)",
)


def test_the_text_to_the_letter() -> None:
    assert text(REPORT).splitlines() == [
        "q.tflite on 2,500 images of digits (test)",
        "  xnnpack  86.97 % right of 2,500 images  (LiteRT 2)",
        "  builtin  87.02 % right of 2,500 images  (LiteRT 2)",
        "  tflm     50.00 % right of 1,000 images, a sample  (TFLM 1)",
        "xnnpack and builtin give other labels on 10 of 2,500 images, 4 of them ties, "
        "outputs differ by up to 0.34 (image 295)",
        "  images 3, 6, 9, 12, 15, 18, 21, 24 and 2 more",
        "xnnpack and tflm: the same labels on 1,000 images, outputs differ by up to 2e-06 "
        "(image 7), 50.00 % and 50.00 % right",
        "builtin and tflm: equal outputs on 1,000 images",
        "A sample: 1,000 of 2,500 images (seed 0), for runtimes above 1 ms an image.",
        "A tie: on one of the two, the largest output stands at several classes, of which the "
        "first is the label.",
        "reference does not run it: it is not there",
    ]


def test_json_has_every_number() -> None:
    told = json.loads(json.dumps(REPORT.json(), allow_nan=False))
    assert told["pairs"][0] == {
        "runtimes": ["xnnpack", "builtin"],
        "images": 2500,
        "accuracy": [0.8697, 0.8702],
        "differing": 10,
        "ties": 4,
        "differing_images": list(range(3, 33, 3)),
        "largest_difference": 0.34,
        "largest_difference_image": 295,
    }
    assert told["runtimes"][2] == {
        "runtime": "tflm",
        "details": "TFLM 1",
        "images": 1000,
        "sampled": True,
        "accuracy": 0.5,
    }
    assert told["refused"] == [{"runtime": "reference", "reason": "it is not there"}]
    assert told["sample"] == {"images": 1000, "seed": 0, "for": "runtimes above 1 ms an image"}


def test_a_sentence_names_the_two_that_differ_most() -> None:
    assert REPORT.sentence == (
        "xnnpack and builtin give other labels on 10 of 2,500 images, 4 of them ties"
    )
    few = RuntimePair(("builtin", "tflm"), 1000, 5, 0, (1, 2, 3, 4, 5), 0.1, 1)
    assert replace(REPORT, rows=(PAIR, few)).sentence.startswith("builtin and tflm give other")
    assert replace(REPORT, rows=(SAME, EQUAL)).sentence == (
        "xnnpack, builtin, tflm give the same labels on 1,000 images"
    )
    alone = replace(REPORT, runs=RUNS[:1], rows=())
    assert alone.sentence == "nothing to compare: xnnpack alone runs it"
    assert "fewer than two runtimes run the file" in text(alone)


def test_accuracies_stand_beside_those_of_the_same_images() -> None:
    """87.02 % of all images and 50 % of a sample do not compare."""
    assert runtimes_sentence(REPORT) == (
        f"runtimes: {REPORT.sentence}; "
        "right: xnnpack 86.97%, builtin 87.02% of 2,500; tflm 50.00% of a sample of 1,000"
    )
    unlabelled = replace(REPORT, runs=tuple(replace(run, accuracy=None) for run in RUNS))
    assert runtimes_sentence(unlabelled) == f"runtimes: {REPORT.sentence}"
    same = replace(REPORT, rows=(SAME, EQUAL))
    assert runtimes_sentence(same) == f"runtimes: {same.sentence}"


def test_the_page_has_the_numbers_of_each_check() -> None:
    """In blocks that no name of a layer can end."""
    side = Side("a", "0" * 64, "int8", "xnnpack", np.zeros(3, np.int64), np.zeros(3, bool))
    pair = PairReport(side, side, np.zeros(3, np.int64), 2, np.ones(3))
    page = details(pair, WeightReport(False, "a name with ``` in it"), REPORT)
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## The pair on clean images",
        "## The weights",
        "## The runtimes",
    ]
    assert pair_markdown(pair).rstrip() in page
    assert "````text\nThe weights were not compared: a name with ``` in it.\n````\n" in page
    assert f"```text\n{text(REPORT)}\n```\n" in page


@pytest.mark.parametrize(("largest", "told"), [(float("inf"), "outputs are not numbers")])
def test_an_infinite_difference_is_no_json_number(largest: float, told: str) -> None:
    pair = replace(SAME, largest=largest)
    assert pair.json()["largest_difference"] is None
    assert told in text(replace(REPORT, rows=(pair,)))


def test_a_file_cannot_speak_to_the_terminal() -> None:
    hostile = replace(REPORT, path="q\x1b[2J\n.tflite", refused=(RefusedRuntime("tflm", "a\x07"),))
    assert "\x1b" not in text(hostile) and "\x07" not in text(hostile)
    assert len(text(hostile).splitlines()) == len(text(REPORT).splitlines())
