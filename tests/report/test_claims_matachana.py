"""The claims of Matachana et al. 2020, judged on rows that were made up."""

from __future__ import annotations

from relrob.report.study import claims_matachana
from relrob.report.study.judgement import Judgement
from relrob.report.study.stage_rows import Rows
from tests.report.made_stages import (
    matachana,
    verdicts,
)


def test_claims_of_matachana_follow_the_rows() -> None:
    found = claims_matachana.claims(matachana())
    soft = ("19. SFP lowers", "19. SFP with mixup", "19. a quantised net", "22.")
    for number in ("11.", "13.", "14.", "15.", "16.", "17.", "18.", *soft):
        assert verdicts(found, number) == {Judgement.REPRODUCED}, number
    assert verdicts(found, "SVHN") == {Judgement.OPEN}
    assert verdicts(found, "19. PP raises") == {Judgement.OPEN}
    masked = claims_matachana.claims(matachana(masked=0.2))
    assert verdicts(masked, "14.") == {Judgement.NOT}


def with_accuracies(rows: Rows, clean: dict[str, float], own: dict[str, float]) -> Rows:
    """The rows with other clean accuracies and white-box UERs."""
    groups = dict(rows.groups)
    for name, value in clean.items():
        groups[name] = [{"seed": 0, "accuracy": value, "images": 10_000}]
    groups["transfer"] = [
        {**row, "evasion_rate": own[row["source"]]} if row["source"] == row["target"] else row
        for row in rows.groups["transfer"]
    ]
    return Rows(groups)


def test_accuracy_and_uer_need_a_correlation_that_chance_does_not_give() -> None:
    clean = {"full": 0.90, "pp2": 0.89, "q2": 0.88, "sfp": 0.85, "sfp-mixup": 0.84}
    clean["sfp-cutout"] = 0.83
    falling = {name: 1 - value for name, value in clean.items()}
    found = claims_matachana.claims(with_accuracies(matachana(), clean, falling))
    assert verdicts(found, "21.") == {Judgement.REPRODUCED}
    rising = claims_matachana.claims(with_accuracies(matachana(), clean, clean))
    assert verdicts(rising, "21.") == {Judgement.NOT}
    # A rank correlation of -0.66 of six models has p = 0.18.
    order = dict(zip(clean, (0.3, 0.1, 0.2, 0.6, 0.4, 0.5), strict=True))
    weak = claims_matachana.claims(with_accuracies(matachana(), clean, order))
    assert verdicts(weak, "21.") == {Judgement.OPEN}


def test_the_loss_of_accuracy_has_a_verdict_of_its_own() -> None:
    own: dict[str, float] = dict.fromkeys(
        ("full", "pp2", "q2", "sfp", "sfp-mixup", "sfp-cutout"), 0.5
    )
    for loss, says in ((0.80, Judgement.REPRODUCED), (0.88, Judgement.OPEN), (0.9, Judgement.NOT)):
        found = claims_matachana.claims(with_accuracies(matachana(), {"sfp": loss}, own))
        assert verdicts(found, "22.") == {says}, loss


def test_higher_tsr_on_half_of_the_labels_refutes_a_claim_of_most() -> None:
    rows = matachana()
    raised = [
        {**row, "targeted_rate": 0.9}
        if (row["source"], row["target_label"] < 5) == ("sfp", True)
        else row
        for row in rows.groups["targeted"]
    ]
    found = claims_matachana.claims(Rows({**rows.groups, "targeted": raised}))
    assert verdicts(found, "19. SFP lowers") == {Judgement.NOT}


def test_similar_nets_are_tested_by_mantel() -> None:
    rows = matachana()
    found = next(c for c in claims_matachana.claims(rows) if "similar accuracy" in c.says)
    assert "Mantel" in found.why and "6 networks" in found.why


def test_one_run_of_one_seed_decides_no_claim_about_targets() -> None:
    found = claims_matachana.claims(matachana(runs=1))
    assert verdicts(found, "19.") == {Judgement.OPEN}


def test_the_strongest_source_leads_by_more_than_chance() -> None:
    level = matachana(lead=0.4)
    rows = [dict(row) for row in level.groups["transfer"]]
    for row in rows:
        if (row["source"], row["target"]) == ("pp2", "full"):
            row["evasion_rate"] = (0.399, 0.402, 0.41)[row["run"]]
    rows = [{**r, "evasion_rate": 0.4} if r["target"] == r["source"] == "full" else r for r in rows]
    found = claims_matachana.claims(Rows({**level.groups, "transfer": rows}))
    assert verdicts(found, "16.") == {Judgement.OPEN}
