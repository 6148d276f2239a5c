"""Rows of the three studies of stages whose truth is known because they were made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.stage_rows import Rows

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
    counts = {"samples": 1000, "success": 1000, "unrecognisable_in_top_2": 60}
    groups: dict[str, list[Row]] = {
        f"mnist-{name}": attack_rows(full, more)
        for name in ("fgsm", "uap", "jsma", "cw", "jsma-l0")
    }
    groups["mnist-boundary"] = [
        {**row, **counts, "unrecognisable": 0.06 if row.get("compress") == "dorefa:1" else 0.0}
        for row in attack_rows({**none, "l2": 5.0}, {**none, "l2": 6.0})
    ]
    groups["mnist-boundary-15"] = attack_rows({"l2": 5.0}, {"l2": 6.0})
    groups["mnist-boundary-200"] = repeated(lambda s, r: {"l2": 1.5})
    groups["mnist-boundary-1000"] = repeated(lambda s, r: {"l2": 5.5, "compress": "dorefa:1"})
    groups["mnist-fp"] = [{"seed": s, "accuracy": 0.99} for s in range(3)]
    return Rows({**groups, **changes})


DENSE, PRUNED, QUANTISED = (
    0.99,
    ("surgery:0.5", "surgery:0.05"),
    ("q:4:1", "q:8:2", "q:16:4", "q:32:4"),
)


def zhao(
    four_bits: float = 0.4, sparse: float = 0.8, zeros: float = 0.9, largest: float = 1.0
) -> Rows:
    """LeNet5 with IFGSM, whose accuracy under attack is 0.1 unless said otherwise."""
    parts = [
        {"seed": s, "method": f"q:4:1:{part}", LEFT: four_bits + 0.001 * s}
        for part in ("weights", "activations")
        for s in range(3)
    ]

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
        "lenet5-distribution": [
            {**row, "weights_largest": most, "activations_largest": most}
            for row in rows(
                lambda text: zeros if text == "q:4:1" else 0.1, QUANTISED, "weights_zero"
            )
            for most in (largest if row["compress"] == "q:4:1" else 2.0,)
        ],
        "lenet5-only-weights-ifgsm-comp-full": parts,
        "lenet5-only-activations-ifgsm-comp-full": parts,
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
            **{
                name: [{"seed": 0, "accuracy": value, "images": 10_000}]
                for name, value in clean.items()
            },
            "transfer": transfer,
            "uap": uap,
            "targeted": targeted,
        }
    )
