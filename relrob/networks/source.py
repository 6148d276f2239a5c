"""The facts that a reader of one file format gives, of which `load_network` makes a `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relrob.domain.network import Arithmetic, Dense, Layout


@dataclass(frozen=True, eq=False)
class Source:
    """The facts of one file.

    `format`: as in `Network`. `dims`: the input's shape with its batch, -1 where open, None when
    the file does not say it. `classes`: number of outputs, None when unknown before it is run.
    `sha256`: of the bytes. `flat`: the pixel order of a flat input where the format fixes it.
    `apart`: the graph is known to treat the images of a batch apart.

    `dense(dims)`: the weights in the file's own input order for one image of shape `dims`, and
    whether they only model a file that does more than plain dense layers. It raises NotDenseError
    for a black box.

    `black_box(runtime)`: the reason why nothing of the file is modelled on that runtime, or "". It
    speaks of formats whose weights are not read as `Dense`.
    """

    format: str
    dims: tuple[int, ...] | None
    classes: int | None
    sha256: str
    dense: Callable[[tuple[int, ...]], tuple[Dense, bool]]
    scheme: str = "float32"
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    flat: Layout | None = None
    apart: bool = True
    black_box: Callable[[str], str] = lambda runtime: ""
