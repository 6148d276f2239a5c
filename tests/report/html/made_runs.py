"""Runs as pages read them, made without networks or a disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from relrob.domain.record import AttackRecord, Record, WitnessView, by_network
from relrob.report.html.run_data import RunData, without_witness
from relrob.report.html.thumbnails import picture_of
from relrob.store.evidence import Evidence
from relrob.store.summarise import summarise
from tests.make_records import make_config, make_header, make_record, make_result, make_witness

ATTACK = "pgd:eps=0.1"


def views_of(index: int) -> list[WitnessView]:
    """The witnesses of an image with scores, some of a colour image."""
    rng = np.random.default_rng(index)
    found = make_result(index, 3 if index % 3 == 0 else 1).witnesses
    return [
        replace(
            view,
            reference_scores=rng.normal(size=(2, 10)).astype(np.float32),
            quantised_scores=rng.normal(size=(2, 10)).astype(np.float32),
        )
        for view in found
    ]


def made_run(images: int, records: Sequence[Record] | None = None, **header: Any) -> RunData:
    """Records of every set, an attack, layers and pictures."""
    rows = tuple(make_record(index) for index in range(images)) if records is None else records
    attacks = {
        record.index: (
            AttackRecord(ATTACK, "reference", False, 0.31, 3, True, True, 5, 5),
            AttackRecord(ATTACK, "quantised"),
        )
        for record in rows
        if record.reference_verdict
    }
    gradients: dict[str, dict[str, str]] = {name: {} for name in ("reference", "quantised")}
    asked = {"seed": 7, "gradients": gradients, "each": [{"attack": ATTACK, "norm": "linf"}]}
    document = {**make_header(len(rows)), "attacks": asked, **header}
    pictures = {
        index: picture_of(make_witness(index).original, (28, 28, 1))
        for index in without_witness(rows)
    }
    evidence = Evidence(
        "relrob verify --radius 20", weights(), {1: "dense 2"}, "A model.", pictures
    )
    summary = summarise(rows, document, 12.5, attacks)
    return RunData(summary, tuple(rows), attacks, evidence, make_config(), by_network(views_of))


def weights() -> dict[str, Any]:
    """Two layers and an activation."""
    layer = {
        "layer": "dense <1>",
        "scheme": "int8 per channel",
        "inputs": 784,
        "outputs": 512,
        "largest_error": 0.5,
        "rms_error": 0.29,
        "saturated": 0.001,
        "dead": 0.12,
        "beyond_rounding": 0,
    }
    activation = {
        "layer": "dense <1>",
        "role": "output",
        "low": 0.0,
        "high": 6.0,
        "used": 0.9,
        "at_low": 0.3,
        "at_high": 0.02,
        "floor": True,
        "beyond": None,
        "varied": 0.02,
    }
    return {
        "read": True,
        "reason": "",
        "layers": [layer, {**layer, "layer": "dense 2", "rms_error": 0.7, "beyond_rounding": 3}],
        "activations": [activation],
    }
