"""Tables of names and "module:attribute", so that a list of them imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from relrob.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """One line of a table: a unique name, "module:attribute" of its code, a sentence about it, and
    facts.

    - Solvers: `method` is the word that users type and records keep; several solvers share one,
      each for its `regions`. `arithmetic`: those that their proofs can be about; none, and they
      prove nothing. `complete`: UNKNOWN comes only from the budget. `counts`: they count the points
      of a finite region where they decide it, beside the verdict. `certified`: their proofs have
      certificates.
    - Schemes: `suffix` of the files that they write; `runtime` that executes these unless the user
      names another; `calibrated`: they learn the ranges of activations from images.
      `example`: of a scheme with parameters. `of_mlps`: the scheme that stands in for it where the
      reference is an MLP of plain dense layers.
    - Attacks: `needs`: "gradients", "outputs" or "labels" of the network; `radius`: the parameter
      that is the radius of the ball that they search, "" where they have none; `universal`: they
      make one perturbation for all images.
    - `tool`: the package that does the work, where its version decides the result.
    - `extra`: that of `pip install relrob[EXTRA]` without which the entry is absent.
    """

    name: str
    target: str
    summary: str
    complete: bool = False
    counts: bool = False
    certified: bool = False
    method: str = ""
    regions: tuple[str, ...] = ()
    arithmetic: tuple[str, ...] = ()
    suffix: str = ""
    runtime: str = ""
    calibrated: bool = False
    tool: str = ""
    extra: str = ""
    needs: str = ""
    example: str = ""
    of_mlps: str = ""
    radius: str = ""
    universal: bool = False

    @property
    def typed(self) -> str:
        """The word that users type for it."""
        return self.method or self.name


_LADDER = ("ladder",)
_BALLS = ("lattice", "l1", "l2", "linf", "l0")
_BOUNDED = ("real", "float32", "integer")

SOLVERS: tuple[Entry, ...] = (
    Entry(
        "branch_ladder",
        "relrob_solvers.branch_ladder:Branch",
        "bounds decide parts of a ladder, small parts are run; float MLPs and dense .tflite files",
        complete=True,
        method="branch",
        regions=_LADDER,
        arithmetic=_BOUNDED,
        counts=True,
        certified=True,
    ),
    Entry(
        "bounds_ladder",
        "relrob_solvers.bounds_ladder:Bounds",
        "one bound on the whole ladder; float MLPs and dense .tflite files",
        method="bounds",
        regions=_LADDER,
        arithmetic=_BOUNDED,
        counts=True,
        certified=True,
    ),
    Entry(
        "enumerate_ladder",
        "relrob_solvers.enumerate_ladder:Enumerate",
        "visits every point of a ladder; any network, any runtime",
        complete=True,
        method="enumerate",
        regions=_LADDER,
        arithmetic=_BOUNDED,
        counts=True,
    ),
    Entry(
        "smt_ladder",
        "relrob_solvers.smt_ladder:Smt",
        "z3 on parts of a ladder that bounds leave open; verdicts without counts; "
        "networks as for branch",
        complete=True,
        method="smt",
        regions=_LADDER,
        arithmetic=_BOUNDED,
    ),
    Entry(
        "milp_ladder",
        "relrob_solvers.milp_ladder:Milp",
        "HiGHS on such parts, every bound recomputed soundly; verdicts without counts; "
        "networks as for branch",
        complete=True,
        method="milp",
        regions=_LADDER,
        arithmetic=_BOUNDED,
    ),
    Entry(
        "branch_fixed",
        "relrob_solvers.branch_fixed:Staircase",
        "linear programs and exact integer bounds; fixed-point networks in L-infinity balls",
        complete=True,
        method="branch",
        regions=("linf",),
        arithmetic=("integer",),
        certified=True,
    ),
    Entry(
        "bounds_ball",
        "relrob_solvers.bounds_ball:Around",
        "bounds over a ball or lattice, slopes optimised; float MLPs, dense .tflite files, "
        "fixed-point networks",
        method="bounds",
        regions=_BALLS,
        arithmetic=_BOUNDED,
        certified=True,
    ),
    Entry(
        "branch_ball",
        "relrob_solvers.branch_ball:Phases",
        "such bounds on parts of a ball or lattice, split by the signs of pre-activations; "
        "networks as for bounds",
        method="branch",
        regions=_BALLS,
        arithmetic=_BOUNDED,
        certified=True,
    ),
    Entry(
        "smt_fixed",
        "relrob_solvers.smt_fixed:Integer",
        "z3 on integers, bit for bit; small fixed-point networks in L-infinity balls",
        complete=True,
        method="smt",
        regions=("linf",),
        arithmetic=("integer",),
    ),
    Entry(
        "milp_ball",
        "relrob_solvers.milp_ball:MilpBall",
        "HiGHS, every bound recomputed soundly; networks that have bounds, "
        "in L1 and L-infinity balls",
        method="milp",
        regions=("l1", "linf"),
        arithmetic=_BOUNDED,
    ),
    Entry(
        "smt_ball",
        "relrob_solvers.smt_ball:Reals",
        "z3 on bounded reals; networks that have bounds, in L1 and L-infinity balls",
        method="smt",
        regions=("l1", "linf"),
        arithmetic=_BOUNDED,
    ),
    Entry(
        "witness_ball",
        "relrob_solvers.witness_ball:Searched",
        "a search for a witness by outputs alone, which proves nothing; any network, any runtime",
        method="witness",
        regions=_BALLS,
    ),
)

EVALUATORS: tuple[Entry, ...] = (
    Entry(
        "xnnpack",
        "relrob.networks.litert.runtime:open_litert",
        "LiteRT with its default XNNPACK delegate (.tflite)",
    ),
    Entry(
        "builtin",
        "relrob.networks.litert.runtime:open_litert",
        "LiteRT's optimised kernels without a delegate (.tflite)",
    ),
    Entry(
        "reference",
        "relrob.networks.litert.runtime:open_litert",
        "LiteRT's reference kernels (.tflite)",
    ),
    Entry(
        "tflm",
        "relrob.networks.litert.tflm:open_tflm",
        "TFLM, the microcontrollers' interpreter (.tflite; pip install 'relrob[tflm]')",
        extra="tflm",
    ),
    Entry(
        "onnxruntime",
        "relrob.networks.onnx.runtime:open_onnxruntime",
        "onnxruntime on the CPU, all optimisations (.onnx, and float MLPs)",
    ),
    Entry(
        "onnxruntime:disabled",
        "relrob.networks.onnx.runtime:open_onnxruntime",
        "the same without optimisation of the graph (.onnx)",
    ),
    Entry(
        "onnxruntime:basic",
        "relrob.networks.onnx.runtime:open_onnxruntime",
        "the same with its basic optimisations (.onnx)",
    ),
    Entry(
        "onnxruntime:extended",
        "relrob.networks.onnx.runtime:open_onnxruntime",
        "the same with its extended optimisations (.onnx)",
    ),
    Entry(
        "fixed",
        "relrob.networks.fixed.file:open_fixed",
        "fixed point in exact integers (.npz that relrob wrote)",
    ),
    Entry(
        "keras",
        "relrob.networks.keras.runtime:open_keras",
        "Keras on TensorFlow (.keras, .h5, CPU)",
        tool="tensorflow",
    ),
    Entry(
        "real",
        "relrob.networks.real:open_real",
        "no program: a float MLP as a function over the reals, exact; "
        "to compare with other verifiers",
    ),
)


def names(table: tuple[Entry, ...]) -> str:
    """The words that users type, for messages: "a, b, c"."""
    return ", ".join(dict.fromkeys(entry.typed for entry in table))


def solvers(kind: str, method: str = "auto") -> tuple[Entry, ...]:
    """The solvers of ladders, or those of balls and lattices, in the order of the table; `kind`: of
    region, one of either family; `method`: of that one alone.

    Of balls and lattices `auto` asks the first that takes the network; `relrob.deciding.auto` has
    the methods that follow, and the steps on ladders.

    >>> [entry.name for entry in solvers("linf", "branch")]
    ['branch_fixed', 'branch_ball']
    """
    family = _LADDER if kind in _LADDER else _BALLS
    return tuple(e for e in SOLVERS if {*e.regions} <= {*family} and method in ("auto", e.method))


def find(table: tuple[Entry, ...], name: str, what: str) -> Entry:
    """The entry of that name. `what`: "solver", "scheme" or another word for messages. Raises
    UsageError that lists the others."""
    for entry in table:
        if entry.name == name:
            return entry
    raise UsageError(f"{what} {name!r}", names(table))


def load(target: str) -> Any:
    """The object behind "module:attribute"; imports its module.

    >>> load("relrob.errors:RelrobError").__name__
    'RelrobError'
    """
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def load_extra(target: str, extra: str) -> Any:
    """The same, of a module that needs `pip install relrob[EXTRA]`. Raises UsageError where that is
    not installed."""
    try:
        return load(target)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0].startswith("relrob"):
            raise
        raise UsageError(
            f"{error.name} is not installed", hint=f"pip install 'relrob[{extra}]'"
        ) from error


class Door(ModuleType):
    """A package of relrob that is called like the function of its name, for users of the library:
    `relrob.audit(...)` beside `relrob.audit.policy`.

    The package names the function in `DOOR`, and makes itself a door:
    `sys.modules[__name__].__class__ = Door`.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the function returns."""
        return load(self.DOOR)(*args, **options)
