"""What the claims of the three studies have in common: which rows decide, and how surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from relrob.api.pipeline import claims_of
from relrob.report.study import claims_matachana, claims_shrestha, claims_zhao
from relrob.report.study.judgement import Judgement
from relrob.report.study.stage_rows import Rows
from relrob.report.study.stage_text import GroupRows
from relrob.store.stage_outcomes import Outcomes
from tests.report.made_stages import (
    LEFT,
    Row,
    repeated,
    shrestha,
    verdicts,
    zhao,
)


def test_a_study_without_rows_claims_nothing() -> None:
    for module in (claims_matachana, claims_shrestha, claims_zhao):
        assert module.claims(Rows({})) == []


def _always(value: float) -> Callable[[int, int], Row]:
    return lambda seed, run: {LEFT: value}


def test_claims_between_two_networks_need_both_trained() -> None:
    pairs = {"mnist-fgsm-small": 0.8, "cifar-fgsm-small": 0.1}
    small = {name: repeated(_always(value)) for name, value in pairs.items()}
    equal = {"lenet5-ifgsm-equal": small["mnist-fgsm-small"]}
    equal["cifarnet-ifgsm-equal"] = small["cifar-fgsm-small"]
    for accuracy, says in ((0.9, Judgement.REPRODUCED), (0.5, Judgement.OPEN)):
        clean = [{"seed": s, "accuracy": accuracy} for s in range(3)]
        rows = shrestha(**small, **{"cifar-fp": clean})
        assert verdicts(claims_shrestha.claims(rows), "33.") == {says}
        every = Rows({**zhao().groups, **equal, "cifarnet": clean})
        assert verdicts(claims_zhao.claims(every), "8. IFGSM") == {says}


def test_a_group_that_is_not_finished_decides_nothing() -> None:
    groups = [
        GroupRows(
            name, "attack", len(rows), len(rows) - (name == "mnist-fgsm"), tuple(map(dict, rows))
        )
        for name, rows in shrestha().groups.items()
    ]
    found = claims_shrestha.claims(Rows.of(groups).closed())
    assert verdicts(found, "23.") == {Judgement.OPEN}
    assert verdicts(found, "24.") == {Judgement.REPRODUCED}


def groups_like(rows: Rows, done: Callable[[str], bool]) -> list[GroupRows]:
    """The groups of these rows; those that are not `done` have one stage more, and no row."""
    return [
        GroupRows(name, "attack", len(some) + 1, len(some) + 1, tuple(map(dict, some)))
        if done(name)
        else GroupRows(name, "attack", len(some) + 1, 0, ())
        for name, some in rows.groups.items()
    ]


@pytest.mark.parametrize(
    ("report", "rows", "left"),
    [("shrestha2024", shrestha(), []), ("zhao2018", zhao(), ["LeNet5: 6."])],
)
def test_claims_about_groups_that_nobody_ran_are_not_run(
    report: str, rows: Rows, left: list[str]
) -> None:
    """The made-up rows of Zhao et al. lack the groups of claim 6."""
    none = claims_of({"report": report}, groups_like(rows, lambda name: False))
    assert none and {claim.judgement for claim in none} == {Judgement.NOT_RUN}
    every = claims_of({"report": report}, groups_like(rows, lambda name: True))
    unrun = [claim.says[:10] for claim in every if claim.judgement is Judgement.NOT_RUN]
    assert unrun == left
    assert {claim.says for claim in none} <= {claim.says for claim in every}
    assert claims_of({"report": ""}, groups_like(rows, lambda name: True)) == []


def test_of_a_study_that_ran_in_part_the_rest_is_not_run() -> None:
    groups = groups_like(shrestha(), lambda name: name in ("mnist-fp", "mnist-uap"))
    found = claims_of({"report": "shrestha2024"}, groups)
    assert verdicts(found, "24.") == {Judgement.REPRODUCED}
    assert verdicts(found, "23.") == {Judgement.NOT_RUN}


def with_images(share: float, more: float, images: int) -> list[GroupRows]:
    """Mnist A's accuracies under FGSM by three seeds on the same images: FP, and 1 bit with `more`
    of them right, others than FP's."""
    rng, rows, outcomes = np.random.default_rng(0), [], []
    for seed in range(3):
        for width in (None, "dorefa:1"):
            order = np.random.default_rng(1 if width else 0).permutation(images)
            right = np.zeros(images, np.bool_)
            right[order[: round(images * (share + (more if width else 0)))]] = True
            flip = rng.choice(images, 1)
            right[flip] = ~right[flip]
            axes = {"seed": seed, "run": 0} | ({"compress": width} if width else {})
            rows.append({**axes, LEFT: float(right.mean()), "samples": images})
            none, zero = np.zeros(images, np.bool_), np.zeros(images, np.float32)
            outcomes.append(
                Outcomes(
                    "mnist", np.arange(images), right, none, none, ~right, none, zero, zero, zero
                )
            )
    return [GroupRows("mnist-fgsm", "attack", 6, 6, tuple(rows), tuple(outcomes))]


@pytest.mark.parametrize(("images", "says"), [(50, Judgement.OPEN), (2000, Judgement.REPRODUCED)])
def test_seeds_that_share_their_images_are_not_surer_than_these(
    images: int, says: Judgement
) -> None:
    """All three seeds agree on a difference of 0.1; 50 images could have that by chance."""
    groups = with_images(0.4, 0.1, images)
    found = claims_shrestha.claims(Rows.of(groups))
    assert verdicts(found, "23. FGSM, 1 bit") == {says}
    bare = [replace(group, outcomes=()) for group in groups]
    assert verdicts(claims_shrestha.claims(Rows.of(bare)), "23. FGSM, 1 bit") == {
        Judgement.REPRODUCED
    }
