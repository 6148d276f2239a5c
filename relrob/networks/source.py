"""What a reader of one file format says of a file; `load.py` makes a `Network` of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relrob.domain.network import Arithmetic, Dense, Layout


@dataclass(frozen=True, eq=False)
class Source:
    """`format`: as in `Network`; `dims`: the input's shape with its batch, -1 where open, None when
    the file does not say it; `classes`: number of outputs, None when unknown before it is run;
    `sha256`: of the bytes; `flat`: the pixel order of a flat input where the format fixes it.

    `dense(dims)`: the weights in the file's own input order for one image of shape `dims`, and
    whether the file does more than plain dense layers, which they only model; raises NotDenseError
    for a black box. `apart`: the graph is known to treat the images of a batch apart.
    `black_box(runtime)`: of a format whose weights are not read as `Dense`, why nothing of it is
    modelled on that runtime, or "".
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
