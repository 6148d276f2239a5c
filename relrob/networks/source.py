"""The facts that a reader of one file format gives, of which `load_network` makes a `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relrob.domain.contract import InputContract
from relrob.domain.network import Arithmetic, Dense, Layout
from relrob.errors import ShapeError
from relrob.networks.feed import Entry

Reader = Callable[[tuple[int, ...], Entry], tuple[Dense, bool]]


@dataclass(frozen=True, eq=False)
class Source:
    """The facts of one file.

    `format`: as in `Network`. `dims`: the input's shape with its batch, -1 where open, None when
    the file does not say it. `classes`: number of outputs, None when unknown before it is run.
    `sha256`: of the bytes. `flat`: the pixel order of a flat input where the format fixes it.
    `apart`: the graph is known to treat the images of a batch apart.

    `dense(dims, entry)`: the weights in the file's own input order for one image of shape `dims`,
    behind the steps of `entry` (`OperatorChain`), and whether they only model a file that does more
    than plain dense layers. It raises NotDenseError for a black box.

    `output`: the name of the output with the scores, "" where the file has one output.
    `head`: the meaning of a single output for two classes, "logit" or "probability"; "" where it is
    not known.
    `reads`: the contract that the file says, and the part of it that says so; None where none does.

    `by_number(runtime)`: may the last bits of an image depend on the number of images in its batch
    on that runtime? Then it runs alone, also where the file is modelled.

    `black_box(runtime)`: the reason why nothing of the file is modelled on that runtime, or "". It
    speaks of formats whose weights are not read as `Dense`.
    """

    format: str
    dims: tuple[int, ...] | None
    classes: int | None
    sha256: str
    dense: Reader
    scheme: str = "float32"
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    flat: Layout | None = None
    apart: bool = True
    output: str = ""
    head: str = ""
    reads: tuple[InputContract, str] | None = None
    by_number: Callable[[str], bool] = lambda runtime: False
    black_box: Callable[[str], str] = lambda runtime: ""


def refuse_output(path: str, output: str) -> None:
    """Raise ShapeError for an output that is named of a file of one output."""
    if output:
        raise ShapeError(f"output {output!r} of {path}, which has one", "no --output")
