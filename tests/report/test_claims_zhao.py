"""The claims of Zhao et al. 2018 and its poster, judged on rows that were made up."""

from __future__ import annotations

from relrob.report.study import claims_zhao
from relrob.report.study.judgement import Judgement
from relrob.report.study.stage_rows import Rows
from tests.report.made_stages import (
    LEFT,
    verdicts,
    zhao,
)


def test_claims_of_zhao_follow_the_rows() -> None:
    found = claims_zhao.claims(zhao())
    for number in ("1.", "2.", "3.", "4.", "7.", "10. attacks", "6. weights"):
        assert verdicts(found, f": {number}") == {Judgement.REPRODUCED}, number
    assert verdicts(found, "IFGSM: 5.") == {Judgement.REPRODUCED}
    assert verdicts(found, "IFGM: 5.") == {Judgement.NOT}
    assert verdicts(found, "6. fewer") == {Judgement.OPEN}
    assert verdicts(found, "10. DeepFool's examples reach") == {Judgement.NOT}


def test_the_papers_share_of_strangers_is_judged_by_nearness() -> None:
    rows = zhao()
    near = [
        {**row, "transfer_rate": 0.07 + 0.01 * row["seed"]}
        for row in rows.groups["lenet5-deepfool-apart"]
    ]
    found = claims_zhao.claims(Rows({**rows.groups, "lenet5-deepfool-apart": near}))
    assert verdicts(found, "10. DeepFool's examples reach") == {Judgement.REPRODUCED}


def test_other_rows_are_not_reproduced() -> None:
    found = claims_zhao.claims(zhao(four_bits=0.05, sparse=0.05, zeros=0.05, largest=3.0))
    assert verdicts(found, "IFGSM: 5.") == {Judgement.NOT}
    assert verdicts(found, "2.") == {Judgement.NOT}
    assert verdicts(found, "7.") == {Judgement.NOT}
    assert verdicts(found, "6. weights alone") == {Judgement.NOT}


def test_ifgsm_is_asked_for_protection_at_low_precision_alone() -> None:
    rows = zhao(four_bits=0.15)
    deep = [
        {**row, LEFT: row[LEFT] + 0.3} if str(row.get("compress")).startswith("q:") else row
        for row in rows.groups["lenet5-deepfool"]
    ]
    found = claims_zhao.claims(Rows({**rows.groups, "lenet5-deepfool": deep}))
    assert verdicts(found, "9.") == {Judgement.REPRODUCED}
    ifgsm = {name: rows for name, rows in rows.groups.items() if name != "lenet5-deepfool"}
    assert verdicts(claims_zhao.claims(Rows(ifgsm)), "9.") == {Judgement.OPEN}
