"""Cells of a matrix of models against loops over single examples, and the three scenarios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.selection import Filter
from relrob.attacks.transfer import Cell, cell, filter_of, matrix, means, scenarios
from relrob.domain.arrays import Floats
from relrob.errors import UsageError
from relrob.networks.open import Opened
from tests.attacks.test_set_file import ORIGIN
from tests.support import numpy_opened, random_dense

SHAPE = (4, 5, 1)
COUNT = 120


def network(seed: int) -> Opened:
    return numpy_opened(random_dense(seed, (20, 12, 4)), SHAPE)


def said(opened: Opened, images: Floats) -> list[int]:
    return [int(opened.evaluator.outputs(image[None])[0].argmax()) for image in images]


def made(source: Opened, chosen: Filter = Filter.NONE, aim: int | None = None) -> AdversarialSet:
    """Examples that are noise over random images."""
    rng = np.random.default_rng(7)
    images: Floats = rng.random((COUNT, 20), dtype=np.float32)
    noise = rng.standard_normal((COUNT, 20)).astype(np.float32)
    adversarial = np.clip(images + np.float32(0.3) * noise, 0, 1).astype(np.float32)
    return AdversarialSet(
        replace(ORIGIN, filter=chosen),
        SHAPE,
        adversarial,
        images,
        np.arange(COUNT),
        rng.integers(0, 4, COUNT),
        np.array(said(source, images)),
        np.array(said(source, adversarial)),
        np.zeros(COUNT, np.int64),
        np.zeros(COUNT, np.int64),
        None if aim is None else np.full(COUNT, aim),
    )


@pytest.mark.parametrize("chosen", list(Filter))
@pytest.mark.parametrize("aim", [None, 2])
def test_a_cell_is_what_single_examples_say(chosen: Filter, aim: int | None) -> None:
    source, target = network(1), network(2)
    found = made(source, aim=aim)
    clean = said(target, found.images)
    right = np.array(clean) == found.labels
    one = cell(3, 5, found, target, right, chosen)
    adversarial = said(target, found.adversarial)
    evaded = hit = samples = moved = before = top = 0
    for at in range(COUNT):
        truth = int(found.labels[at])
        mine, theirs = found.clean[at] == truth, clean[at] == truth
        if (chosen is not Filter.NONE and not mine) or (
            chosen is Filter.BOTH_CORRECT and not theirs
        ):
            continue
        samples += 1
        evaded += adversarial[at] != truth
        hit += adversarial[at] == aim
        goal = adversarial[at] != truth if aim is None else adversarial[at] == aim
        won = found.found[at] != truth if aim is None else found.found[at] == aim
        before, moved = before + bool(won), moved + bool(won and goal)
        outputs = target.evaluator.outputs(found.adversarial[at][None])[0]
        top += truth in np.argsort(-outputs)[:2]
    assert 0 < samples < (COUNT if chosen is not Filter.NONE else COUNT + 1)
    assert (one.source, one.target, one.metrics.samples) == (3, 5, samples)
    assert (one.metrics.evaded, one.metrics.hit) == (evaded, None if aim is None else hit)
    assert (one.successes, one.transferred, one.in_top_2) == (before, moved, top)
    assert one.transfer_rate == pytest.approx(moved / before)
    assert one.json()["transfer_rate"] == pytest.approx(moved / before, abs=1e-6)


def test_the_source_itself_is_the_white_box() -> None:
    source = network(1)
    found = made(source)
    one = cell(0, 0, found, source, found.clean == found.labels, Filter.SOURCE_CORRECT)
    assert one.transferred == one.successes > 0 and one.transfer_rate == 1


def test_a_cell_without_examples_has_no_rates() -> None:
    source = network(1)
    found = made(source)
    found = replace(found, clean=(found.labels + 1) % 4)
    one = cell(0, 0, found, source, np.ones(COUNT, np.bool_), Filter.SOURCE_CORRECT)
    assert one.metrics.samples == 0 and one.transfer_rate is None
    assert one.json()["evasion_rate"] is one.json()["transfer_rate"] is None
    assert matrix([one], 1, 1) == [[None]]


def test_the_first_examples_that_count_are_kept() -> None:
    source, target = network(1), network(2)
    found = made(source)
    found = replace(found, indices=found.indices[::-1].copy())
    right = np.array(said(target, found.images)) == found.labels
    places = np.flatnonzero(right & (found.clean == found.labels))[-5:]
    evaded = np.array(said(target, found.adversarial))[places] != found.labels[places]
    one = cell(0, 0, found, target, right, Filter.BOTH_CORRECT, 5)
    assert (one.metrics.samples, one.metrics.evaded) == (5, int(evaded.sum()))


def test_a_filter_cannot_bring_images_back() -> None:
    left_out, every = made(network(1), Filter.SOURCE_CORRECT), made(network(1))
    with pytest.raises(UsageError, match="chosen by source_correct"):
        filter_of(Filter.NONE, left_out)
    assert filter_of(None, left_out) is Filter.SOURCE_CORRECT
    assert filter_of(None, every) is filter_of(Filter.NONE, every) is Filter.NONE
    assert filter_of(Filter.BOTH_CORRECT, every) is Filter.BOTH_CORRECT


def test_rows_are_targets_columns_are_sources() -> None:
    networks = [network(seed) for seed in (1, 2, 3)]
    cells = grid(networks, [0, 2])
    lines = matrix(cells, 3, 2)
    for each in cells:
        assert lines[each.target][each.source] == round(each.metrics.evasion_rate, 6)
    assert lines[1][0] != lines[0][1]
    assert means(lines)[2] == pytest.approx(np.mean([float(x or 0) for x in lines[2]]), abs=1e-6)
    assert means([[None, 0.5], [None, None]]) == [0.5, None]


def grid(networks: list[Opened], sources: list[int]) -> list[Cell]:
    return [
        cell(column, row, found, target, np.ones(COUNT, np.bool_), Filter.NONE)
        for column, found in enumerate(made(networks[number]) for number in sources)
        for row, target in enumerate(networks)
    ]


def test_the_three_scenarios_of_zhao() -> None:
    """Networks 0 (full), 1 and 2; the sources stand in another order: 2, 0."""
    networks = [network(seed) for seed in (1, 2, 3)]
    cells = grid(networks, [2, 0])
    first, second = scenarios(cells, [2, 0], 0)
    assert (first.network, second.network) == (1, 2)
    # Network 1 attacks nobody.
    assert first.comp_comp is first.comp_full is None
    assert first.full_comp is not None
    assert (first.full_comp.source, first.full_comp.target) == (1, 1)
    for found, place in (
        (second.comp_comp, (0, 2)),
        (second.full_comp, (1, 2)),
        (second.comp_full, (0, 0)),
        (second.full, (1, 0)),
    ):
        assert found is not None and (found.source, found.target) == place
    told = second.json()
    assert told["comp_full"] == round(cells[0].metrics.adversarial_accuracy, 6)
    assert first.json()["comp_comp"] is None
