"""Edited files: tiny networks drawn at random whose meaning is edited.

The runtime itself brings the smallest margin, or the needle, to the edge. Every point of the
question is run alone. All of it comes from (seed, format, number).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.registry import load
from relrob.system.memory import unwritten
from relrob.testing import alone
from relrob.testing.drafts import SHAPES, SMALL, Draft, drawn_names, needle_weights, random_weights
from relrob.testing.questions import Question, random_question

# format -> (module:draft, module:EDITS)
FORMATS: Final = {
    "tflite": ("relrob.testing.files_tflite:draft", "relrob.testing.edits_tflite:EDITS"),
    "onnx": ("relrob.testing.files_onnx:draft", "relrob.testing.edits_onnx:EDITS"),
    "keras": ("relrob.testing.files_keras:draft", "relrob.testing.edits_keras:EDITS"),
}
GRIDS: Final = (1 / 255, 1 / 255, 1 / 255, 1 / 254, 1 / 127, 1 / 127, 1 / 64, 0.5 / 255, 1 / 3)
STYLES: Final = ("random", "edge", "edge", "needle", "needle", "needle")
COARSE: Final = (
    1,
    1,
    2,
    3,
    85,
    127.5,
    25.5,
    # How many of a file's own steps a step of a coarser grid is.
)
HALVINGS: Final = 8


@dataclass(frozen=True, eq=False)
class Edited:
    """A file, its question and the truth about it.

    `label`: the file's label of the clean image. `rows` (n, classes): its outputs on each point,
    run alone. `unsteady`: they differ when asked again.
    """

    seed: int
    number: int
    format: str
    data: bytes
    suffix: str
    runtime: str
    base: str
    edits: tuple[str, ...]
    plain: bool
    style: str
    shape: tuple[int, int, int]
    classes: int
    question: Question
    label: int
    rows: Doubles
    unsteady: bool

    @property
    def said(self) -> Ints:
        """First index of the largest output; -1 where there is NaN."""
        return alone.labels(self.rows)

    @property
    def margins(self) -> Doubles:
        """The label's output less the largest other."""
        return _margins(self.rows, self.label)

    @property
    def close(self) -> bool:
        """Is some point so near a tie that another order of summation may turn it?"""
        size = float(np.abs(self.rows[np.isfinite(self.rows)]).max(initial=0))
        return bool((np.abs(self.margins) <= 1e-5 * size).any())

    @property
    def wrong(self) -> Bools:
        """Which points the file gets wrong."""
        return np.asarray(self.said != self.label, np.bool_)


# To load: no bisection.
SLOW: Final = ("keras", "default")


def edited(seed: int, kind: str, number: int, only: tuple[str, ...] | None = None) -> Edited:
    """File `number`. `only`: these edits instead of those drawn (tests). Raises RefusedError when
    its runtime does not take it."""
    # Edits overflow on purpose.
    with np.errstate(all="ignore"):
        return _edited(seed, kind, number, only)


