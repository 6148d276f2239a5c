"""The questions of a run as SMT-LIB 2, a file for each image and network: FILE-INDEX-reference.smt2, FILE-INDEX-quantised.smt2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import relrob_datasets
from relrob.domain.events import Event, Listener, silent
from relrob.errors import UsageError
from relrob.files import check_writable, write_atomic
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels
from relrob.problem import Opened, Problem
from relrob.regions.ladder import rung_set
from relrob.registry import load
from relrob.study.plan import Plan
from relrob.study.run import opened

SUFFIX = ".smt2"


def export(plan: Plan, target: Path, listener: Listener = silent) -> list[Path]:
    """Write them, for the images that the reference gets right; unsatisfiable text means that the network is ROBUST there.

    Raises UsageError for a name without .smt2 and for networks without bounds, StoreError where nothing can be written.
    """
    if target.suffix != SUFFIX:
        raise UsageError(f"--export {target}", "a file name that ends in .smt2", "--export question.smt2")
    check_writable(target)
    for network in (plan.reference, plan.quantised):
        if enclosure_of(network) is None:
            raise UsageError(f"--export: {network.path} has no bounds", "float MLPs and dense .tflite files")
    to_smtlib: Callable[[Opened, Problem], str] = load("relrob_solvers.smt:to_smtlib")
    networks = {name: opened(net, 1) for name, net in (("reference", plan.reference), ("quantised", plan.quantised))}
    data, written = relrob_datasets.load(plan.dataset, plan.split), []
    for index in plan.indices:
        rungs, label = rung_set(plan.ladder, data.images[index]), int(data.labels[index])
        if int(labels(networks["reference"].replayer.outputs(rungs.base[None, :]))[0]) == label:
            for name, ready in networks.items():
                problem = Problem(rungs, label, (ready,), plan.budget, False)
                path = target.with_name(f"{target.stem}-{index}-{name}{SUFFIX}")
                write_atomic(path, to_smtlib(ready, problem).encode())
                written.append(path)
    listener(Event("note", f"{len(written)} questions written beside {target}"))
    return written
