"""Audits made by hand: rows, and the document that reports read."""

from __future__ import annotations

from typing import Any

from relrob.audit.facts import facts_of
from relrob.audit.gate import judge, verdict_of
from relrob.audit.headline import headline
from relrob.audit.policy import Policy, default_policy
from relrob.audit.rows import Row

KEPT, LOST, OPEN = ("ROBUST", "ROBUST"), ("ROBUST", "NOT_ROBUST"), ("ROBUST", "UNKNOWN")
SETS = {KEPT: "R_Q^FP", LOST: "R^FP"}


def sampled(
    index: int,
    verdicts: tuple[str, str],
    by: tuple[str, str] = ("proved", "proved"),
    witness: int | None = None,
) -> Row:
    """An image of label 1, right on both networks."""
    return Row(
        index,
        1,
        1,
        1,
        set=SETS.get(verdicts, "unknown"),
        reference_verdict=verdicts[0],
        quantised_verdict=verdicts[1],
        witness_reference_label=witness,
        reference_ground=by[0] if verdicts[0] == "ROBUST" else "",
        quantised_ground=by[1] if verdicts[1] == "ROBUST" else "",
    )


def made_rows() -> list[Row]:
    """Ten sampled images, one lost and two undecided, and ten that were not sampled."""
    verdicts = {3: LOST, 5: OPEN, 7: OPEN}
    rows = [sampled(index, verdicts.get(index, KEPT)) for index in range(10)]
    return [*rows, *(Row(index, 1, 1, 0 if index == 12 else 1) for index in range(10, 20))]


def made_document(
    rows: list[Row] | None = None,
    policy: Policy | None = None,
    blocking: tuple[str, ...] = (),
    path: str = "q.tflite",
) -> dict[str, Any]:
    """audit.json of these rows."""
    rows = made_rows() if rows is None else rows
    policy = policy or default_policy()
    rules = judge(policy, facts_of(rows, blocking=blocking))
    listed = [
        {"id": name, "sentence": f"{name} <b>|", "hint": "--x", "blocking": True, "evidence": {}}
        for name in blocking
    ]
    return {
        "relrob": "0.1.0",
        "verdict": verdict_of(rules),
        "sentence": headline(rows),
        "sentences": [headline(rows), "the labels agree on 19 of 20 images"],
        "rules": [rule.json() for rule in rules],
        "policy": {"path": policy.path, "lines": dict(policy.lines)},
        "dataset": {
            "name": "d.npz",
            "split": "test",
            "images": len(rows),
            "sha256": "d" * 64,
            "labels": "given",
        },
        "reference": {"path": "ref.keras", "sha256": "a" * 64},
        "quantised": {"path": path, "sha256": "b" * 64, "scheme": "int8", "runtime": "xnnpack"},
        "region": {"kind": "linf", "radius": 0.00784, "exact": {"radius": "2/255"}},
        "pair": {"agreement": 0.95, "diagnosis": listed},
        "runtimes": {"most_differing": None},
        "robustness": {
            "images": 10,
            "time_limit": 2.4,
            "sets": {"R": 10, "R^FP": 1},
            "relative_robustness_bounds": [0.7, 0.9],
        },
        "attacks": {},
        "baseline": None,
        "seconds": {"audit": 1.0},
    }
