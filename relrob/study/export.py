"""The questions of a run as SMT-LIB 2, a file for each image and network:
FILE-INDEX-reference.smt2, FILE-INDEX-quantised.smt2."""

from __future__ import annotations

from pathlib import Path

from relrob.domain.events import Event, Listener, silent
from relrob.encoding.question import question
from relrob.errors import UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels
from relrob.regions.points import points_of
from relrob.study.work import Plan, data_of, opened
from relrob.system.files import check_writable, write_atomic

SUFFIX = ".smt2"


def export(plan: Plan, target: Path, listener: Listener = silent) -> list[Path]:
    """Write them, for the images that the reference gets right; unsatisfiable text means that the
    network is ROBUST there.

    Raises UsageError for a name without .smt2 and for networks without bounds, StoreError where
    nothing can be written.
    """
    if target.suffix != SUFFIX:
        raise UsageError(
            f"--export {target}", "a file name that ends in .smt2", "--export question.smt2"
        )
    if plan.region.kind == "search":
        raise UsageError(
            "--export of a search, which asks nothing of a solver", "ladder, lattice, l1, linf"
        )
    check_writable(target)
    for network in (plan.reference, plan.quantised):
        if enclosure_of(network) is None:
            raise UsageError(
                f"--export: {network.path} has no bounds", "float MLPs and dense .tflite files"
            )
    networks = {
        name: opened(net, 1)
        for name, net in (("reference", plan.reference), ("quantised", plan.quantised))
    }
    data, written = data_of(plan), []
    for index in plan.indices:
        image, label = data.images[index], int(data.labels[index])
        if int(labels(networks["reference"].replayer.outputs(data.pixels([index])))[0]) == label:
            points = points_of(plan.region, image)
            for name, ready in networks.items():
                path = target.with_name(f"{target.stem}-{index}-{name}{SUFFIX}")
                write_atomic(path, question(ready, points, label).encode())
                written.append(path)
    listener(Event("note", f"{len(written)} questions written beside {target}"))
    return written
