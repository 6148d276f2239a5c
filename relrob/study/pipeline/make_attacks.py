"""Stages that attack: the examples of one attack on one network, and these on another network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.attack import distances
from relrob.attacks.craft import Asked
from relrob.attacks.making import Task, made_set
from relrob.attacks.recognition import LEAST, correlations
from relrob.attacks.selection import Filter, drawn
from relrob.attacks.set_file import read_set, write_set
from relrob.attacks.transfer import Cell, cell
from relrob.domain.arrays import Ints
from relrob.domain.region import Norm
from relrob.networks.deployed import labelled_outputs
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.store.stage_document import Row
from relrob.store.stage_outcomes import FILE, Outcomes
from relrob.study.pipeline.made import opened_network
from relrob.study.pipeline.methods import SELECT
from relrob.study.pipeline.work import Job
from relrob.system.files import write_atomic
from relrob_datasets.dataset import Dataset

# The file of an adversarial set.
SAMPLES: Final = "adv.npz"
# Tells this draw from others of the same run.
_DRAW: Final = 0x51D3
_SPARE: Final = 16


def attack(job: Job) -> list[Row]:
    """Attack the source: `images` of the split, drawn by the stage's `run`, of those that it labels
    rightly ("correct") or of all ("all"). The row holds the metrics on the source itself."""
    options = job.options
    data = job.shelf.data(options["dataset"], options["split"])
    opened = opened_network(job, "source", data)
    chosen = SELECT[options["select"]]
    places = _drawn(data, opened, chosen, int(options["images"]), options["run"])
    target = options["target_label"]
    asked = Asked.of(options["attack"], options["run"])
    task = Task(asked, chosen, data, places, None, str(target) if target >= 0 else None)
    made = made_set(task, opened, job.listener)
    write_set(job.folder / SAMPLES, made.samples)
    right = made.samples.clean == made.samples.labels
    own = cell(0, 0, made.samples, opened, right, Filter.NONE)
    _write_outcomes(job.folder, made.samples, own)
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


def _drawn(data: Dataset, opened: Opened, chosen: Filter, most: int, run: int) -> Ints:
    """The places of `most` images at random without replacement, in their own order; with
    `SOURCE_CORRECT` of those that the network labels rightly. Fewer where there are no more.

    The images are gone through in random order, and labels are asked for only until enough are
    right: that is a draw of the right ones.
    """
    every = np.arange(len(data.labels))
    if most >= len(every):
        return every
    if chosen is Filter.NONE:
        return drawn(every, most, run)
    order = np.random.default_rng([_DRAW, run]).permutation(len(every))
    found: list[Ints] = []
    at = 0
    while at < len(order) and (missing := most - sum(map(len, found))) > 0:
        # A few more than are missing, of which all are right but a few.
        some = order[at : at + missing + missing // 8 + _SPARE]
        at += len(some)
        said = labels(labelled_outputs(opened, data.pixels(some.tolist())))
        found.append(some[said == data.labels[some]][:missing])
    return np.sort(np.concatenate(found))


def evaluate(job: Job) -> list[Row]:
    """Try the examples of another network on the target. `both_correct`: only those whose clean
    image it labels rightly too."""
    samples = read_set(job.inputs["samples"].only(SAMPLES))
    data = job.shelf.data(job.options["dataset"], samples.origin.split)
    opened = opened_network(job, "target", data)
    right: Any = job.shelf.clean(opened, data, samples.indices) == samples.labels
    chosen = Filter.BOTH_CORRECT if job.options["both_correct"] else Filter.NONE
    found = cell(0, 1, samples, opened, right, chosen)
    _write_outcomes(job.folder, samples, found)
    return [{**flat(found), "clean_accuracy": round(float(right.mean()), 6)}]


def _write_outcomes(folder: Path, samples: AdversarialSet, found: Cell) -> None:
    """What became of each image that counts."""
    rows = np.flatnonzero(found.kept)
    adversarial, images = samples.adversarial[rows], samples.images[rows]
    success = samples.goal.reached(found.said, rows)
    hit = success if samples.targets is not None else np.zeros(len(rows), np.bool_)
    told = Outcomes(
        samples.origin.dataset,
        samples.indices[rows],
        found.said == samples.labels[rows],
        hit,
        samples.success[rows],
        success,
        success & (correlations(adversarial, images) < LEAST),
        *(
            distances(adversarial, images, norm).astype(np.float32)
            for norm in (Norm.L0, Norm.L2, Norm.LINF)
        ),
    )
    write_atomic(folder / FILE, told.encode())


def flat(found: Cell) -> Row:
    """The figures of a cell as one row: means of norms over successes, None where there are none;
    `unrecognisable`: share of the successes that nobody would recognise, of which
    `unrecognisable_in_top_2` have the true class among the two most likely; `l2_recognisable`: the
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
        "unrecognisable_in_top_2": lost.in_top_2,
        "l2_recognisable": kept["l2"]["mean"],
        "in_top_2": found.in_top_2,
        "transfer_rate": document["transfer_rate"],
    }
