"""The ladder around one image, counted, checked, exported and drawn, as `relrob ladder` does."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from relrob.domain.region import Ladder
from relrob.errors import UsageError
from relrob.regions.exact import parse_fraction
from relrob.regions.graph import check_covering, graph, refuse_large, write_graphml
from relrob.regions.ladder import RungSet, rung_set
from relrob.registry import load
from relrob.study.pool import leave_unguarded
from relrob.study.region import described, features_of
from relrob.system.child import check_memory
from relrob.system.files import check_writable, readable, write_atomic
from relrob_datasets.dataset import Dataset, Images
from relrob_datasets.first import load_image_guarded, load_images_guarded, refuse_memory
from relrob_datasets.read_as import ReadAs
from relrob_datasets.select import select

_REPORT = "relrob.report.ladder"
_ACCEPTED = "an index of the data set, or a .npy, .npz or picture file"


def ladder(
    image: int | str | Path,
    *,
    radius: float | str,
    step: float | str,
    features: int | str = "20",
    axes: int = 10,
    dataset: str | None = None,
    split: str | None = None,
    range: str | None = None,
    images_layout: str = "auto",
    graphml: str | Path | None = None,
    drawing: str | Path | None = None,
    memory: float | None = None,
) -> dict[str, Any]:
    """Count the points of the complete ladder around one image and check that it is covering;
    returns the document of `relrob ladder --json`.

    `image`: an index of `dataset` (default: the split test of mnist), or a file with one image.
    `range` and `images_layout`: as for `relrob verify`. `graphml` and `drawing` (.png or .svg):
    files to write. `memory`: GiB that the first reading of a file may take. Raises RelrobError,
    also for a ladder that is too large for a graph.
    """
    leave_unguarded()
    check_memory(memory)
    region = Ladder(
        parse_fraction(str(radius), "radius"),
        parse_fraction(str(step), "step"),
        features_of(str(features)),
        axes,
    )
    read_as = ReadAs(labels="reference", range=range, layout=images_layout)
    outputs = [None if name is None else Path(name) for name in (graphml, drawing)]
    _check_outputs(*outputs)
    data, index = _image(str(image), dataset, split, memory, read_as)
    rungs = rung_set(region, data.images[index])
    if outputs[1] is not None:
        refuse_large(rungs, load(f"{_REPORT}:DRAWN"), "drawing")
    view = graph(rungs)
    covering = check_covering(rungs, view)
    title = f"{data.name} {index}" if data.split != "file" else data.name
    words = f"{title}: radius {region.radius}, step {region.step}, {rungs.count:,} points"
    if outputs[0] is not None:
        write_graphml(view, outputs[0])
    if outputs[1] is not None:
        kind = outputs[1].suffix.lower().removeprefix(".")
        write_atomic(outputs[1], load(f"{_REPORT}:drawing")(view, kind, words))
    read = {key: value for key, value in data.reading.json().items() if key != "labels"}
    return {
        "image": {
            "name": data.name,
            "split": data.split,
            "index": index,
            "sha256": data.sha256,
            **read,
        },
        "region": described(region),
        "feature_costs": [str(Fraction(cost, rungs.denominator)) for cost in rungs.costs],
        "points": covering.points,
        "edges": covering.edges,
        **_counts(rungs, view),
        "complete": covering.complete,
        "covering": covering.covering,
        "longest": covering.longest,
        "files": [readable(path) for path in outputs if path is not None],
    }


def _check_outputs(graphml: Path | None, drawing: Path | None) -> None:
    """Refuse files that cannot be written, before the work. Raises UsageError, StoreError."""
    if drawing is not None and drawing.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"drawing {drawing}", "a file name that ends in .png or .svg")
    for path in (graphml, drawing):
        if path is not None:
            check_writable(path)


def _image(
    text: str, dataset: str | None, split: str | None, memory: float | None, read_as: ReadAs
) -> tuple[Dataset | Images, int]:
    """The data set that holds the image, and its index there. Raises UsageError, DatasetError."""
    if text.isascii() and text.isdigit():
        refuse_memory(memory, dataset or "mnist")
        data = load_images_guarded(dataset or "mnist", split or "test", memory, read_as)
        return data, select(data, text)[0]
    if dataset is not None or split is not None:
        raise UsageError(
            f"image {text!r} of a data set", "an index", "a file without --dataset and --split"
        )
    if not Path(text).is_file():
        raise UsageError(f"image {text!r}: no such file", _ACCEPTED)
    return load_image_guarded(Path(text), memory, read_as), 0


def _counts(rungs: RungSet, view: Any) -> dict[str, Any]:
    """`rungs`: points for each number of moved features, with the least and the largest cost;
    `costs`: points for each cost. Costs are exact, as text, ascending."""
    found: dict[int, list[Fraction]] = {}
    for node, cost in view.nodes(data="cost"):
        found.setdefault(len(node), []).append(Fraction(cost))
    lines = [
        {"moved": moved, "points": len(costs), "least": str(min(costs)), "largest": str(max(costs))}
        for moved, costs in sorted(found.items())
    ]
    every = Counter(cost for costs in found.values() for cost in costs)
    return {
        "rungs": lines,
        "costs": [{"cost": str(cost), "points": count} for cost, count in sorted(every.items())],
    }