def _edited(seed: int, kind: str, number: int, only: tuple[str, ...] | None) -> Edited:
    """The same."""
    rng = np.random.default_rng([seed, list(FORMATS).index(kind), number])
    shapes = SMALL if rng.random() < 0.2 else SHAPES
    shape = shapes[int(rng.integers(len(shapes)))]
    grid, classes, style = (
        float(rng.choice(GRIDS)),
        int(rng.integers(2, 4)),
        str(rng.choice(STYLES)),
    )
    coarse = float(rng.choice(COARSE))
    question = random_question(rng, shape, min(grid * coarse, 1 / 3))
    points = question.points
    label = int(rng.integers(classes))
    needle = style == "needle" and len(points) > 2
    weights = (
        needle_weights(rng, points, classes, label)
        if needle
        else random_weights(rng, points.shape[1], classes)
    )
    seen = np.concatenate([points, rng.random((32, points.shape[1]), dtype=np.float32)])
    drafted, table = (load(target) for target in FORMATS[kind])
    draft: Draft = drafted(rng, weights, shape, seen, grid)
    draft.coarse = coarse
    edits: dict[str, tuple[Callable[[Any, np.random.Generator], bool], bool]] = table
    wanted, names = drawn_names(rng, list(edits)) if only is None else (len(only), list(only))
    for name in names:
        edit, plain = edits[name]
        if len(draft.edits) < wanted and edit(draft, rng):
            draft.edits.append(name)
            draft.plain &= plain
    room = 1.5 + float(np.abs(weights.layers[0][0][:, 0]).sum()) * min(grid * coarse, 1 / 3) / 2
    _tuned(rng, draft, points, style if needle or style != "needle" else "edge", room)
    run = alone.opened(draft.runtime, draft.data(), draft.suffix)
    rows = _rows(run, points)
    again = _again(draft, run, points)
    if rows.shape[1] != classes:
        raise alone.RefusedError(f"{rows.shape[1]} outputs, not {classes}")
    label = max(int(alone.labels(rows[:1])[0]), 0)
    return Edited(
        seed,
        number,
        kind,
        draft.data(),
        draft.suffix,
        draft.runtime,
        draft.base,
        tuple(draft.edits),
        draft.plain,
        style,
        shape,
        classes,
        question,
        label,
        rows,
        not np.array_equal(rows, again, equal_nan=True),
    )


def _rows(run: alone.Run, points: Floats) -> Doubles:
    """Outputs, as float32 holds them. Raises RefusedError."""
    try:
        with alone.silenced():
            return alone.outputs(run, points)
    except alone.RefusedError:
        raise
    # Each runtime raises what it likes.
    except Exception as error:
        raise alone.RefusedError(str(error)) from error


def _again(draft: Draft, run: alone.Run, points: Floats) -> Doubles:
    """The outputs once more, of the last point first; on an interpreter of its own, whose memory
    starts with other numbers."""
    if draft.runtime in SLOW:
        return _rows(run, points[::-1])[::-1]
    with unwritten():
        return _rows(alone.opened(draft.runtime, draft.data(), draft.suffix), points[::-1])[::-1]


def _margins(rows: Doubles, label: int) -> Doubles:
    with np.errstate(all="ignore"):
        return np.asarray(rows[:, label] - np.delete(rows, label, axis=1).max(axis=1))


def _tuned(rng: np.random.Generator, draft: Draft, points: Floats, style: str, room: float) -> None:
    """Bring the file to the edge: few points wrong, or none by a hair. `room`: by how much a
    needle's neuron may be moved."""
    if style == "random":
        return
    rows = _rows(alone.opened(draft.runtime, draft.data(), draft.suffix), points)
    if not np.isfinite(rows).all():
        return
    label = int(rows[0].argmax())
    if style == "edge" and "softmax" not in draft.base:
        least = float(_margins(rows, label).min())
        hairs = (
            [-1e-3, -0.02, 1e-3]
            if draft.runtime in SLOW
            else [-1e-7, -1e-5, -1e-3, 1e-6, -0.02, 0.0]
        )
        hair = float(rng.choice(hairs)) * max(float(np.abs(rows).max()), 1e-3)
        draft.lift(label, hair - least, last=True)
        return
    if draft.runtime not in SLOW:
        _halved(rng, draft, points, label, style == "edge", room)


def _halved(
    rng: np.random.Generator, draft: Draft, points: Floats, label: int, edge: bool, room: float
) -> None:
    """Bisection, on the runtime, of the bias of the label, or of the needle's neuron, between no
    point wrong and some."""
    neuron, sign = (label, -1.0) if edge else (0, 1.0)
    low, high, at = (-1.5, 1.5, 0.0) if edge else (-room, room, 0.0)
    some = False
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not draft.lift(neuron, sign * (middle - at), last=edge):
            return
        at = middle
        rows = _rows(alone.opened(draft.runtime, draft.data(), draft.suffix), points)
        wrong = bool((rows.argmax(axis=1) != rows[0].argmax()).any())
        some |= wrong
        low, high = (low, middle) if wrong else (middle, high)
    if some:
        draft.lift(neuron, sign * ((high if rng.random() < 0.75 else low) - at), last=edge)
