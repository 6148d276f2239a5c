"""The paper's own search: against a slow copy of it that looks at one image at a time; the sets
against the images themselves."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from fractions import Fraction
from itertools import count
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.attacks.tree_search import TreeSearch
from relrob.domain.record import Set
from relrob.domain.region import Ladder, Search
from relrob.errors import RegionError, UsageError
from relrob.networks.open import Opened
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.search import SearchSetting, classify_search
from relrob.relative.sets import Effective
from relrob.study.region import region_of
from relrob.study.request import Request
from tests.cli_case import Case, relrob_command
from tests.support import numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
REGIONS = [("2", "1/2"), ("3", "1"), ("1", "1/8"), ("4", "1/4"), ("20", "1/2"), ("1/2", "1")]


def image_of(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)


def rungs_of(seed: int, axes: int = 4) -> RungSet:
    radius, step = REGIONS[seed % len(REGIONS)]
    return rung_set(Ladder(Fraction(radius), Fraction(step), None, axes), image_of(seed))


def label_of(opened: Opened, rungs: RungSet, features: tuple[int, ...]) -> int:
    mask = np.zeros((1, rungs.features), dtype=np.bool_)
    mask[0, list(features)] = True
    return int(opened.replayer.outputs(rungs.images(mask))[0].argmax())


def slow_search(
    opened: Opened,
    rungs: RungSet,
    right: int,
    rollouts: int,
    evaluations: int,
    strict: bool,
    seed: tuple[int, int],
) -> tuple[list[frozenset[int]], int]:
    """docs/regions.md, "The search", one image at a time: (sets in the order in which they are
    first looked at, images looked at)."""
    rng, order, looked = np.random.default_rng(seed), {frozenset[int](): None}, 0
    reward: dict[tuple[int, ...], float] = {(): 0.0}
    visits: dict[tuple[int, ...], int] = {(): 0}
    children: dict[tuple[int, ...], list[tuple[int, ...]]] = {}

    def cost(features: tuple[int, ...]) -> Fraction:
        return rungs.cost(np.isin(np.arange(rungs.features), features))

    while looked < evaluations:
        node: tuple[int, ...] = ()
        while node in children:
            if not children[node]:
                return list(order), looked
            values = [
                reward[c] / visits[c] + 0.5 * sqrt(log(visits[node]) / visits[c])
                for c in children[node]
            ]
            node = children[node][values.index(max(values))]
        free = [g for g in range(rungs.features) if g not in node]
        children[node] = [(*node, g) for g in free]
        draws = [[rng.permutation(len(free) - 1) for _ in range(rollouts)] for _ in free]
        for child, walks in zip(children[node], draws, strict=True):
            best, beyond = 0.0, cost(child) > rungs.region.radius
            wrong = False
            if not (strict and beyond):
                order.setdefault(frozenset(child))
                wrong = label_of(opened, rungs, child) != right
                looked += 1 if wrong or beyond else rollouts
            if wrong or beyond:
                return list(order), looked
            others = [g for g in free if g != child[-1]]
            for walk in walks:
                here, left = child, deque(others[at] for at in walk)
                while left:
                    here = (*here, left.popleft())
                    if strict and cost(here) > rungs.region.radius:
                        break
                    order.setdefault(frozenset(here))
                    looked += 1
                    if label_of(opened, rungs, here) != right:
                        best = max(best, float(cost(here)))
                        break
                    if cost(here) > rungs.region.radius:
                        break
            for length in range(len(child) + 1):
                reward[child[:length]] = reward.get(child[:length], 0.0) + best
                visits[child[:length]] = visits.get(child[:length], 0) + 1
    return list(order), looked


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("seed", range(24))
def test_a_batched_search_is_the_one_that_looks_at_one_image_at_a_time(
    seed: int, strict: bool
) -> None:
    opened, rungs = numpy_opened(random_dense(seed, (36, 7, 3)), SHAPE), rungs_of(seed)
    right = label_of(opened, rungs, ())
    everything = rung_set(replace(rungs.region, radius=Fraction(36)), image_of(seed))

    def see(masks: Any) -> Any:
        return opened.replayer.outputs(everything.images(masks)).argmax(axis=1)

    for evaluations in (1, 300, 2000):
        given = (right, 2 + seed % 2, evaluations, strict, (seed, 5))
        found = TreeSearch(rungs, see, *given).run()
        sets, looked = slow_search(opened, rungs, *given)
        assert [frozenset(np.flatnonzero(mask).tolist()) for mask in found.masks] == sets
        assert found.labels.tolist() == [
            label_of(opened, rungs, tuple(features)) for features in sets
        ]
        assert found.evaluations == looked
        assert len(sets) == len(set(sets))
        beyond = [units > rungs.budget for units in rungs.cost_units(found.masks)]
        assert not (strict and any(beyond))


@pytest.mark.parametrize("shape", [(1, 2), (2, 2)])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_search_of_few_features_ends_when_all_sets_were_seen(
    seed: int, strict: bool, shape: tuple[int, int]
) -> None:
    """Radii from one that reaches nothing to one that reaches every set."""
    image = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    features = int(np.prod(shape))
    opened = numpy_opened(random_dense(seed, (features, 7, 3)), (*shape, 1))
    for radius in ("1/8", "1/2", "2"):
        ladder = Ladder(Fraction(radius), Fraction(1, 4), None, features)
        rungs = rung_set(ladder, image)
        given = (label_of(opened, rungs, ()), 2, 500, strict, (seed, 5))
        everything = rung_set(replace(ladder, radius=Fraction(features)), image)

        def see(masks: Any, points: RungSet = everything) -> Any:
            return opened.replayer.outputs(points.images(masks)).argmax(axis=1)

        found = TreeSearch(rungs, see, *given).run()
        sets, looked = slow_search(opened, rungs, *given)
        assert [frozenset(np.flatnonzero(mask).tolist()) for mask in found.masks] == sets
        assert found.evaluations == looked


def test_the_original_looks_beyond_the_radius_and_finds_more() -> None:
    beyond = 0
    for seed in range(24):
        opened, rungs = numpy_opened(random_dense(seed, (36, 7, 3)), SHAPE), rungs_of(seed)
        sets, _ = slow_search(opened, rungs, label_of(opened, rungs, ()), 2, 300, False, (0, seed))
        beyond += any(sum(rungs.costs[g] for g in features) > rungs.budget for features in sets)
    assert beyond > 10


def setting_of(seed: int, **more: Any) -> SearchSetting:
    dense = random_dense(seed, (36, 9, 4))
    radius, step = REGIONS[seed % len(REGIONS)]
    region = Search(
        Fraction(radius), Fraction(step), axes=4, rollouts=2, evaluations=200, seed=3, **more
    )
    networks = numpy_opened(dense, SHAPE), numpy_opened(rounded(dense, 3), SHAPE)
    return SearchSetting(networks, region, Effective.FARTHEST)


def reference_label(setting: SearchSetting, image: Any) -> int:
    return int(
        setting.networks[0].replayer.outputs((image.ravel() / np.float32(255))[None, :]).argmax()
    )


def test_sets_are_those_of_the_images_looked_at() -> None:
    """Against the slow search and both networks on every image of it."""
    seen: set[Set] = set()
    for seed in range(80):
        setting, image = setting_of(seed), image_of(seed)
        right = reference_label(setting, image)
        rungs = rung_set(Ladder(setting.region.radius, setting.region.step, None, 4), image)
        sets, _ = slow_search(setting.networks[0], rungs, right, 2, 200, False, (3, seed))
        said = [
            [label_of(opened, rungs, tuple(features)) for features in sets]
            for opened in setting.networks
        ]
        costs = [sum(rungs.costs[g] for g in features) for features in sets]
        wrong = [at for at, label in enumerate(said[0]) if label != right]
        transfers = [said[1][at] != right for at in wrong]
        for rule in Effective:
            record = classify_search(replace(setting, effective=rule), seed, image, right).record
            chosen = {
                Effective.ALL: transfers,
                Effective.CLOSEST: [
                    said[1][at] != right
                    for at in wrong
                    if costs[at] == min(costs[other] for other in wrong)
                ],
                Effective.FARTHEST: [
                    said[1][at] != right
                    for at in wrong
                    if costs[at] == max(costs[other] for other in wrong)
                ][:1],
            }[rule]
            if not wrong:
                expected = Set.RFP if any(label != right for label in said[1]) else Set.RQFP
            else:
                expected = Set.R0 if all(chosen) else Set.MIXED if any(chosen) else Set.RQ
            assert record.set is expected
            assert (record.points, record.reference_effective) == (len(sets), len(wrong))
            assert record.transferred == sum(transfers)
            assert record.quantised_effective == sum(label != right for label in said[1])
            seen.add(expected)
    assert seen >= {Set.RFP, Set.RQFP, Set.RQ, Set.R0, Set.MIXED}


def test_a_witness_is_the_effective_perturbation_of_largest_cost() -> None:
    found = 0
    for seed in range(30):
        setting, image = setting_of(seed), image_of(seed)
        result = classify_search(setting, seed, image, reference_label(setting, image))
        for view in result.witnesses:
            assert view.label != (
                view.reference_label if view.network == "reference" else view.quantised_label
            )
            outputs = setting.networks[view.network == "quantised"].replayer.outputs(
                view.perturbed[None, :]
            )
            assert int(outputs.argmax()) != view.label
            change = sum(
                abs(Fraction(float(a)) - Fraction(float(b)))
                for a, b in zip(view.perturbed, view.original, strict=True)
            )
            assert abs(change - Fraction(view.cost)) < Fraction(1, 10**5)
            found += 1
    assert found > 10


def test_a_wrong_clean_image_is_left_out_or_searched_around_its_own_label() -> None:
    setting, image = setting_of(1), image_of(1)
    right = reference_label(setting, image)
    left_out = classify_search(setting, 1, image, (right + 1) % 4).record
    assert (left_out.set, left_out.reference_verdict) == (Set.L_IC, "")
    taken = classify_search(setting_of(1, misclassified=True), 1, image, (right + 1) % 4).record
    assert taken.set is not Set.L_IC
    assert taken == replace(classify_search(setting, 1, image, right).record, label=(right + 1) % 4)


def test_a_label_that_the_replay_refutes_is_corrected() -> None:
    """A batch that says wrong where the image alone is right: no witness, a disagreement, no
    effective perturbation."""
    setting, image = setting_of(2), image_of(2)
    right = reference_label(setting, image)

    class Fooled:
        runtime, best_batch = "numpy", 64
        calls = count()

        def outputs(self, images: Any) -> Any:
            given = setting.networks[0].evaluator.outputs(images).copy()
            if next(self.calls) == 0:
                given[0] = -given[0]
            return given

    black_box = replace(setting.networks[0].network, dense=None)
    opened = Opened(black_box, Fooled(), setting.networks[0].replayer)
    alone = setting.networks[0].replayer
    honest_opened = Opened(black_box, evaluator=alone, replayer=alone)
    honest = classify_search(
        replace(setting, networks=(honest_opened, setting.networks[1])), 0, image, right
    ).record
    record = classify_search(
        replace(setting, networks=(opened, setting.networks[1])), 0, image, right
    ).record
    assert record.disagreements == 1
    assert record.reference_verdict == honest.reference_verdict or record.reference_effective == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"evaluations": 0}, "evaluations 0"),
        ({"rollouts": 0}, "rollouts 0"),
        ({"step": Fraction(2)}, "step 2"),
    ],
)
def test_searches_that_cannot_be(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RegionError, match=words):
        Search(**{"radius": Fraction(1), "step": Fraction(1, 2), **more})


def test_the_region_asked_for() -> None:
    asked = Request(
        radius="20", step="1/4", region="search", grid="8bit", seed=7, strict_radius=True
    )
    assert region_of(asked, 1) == Search(Fraction(20), Fraction(64, 255), seed=7, strict=True)
    assert region_of(replace(asked, grid="exact"), 3) == Search(
        Fraction(20), Fraction(1, 4), rollouts=3, seed=7, strict=True
    )
    assert region_of(replace(asked, rollouts=9), 3).rollouts == 9  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="rollouts 0"):
        replace(asked, rollouts=0)


def test_the_command_searches_and_repeats_itself(tmp_path: Path, case: Case) -> None:
    options = case.arguments("--region", "search", "--evaluations", "50", "--json")
    del options[options.index("--features") : options.index("--features") + 2]
    runs = []
    for name, workers in (("one", "1"), ("two", "2")):
        done = relrob_command(
            [*options, "--workers", workers, "--out", str(tmp_path / name)], tmp_path
        )
        runs.append(
            (json.loads(done.stdout), (tmp_path / name / "images.csv").read_text().splitlines())
        )
    (summary, rows), (_, again) = runs
    assert [row.split(",")[:14] for row in rows] == [
        row.split(",")[:14] for row in again
    ]  # but for the seconds
    assert summary["region"] | {"seed": 0} == summary["region"]
    assert summary["region"]["kind"] == "search" and summary["region"]["evaluations"] == 50
    assert summary["effective_rule"] == "farthest"
    assert set(summary["decided_by"]) <= {"search,search"}
    for more, words in (
        (["--solver", "enumerate"], "--solver has no effect with region search"),
        (["--certificates"], "proves nothing"),
        (["--export", "question.smt2"], "--export has no effect with region search"),
    ):
        refused = relrob_command([*options, *more], tmp_path, check=False)
        assert (
            refused.returncode == 2 and words in refused.stderr and refused.stderr.count("\n") == 1
        )
