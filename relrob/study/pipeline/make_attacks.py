"""Stages that attack: the examples of one attack on one network, and these on another network."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from relrob.attacks.craft import Asked
from relrob.attacks.making import Task, made_set
from relrob.attacks.selection import Filter, drawn
from relrob.attacks.set_file import read_set, write_set
from relrob.attacks.transfer import Cell, cell
from relrob.domain.events import silent
from relrob.networks.deployed import deployed_outputs
from relrob.networks.evaluator import labels
from relrob.store.stage_document import Row
from relrob.study.pipeline.made import network_of, opened_network
from relrob.study.pipeline.methods import SELECT
from relrob.study.pipeline.work import Job
from relrob_datasets import load

# The file of an adversarial set.
SAMPLES: Final = "adv.npz"


def attack(job: Job) -> list[Row]:
    """Attack the source: `images` of the split, drawn by the stage's `run`, of those that it labels
    rightly ("correct") or of all ("all"). The row holds the metrics on the source itself."""
    options = job.options
    data = load(options["dataset"], options["split"])
    opened = opened_network(network_of(job.inputs["source"]), data)
    chosen = SELECT[options["select"]]
    places = np.arange(len(data.labels))
    most = int(options["images"])
    if chosen is Filter.NONE and most < len(places):
        # Of all images, the draw comes first: labels of the others are not needed.
        places, sample = drawn(places, most, options["run"]), None
    else:
        sample = most if most < len(places) else None
    target = options["target_label"]
    asked = Asked.of(options["attack"], options["run"])
    task = Task(asked, chosen, data, places, sample, str(target) if target >= 0 else None)
    made = made_set(task, opened, silent)
    write_set(job.folder / SAMPLES, made.samples)
    right = made.samples.clean == made.samples.labels
    own = cell(0, 0, made.samples, opened, right, Filter.NONE)
    attacked = made.crafted.attacked
    row = {
        **flat(own),
        "queries": float(np.median(attacked.queries)),
        "gradients": float(np.median(attacked.gradients)),
        "agreement": made.crafted.agreement,
    }
    fitted = made.crafted.fitted
    if fitted is not None:
        row |= {"fooling": fitted.fooling, "converged": fitted.converged, "passes": fitted.passes}
    return [row]


def evaluate(job: Job) -> list[Row]:
    """Try the examples of another network on the target. `both_correct`: only those whose clean
    image it labels rightly too."""
    samples = read_set(job.inputs["samples"].only(SAMPLES))
    data = load(job.options["dataset"], samples.origin.split)
    opened = opened_network(network_of(job.inputs["target"]), data)
    clean = labels(deployed_outputs(opened, samples.images))
    right: Any = clean == samples.labels
    chosen = Filter.BOTH_CORRECT if job.options["both_correct"] else Filter.NONE
    found = cell(0, 1, samples, opened, right, chosen)
    return [{**flat(found), "clean_accuracy": round(float(right.mean()), 6)}]


def flat(found: Cell) -> Row:
    """The figures of a cell as one row: means of norms over successes, None where there are none;
    `unrecognisable`: share of the successes that nobody would recognise; `l2_recognisable`: the
    mean over the others."""
    metrics, lost = found.metrics, found.recognition
    norms = {norm.value: spread.json()["mean"] for norm, spread in metrics.norms.items()}
    share = lost.count / metrics.succeeded if metrics.succeeded else None
    document = found.json()
    kept = lost.json()["norms_without"]
    return {
        "samples": metrics.samples,
        "success": metrics.succeeded,
        "adversarial_accuracy": document["adversarial_accuracy"],
        "evasion_rate": document["evasion_rate"],
        "targeted_rate": document["targeted_rate"],
        **norms,
        "unrecognisable": None if share is None else round(share, 6),
        "l2_recognisable": kept["l2"]["mean"],
        "in_top_2": found.in_top_2,
        "transfer_rate": document["transfer_rate"],
    }
