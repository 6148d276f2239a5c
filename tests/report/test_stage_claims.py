"""The claims of three studies, judged on rows whose truth is known because they were made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relrob.report.study import claims_matachana, claims_shrestha, claims_zhao
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.stage_rows import Rows
from relrob.report.study.stage_text import GroupRows

Row = dict[str, Any]
LEFT = "adversarial_accuracy"
WIDTHS = ("dorefa:1", "dorefa:2", "dorefa:4", "dorefa:8")


def verdicts(found: list[PaperClaim], part: str) -> set[Judgement]:
    some = {claim.judgement for claim in found if part in claim.says}
    assert some, [claim.says for claim in found]
    return some


def repeated(make: Callable[[int, int], Row]) -> list[Row]:
    return [{"seed": s, "run": r, **make(s, r)} for s in range(3) for r in range(3)]


def attack_rows(metrics: Row, quantised: Row) -> list[Row]:
    """Rows of FP and of each width; a little noise by seed and run."""
    rows = repeated(lambda s, r: {k: v + 0.001 * (s + r) for k, v in metrics.items()})
    for width in WIDTHS:
        more = repeated(lambda s, r: {k: v + 0.002 * s + 0.001 * r for k, v in quantised.items()})
        rows += [{**row, "compress": width} for row in more]
    return rows


def shrestha(**changes: Any) -> Rows:
    full = {"adversarial_accuracy": 0.3, "l2": 3.0, "l0": 30.0}
    more = {"adversarial_accuracy": 0.5, "l2": 4.0, "l0": 40.0}
    none = {"adversarial_accuracy": 0.0, "unrecognisable": 0.0}
    groups: dict[str, list[Row]] = {
        f"mnist-{name}": attack_rows(full, more)
        for name in ("fgsm", "uap", "jsma", "cw", "jsma-l0")
    }
    groups["mnist-boundary"] = [
        {**row, "unrecognisable": 0.06 if row.get("compress") == "dorefa:1" else 0.0}
        for row in attack_rows({**none, "l2": 5.0}, {**none, "l2": 6.0})
    ]
    groups["mnist-boundary-15"] = attack_rows({"l2": 5.0}, {"l2": 6.0})
    groups["mnist-boundary-200"] = repeated(lambda s, r: {"l2": 1.5})
    groups["mnist-boundary-1000"] = repeated(lambda s, r: {"l2": 5.5, "compress": "dorefa:1"})
    groups["mnist-fp"] = [{"seed": s, "accuracy": 0.99} for s in range(3)]
    return Rows({**groups, **changes})


def test_what_the_rows_show_is_reproduced() -> None:
    found = claims_shrestha.claims(shrestha())
    assert {claim.judgement for claim in found} == {Judgement.REPRODUCED}
    numbers = {claim.says.split(": ")[1].split(".")[0] for claim in found}
    assert numbers == {"23", "24", "25", "26", "27", "27b", "29", "30", "31", "32"}


@pytest.mark.parametrize(
    ("group", "rows", "claim"),
    [
        ("mnist-fgsm", attack_rows({LEFT: 0.6}, {LEFT: 0.5}), "23."),
        ("mnist-jsma-l0", attack_rows({"l0": 50.0}, {"l0": 40.0}), "JSMA needs a larger L0"),
        ("mnist-boundary-200", repeated(lambda s, r: {"l2": 4.0}), "32."),
        ("mnist-boundary-1000", repeated(lambda s, r: {"l2": 1.0, "compress": "dorefa:1"}), "32."),
        ("mnist-boundary", attack_rows({LEFT: 0.2, "l2": 5.0}, {LEFT: 0.2, "l2": 4.0}), "29."),
    ],
)
def test_the_other_direction_is_not_reproduced(group: str, rows: list[Row], claim: str) -> None:
    found = claims_shrestha.claims(shrestha(**{group: rows}))
    assert verdicts(found, claim) == {Judgement.NOT}


def test_one_width_that_differs_decides_and_one_that_is_unsure_leaves_it_open() -> None:
    rows = attack_rows({"adversarial_accuracy": 0.3}, {"adversarial_accuracy": 0.5})
    against = [
        {**row, "adversarial_accuracy": 0.1} if row.get("compress") == "dorefa:8" else row
        for row in rows
    ]
    assert verdicts(claims_shrestha.claims(shrestha(**{"mnist-fgsm": against})), "23.") == {
        Judgement.NOT
    }
    unsure = [
        {**row, "adversarial_accuracy": 0.3 + 0.1 * (row["seed"] - 1)}
        if row.get("compress") == "dorefa:8"
        else row
        for row in rows
    ]
    assert verdicts(claims_shrestha.claims(shrestha(**{"mnist-fgsm": unsure})), "23.") == {
        Judgement.OPEN
    }


def test_an_under_trained_network_makes_its_claims_inconclusive() -> None:
    weak = [{"seed": s, "accuracy": 0.9} for s in range(3)]
    found = claims_shrestha.claims(shrestha(**{"mnist-fp": weak}))
    assert {claim.judgement for claim in found} == {Judgement.OPEN}
    assert all("under-trained: clean accuracy 0.900" in claim.why for claim in found)


DENSE, PRUNED, QUANTISED = (
    0.99,
    ("surgery:0.5", "surgery:0.05"),
    ("q:4:1", "q:8:2", "q:16:4", "q:32:4"),
)


def zhao(four_bits: float = 0.4, sparse: float = 0.8, zeros: float = 0.9) -> Rows:
    """LeNet5 with IFGSM, whose accuracy under attack is 0.1 unless said otherwise."""

    def left(text: str) -> float:
        return {"q:4:1": four_bits, "surgery:0.05": sparse, "surgery:0.5": 0.12}.get(text, 0.1)

    def rows(values: Callable[[str], float], texts: tuple[str, ...], key: str) -> list[Row]:
        return [
            {"seed": s, "compress": text, key: values(text) + 0.001 * s}
            for s in range(3)
            for text in texts
        ]

    def clean(text: str) -> float:
        return 0.7 if text == "surgery:0.05" else DENSE

    every, key = (*PRUNED, *QUANTISED), "adversarial_accuracy"
    dense = [{"seed": s, key: 0.1 + 0.001 * s} for s in range(3)]
    groups: dict[str, list[Row]] = {
        "lenet5": [{"seed": s, "accuracy": DENSE} for s in range(3)],
        "lenet5-pruned": rows(clean, PRUNED, "accuracy"),
        "lenet5-quantised": rows(clean, QUANTISED, "accuracy"),
        "lenet5-distribution": rows(
            lambda text: zeros if text == "q:4:1" else 0.1, QUANTISED, "weights_zero"
        ),
    }
    for attack in ("ifgsm", "ifgm", "deepfool"):
        groups[f"lenet5-{attack}"] = [*dense, *rows(left, every, key)]
        groups[f"lenet5-{attack}-comp-full"] = [
            {**row, "transfer_rate": 0.9} for row in rows(left, every, key)
        ]
        groups[f"lenet5-{attack}-full-comp"] = [
            {**row, "transfer_rate": 0.9}
            for row in rows(lambda t: 0.05 if t == "surgery:0.05" else left(t), every, key)
        ]
        groups[f"lenet5-{attack}-apart"] = [
            {"seed": s, "target.seed": t, "transfer_rate": 1.0 if s == t else 0.3}
            for s in range(3)
            for t in range(3)
        ]
    return Rows(groups)


def test_claims_of_zhao_follow_the_rows() -> None:
    found = claims_zhao.claims(zhao())
    for number in ("1.", "2.", "3.", "4.", "7.", "10."):
        assert verdicts(found, f": {number}") == {Judgement.REPRODUCED}, number
    assert verdicts(found, "IFGSM: 5.") == {Judgement.REPRODUCED}
    assert verdicts(found, "IFGM: 5.") == {Judgement.NOT}
    assert verdicts(found, "6.") == {Judgement.OPEN}


def test_other_rows_are_not_reproduced() -> None:
    found = claims_zhao.claims(zhao(four_bits=0.05, sparse=0.05, zeros=0.05))
    assert verdicts(found, "IFGSM: 5.") == {Judgement.NOT}
    assert verdicts(found, "2.") == {Judgement.NOT}
    assert verdicts(found, "7.") == {Judgement.NOT}


def matachana(masked: float = 0.7, runs: int = 3, lead: float = 0.8) -> Rows:
    """Full, one pruned and one quantised network; three runs of one seed."""
    soft = ("sfp", "sfp-mixup", "sfp-cutout")
    names = ("full", *soft, "pp2", "q2")
    uer = {("q2", "q2"): 0.5, ("full", "q2"): masked, ("pp2", "q2"): masked, ("q2", "full"): 0.4}
    uer |= {("q2", "pp2"): 0.4, ("pp2", "full"): lead}
    uer |= {(one, name): 0.4 for one in soft for name in ("pp2", "q2", "full")}
    transfer = [
        {"seed": 0, "run": r, "source": s, "target": t}
        | {"evasion_rate": uer.get((s, t), 0.3 if t in soft else 0.8) + 0.001 * r}
        for s in names
        for t in names
        for r in range(3)
    ]
    uap = [
        {"seed": 0, "run": r, "source": s, "attack": f"sgd-uap:eps={e}/255", "evasion_rate": e / 20}
        for s in names
        for e in (2, 6, 10)
        for r in range(3)
    ]
    targeted = [
        {"seed": 0, "run": r, "source": s, "target_label": t}
        | {"targeted_rate": {"full": 0.5, "pp2": 0.5, "q2": 0.1}.get(s, 0.4) + 0.01 * t}
        for s in names
        for t in range(10)
        for r in range(runs)
    ]
    clean = {"full": 0.9, "sfp": 0.85, "sfp-mixup": 0.86, "sfp-cutout": 0.86}
    clean |= {"pp2": 0.89, "q2": 0.88}
    return Rows(
        {
            **{name: [{"seed": 0, "accuracy": value}] for name, value in clean.items()},
            "transfer": transfer,
            "uap": uap,
            "targeted": targeted,
        }
    )


def test_claims_of_matachana_follow_the_rows() -> None:
    found = claims_matachana.claims(matachana())
    for number in ("11.", "13.", "14.", "15.", "16.", "17.", "18.", "19."):
        assert verdicts(found, number) == {Judgement.REPRODUCED}, number
    assert verdicts(found, "SVHN") == {Judgement.OPEN}
    masked = claims_matachana.claims(matachana(masked=0.2))
    assert verdicts(masked, "14.") == {Judgement.NOT}


def test_a_study_without_rows_claims_nothing() -> None:
    for module in (claims_matachana, claims_shrestha, claims_zhao):
        assert module.claims(Rows({})) == []


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


def test_one_under_trained_seed_is_enough() -> None:
    some = [{"seed": s, "accuracy": 0.98 if s == 1 else 0.995} for s in range(3)]
    found = claims_shrestha.claims(shrestha(**{"mnist-fp": some}))
    assert {claim.judgement for claim in found} == {Judgement.OPEN}


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


def test_ifgsm_is_asked_for_protection_at_low_precision_alone() -> None:
    rows = zhao(four_bits=0.15)
    deep = [
        {**row, LEFT: row[LEFT] + 0.3} if str(row.get("compress")).startswith("q:") else row
        for row in rows.groups["lenet5-deepfool"]
    ]
    found = claims_zhao.claims(Rows({**rows.groups, "lenet5-deepfool": deep}))
    assert verdicts(found, "9.") == {Judgement.REPRODUCED}
