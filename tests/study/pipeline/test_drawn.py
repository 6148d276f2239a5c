"""The images that a stage attacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relrob.domain.arrays import Ints
from relrob.study.pipeline.make_attacks import _drawn
from relrob.study.pipeline.methods import SELECT
from relrob_datasets import load
from tests.support import numpy_opened, random_dense


def test_images_are_drawn_from_those_that_the_network_labels_rightly() -> None:
    """As many as asked for, each once, by the run's number; all of them where there are fewer."""
    opened = numpy_opened(random_dense(0, (784, 10)), (28, 28, 1))
    whole = load("mnist", "test")
    data = replace(whole, images=whole.images[:2000], labels=whole.labels[:2000])
    said = opened.evaluator.outputs(data.pixels(range(2000))).argmax(axis=1)
    right = np.flatnonzero(said == data.labels)
    draws: list[Ints] = []
    for run in range(40):
        draws.append(_drawn(data, opened, SELECT["correct"], 20, run))
        assert len(set(draws[-1].tolist())) == 20
        assert set(draws[-1].tolist()) <= set(right.tolist())
    assert np.array_equal(draws[0], _drawn(data, opened, SELECT["correct"], 20, 0))
    # Every right image is as likely as another: 40 draws of 20 reach nearly all of some 200.
    assert len(set(np.concatenate(draws).tolist())) > 0.9 * len(right)
    most = len(right) + 5
    assert np.array_equal(_drawn(data, opened, SELECT["correct"], most, 0), right)
    every = _drawn(data, opened, SELECT["all"], 20, 3)
    assert len(set(every.tolist())) == 20
    assert len(_drawn(data, opened, SELECT["all"], 5000, 3)) == 2000
