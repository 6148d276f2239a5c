"""The claims of Shrestha and Großmann 2024, judged on rows that were made up."""

from __future__ import annotations

import re

import pytest

from relrob.report.study import claims_shrestha
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.shrestha_table import direction
from relrob.report.study.stage_rows import Rows
from tests.report.made_stages import (
    LEFT,
    WIDTHS,
    Row,
    attack_rows,
    repeated,
    shrestha,
    verdicts,
)


def of_all_widths(found: list[PaperClaim]) -> list[PaperClaim]:
    """The claims that are not about one width."""
    return [claim for claim in found if not re.search(r", \d bits?:", claim.says)]


def test_what_the_rows_show_is_reproduced() -> None:
    found = of_all_widths(claims_shrestha.claims(shrestha()))
    assert {claim.judgement for claim in found} == {Judgement.REPRODUCED}
    numbers = {claim.says.split(": ")[1].split(".")[0] for claim in found}
    assert numbers == {"23", "24", "25", "26", "27", "27b", "29", "30", "31", "32"}


def test_each_width_is_judged_in_the_direction_of_the_papers_own_table() -> None:
    """Our rows have more of everything on quantised nets; Table 6 has not."""
    found = claims_shrestha.claims(shrestha())
    assert verdicts(found, "30. Boundary attack, 1 bit: L2 is larger") == {Judgement.REPRODUCED}
    assert verdicts(found, "30. Boundary attack, 2 bits: L2 is smaller") == {Judgement.NOT}
    assert verdicts(found, "25. JSMA, 8 bits: accuracy is smaller") == {Judgement.NOT}
    assert verdicts(found, "27. CW, 4 bits: L2 is") == {Judgement.NOT}
    assert not any("26. JSMA, 1 bit: L0" in claim.says for claim in found)


def test_about_the_same_is_a_claim_of_nearness() -> None:
    told = direction("ResNet20", "uap", LEFT, 4)
    assert told is not None
    assert (told.sign, told.here, told.full) == (0, 0.169, 0.176)
    assert direction("Mnist A", "jsma-l0", "l0", 4) is None
    for more, says in ((0.01, Judgement.REPRODUCED), (0.2, Judgement.NOT)):
        rows = attack_rows({LEFT: 0.3}, {LEFT: 0.3 + more})
        groups = {f"cifar-{name}": rows for name in ("fgsm", "uap")}
        found = claims_shrestha.claims(Rows(groups))
        assert verdicts(found, "24. UAP, 4 bits: accuracy is about the same") == {says}


@pytest.mark.parametrize(("images", "says"), [(30, Judgement.OPEN), (1000, Judgement.REPRODUCED)])
def test_no_case_of_few_images_is_not_surely_none(images: int, says: Judgement) -> None:
    """Thirty images of which none is right leave up to 11 % open."""
    none = {LEFT: 0.0, "samples": images // 3, "success": images // 3}
    rows = [{"seed": 0, "run": r, "compress": w, **none} for r in range(3) for w in (None, *WIDTHS)]
    found = claims_shrestha.claims(Rows({"cifar-fgsm": rows, "cifar-boundary": rows}))
    assert verdicts(found, "29.") == {says}


@pytest.mark.parametrize(
    ("group", "rows", "claim"),
    [
        ("mnist-fgsm", attack_rows({LEFT: 0.6}, {LEFT: 0.5}), "23."),
        ("mnist-jsma-l0", attack_rows({"l0": 50.0}, {"l0": 40.0}), "need a larger L0"),
        ("mnist-boundary-200", repeated(lambda s, r: {"l2": 4.0}), "32."),
        ("mnist-boundary-1000", repeated(lambda s, r: {"l2": 1.0, "compress": "dorefa:1"}), "32."),
        (
            "mnist-boundary",
            [{**r, "samples": 100, "success": 80} for r in attack_rows({LEFT: 0.2}, {LEFT: 0.2})],
            "29.",
        ),
    ],
)
def test_the_other_direction_is_not_reproduced(group: str, rows: list[Row], claim: str) -> None:
    found = of_all_widths(claims_shrestha.claims(shrestha(**{group: rows})))
    assert verdicts(found, claim) == {Judgement.NOT}


def test_one_width_that_differs_decides_and_one_that_is_unsure_leaves_it_open() -> None:
    rows = attack_rows({"adversarial_accuracy": 0.3}, {"adversarial_accuracy": 0.5})
    against = [
        {**row, "adversarial_accuracy": 0.1} if row.get("compress") == "dorefa:8" else row
        for row in rows
    ]
    found = of_all_widths(claims_shrestha.claims(shrestha(**{"mnist-fgsm": against})))
    assert verdicts(found, "23.") == {Judgement.NOT}
    unsure = [
        {**row, "adversarial_accuracy": 0.3 + 0.1 * (row["seed"] - 1)}
        if row.get("compress") == "dorefa:8"
        else row
        for row in rows
    ]
    found = of_all_widths(claims_shrestha.claims(shrestha(**{"mnist-fgsm": unsure})))
    assert verdicts(found, "23.") == {Judgement.OPEN}


def test_an_under_trained_network_makes_its_claims_inconclusive() -> None:
    weak = [{"seed": s, "accuracy": 0.9} for s in range(3)]
    found = claims_shrestha.claims(shrestha(**{"mnist-fp": weak}))
    assert {claim.judgement for claim in found} == {Judgement.OPEN}
    assert all("mnist-fp: clean accuracy 0.900, below 0.985" in claim.why for claim in found)


def test_an_under_trained_width_makes_its_own_claims_inconclusive() -> None:
    """A compressed network is measured by the dense one of its seed."""
    clean = [
        {"seed": s, "compress": width, "accuracy": 0.7 if (s, width) == (1, "dorefa:1") else 0.98}
        for s in range(3)
        for width in WIDTHS
    ]
    found = claims_shrestha.claims(shrestha(**{"mnist-quantised": clean}))
    assert verdicts(found, "23. FGSM, 1 bit") == {Judgement.OPEN}
    assert verdicts(found, "23. FGSM, 2 bits") == {Judgement.REPRODUCED}
    assert verdicts(found, "23. FGSM: quantised") == {Judgement.OPEN}
    assert any("mnist-quantised: clean accuracy 0.700" in claim.why for claim in found)


def test_one_under_trained_seed_is_enough() -> None:
    some = [{"seed": s, "accuracy": 0.98 if s == 1 else 0.995} for s in range(3)]
    found = claims_shrestha.claims(shrestha(**{"mnist-fp": some}))
    assert {claim.judgement for claim in found} == {Judgement.OPEN}
