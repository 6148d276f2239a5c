"""Which options of `relrob verify` a run uses, told by its region, networks and solver. An option
that was given and is not used is refused: none is ignored in silence.

Every option stands in `USES`; a test fails where one does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from relrob.compress.table import scheme as scheme_entry
from relrob.domain.presets import BY_NAME
from relrob.domain.region import KINDS
from relrob.errors import RegionError, UsageError
from relrob.regions.exact import parse_fraction
from relrob.registry import SOLVERS
from relrob_datasets.manifest import find as known_dataset

_ALL: Final = tuple(KINDS)
_STEPS: Final = tuple(kind for kind, facts in KINDS.items() if facts.stepped)
_COUNTED: Final = tuple(kind for kind, facts in KINDS.items() if facts.counted)
_DECIDED: Final = tuple(kind for kind, facts in KINDS.items() if facts.decided)
_WITH_RULES: Final = tuple(kind for kind, facts in KINDS.items() if facts.certified)
_EXPORTED: Final = tuple(kind for kind, facts in KINDS.items() if facts.exported)
# Methods for regions whose points are counted.
_COUNTING: Final = {entry.method for entry in SOLVERS if {*entry.regions} & {*_COUNTED}}
# Those among them that give verdicts alone.
_UNCOUNTED: Final = _COUNTING - {entry.method for entry in SOLVERS if entry.counts}
# Methods whose proofs have certificates.
_CERTIFIED: Final = {"auto", *(entry.method for entry in SOLVERS if entry.certified)}
_EXACT: Final = ("radius", "step")

_PROVES_NOTHING: Final = tuple(
    (kind, f"region {kind}, which proves nothing") for kind in KINDS if kind not in _DECIDED
)
_NO_RULES: Final = tuple(
    (kind, f"region {kind}, for which there are no rules")
    for kind in _DECIDED
    if kind not in _WITH_RULES
)
# Every option of a run with its value, defaults among them.
Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Use:
    """Who uses an option: regions of these kinds, and among them the runs for which `idle` has no
    words against it. `why`: words about other kinds."""

    regions: tuple[str, ...] = _ALL
    idle: Callable[[Asked], str] = lambda asked: ""
    why: tuple[tuple[str, str], ...] = ()


def _quantise(asked: Asked) -> str:
    return "" if asked["quantised"] is None else "a QUANTISED of your own"


def _seed(asked: Asked) -> str:
    """A search draws; so do attacks, and the calibration of a scheme."""
    if asked["region"] == "search" or asked["attacks"] is not None:
        return ""
    if asked["quantised"] is not None:
        return f"region {asked['region']} and a QUANTISED of your own, where nothing is drawn"
    scheme = asked["quantise"]
    none = f"region {asked['region']} and scheme {scheme}, where nothing is drawn"
    return "" if scheme_entry(scheme).calibrated else none


def _counts(asked: Asked) -> str:
    solver = asked["solver"]
    return f"solver {solver}, which never counts" if solver in _UNCOUNTED else ""


def _effective(asked: Asked) -> str:
    """Without counts, the witness that was found decides."""
    return _counts(asked) if asked["counts"] else "--no-counts"


def _memory(asked: Asked) -> str:
    own = (asked["reference"], asked["quantised"])
    if own != (None, None) or known_dataset(asked["dataset"]) is None:
        return ""
    return "networks and images that come with relrob"


def _certificates(asked: Asked) -> str:
    solver = asked["solver"]
    return "" if solver in _CERTIFIED else f"solver {solver}, whose proofs have no certificates"


def _workers(asked: Asked) -> str:
    return "" if asked.get("scheduler") is None else "--scheduler, whose workers do the work"


USES: Final[Mapping[str, Use]] = {
    "radius": Use(),
    "step": Use(_STEPS),
    "reference": Use(),
    "quantised": Use(),
    "dataset": Use(),
    "split": Use(),
    "images": Use(),
    "quantise": Use(idle=_quantise),
    "runtime": Use(),
    "reference_runtime": Use(),
    "layout": Use(),
    "region": Use(),
    "features": Use(("ladder",)),
    "axes": Use(("ladder", "search")),
    "grid": Use(_STEPS),
    "seed": Use(idle=_seed),
    "evaluations": Use(("search",)),
    "rollouts": Use(("search",)),
    "strict_radius": Use(("search",)),
    "include_misclassified": Use(("search",)),
    "repick": Use(("search",)),
    "effective": Use(_COUNTED, _effective),
    "solver": Use(_DECIDED),
    "time_limit": Use(_DECIDED),
    "counts": Use(tuple(kind for kind in _COUNTED if kind in _DECIDED), _counts),
    "certificates": Use(_WITH_RULES, _certificates, (*_PROVES_NOTHING, *_NO_RULES)),
    "attacks": Use(_DECIDED, why=_PROVES_NOTHING),
    "memory": Use(idle=_memory),
    # How the data are read, and what the networks read of them.
    **{name: Use() for name in ("classes", "labels", "range", "images_layout")},
    **{name: Use() for name in ("input_scale", "mean", "std", "channels", "output")},
    # Of `relrob verify`, beside the request.
    "export": Use(_EXPORTED),
    "out": Use(),
    "workers": Use(idle=_workers),
    "scheduler": Use(),
}


def spelled(option: str, value: Any = None) -> str:
    """The option as users type it, with that value.

    >>> spelled("strict_radius"), spelled("quantised"), spelled("counts", False)
    ('--strict-radius', 'QUANTISED', '--no-counts')
    """
    if option in ("reference", "quantised"):
        return option.upper()
    return f"--{'no-' if value is False else ''}{option.replace('_', '-')}"


def idle(option: str, asked: Asked) -> str:
    """The part of a run that makes no use of the option, in words; "" where it is used.

    `asked`: every option of the run, of which `region` is a kind of region.
    """
    use, kind = USES[option], asked["region"]
    if kind not in KINDS:
        return ""
    if kind in use.regions:
        return use.idle(asked)
    return dict(use.why).get(kind, f"region {kind}")


def refuse_idle(given: Mapping[str, Any], asked: Asked) -> None:
    """Refuse options that were `given` and of which the run makes no use: in one line all those of
    one reason. Raises UsageError."""
    reasons = {option: idle(option, asked) for option in given}
    words = next(filter(None, reasons.values()), "")
    if not words:
        return
    found = [option for option, reason in reasons.items() if reason == words]
    names = ", ".join(spelled(option, given[option]) for option in found)
    kinds = USES[found[0]].regions
    elsewhere = len(found) == 1 and asked["region"] not in kinds
    raise UsageError(
        f"{names} {'has' if len(found) == 1 else 'have'} no effect with {words}",
        f"{names} with {', '.join(kinds)}" if elsewhere else "",
        f"leave out {names}",
    )


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of a preset in its place; others stay as they are.

    Raises UsageError for an option that contradicts its preset.

    >>> filled({"region": "linf-8", "images": "all"})
    {'region': 'linf', 'images': 'all', 'radius': '8/255'}
    """
    region = given.get("region")
    preset = BY_NAME.get(region) if isinstance(region, str) else None
    if preset is None:
        return dict(given)
    own = dict(preset.options)
    for option, value in own.items():
        if given.get(option) is not None and not _same(option, given[option], value):
            raise UsageError(
                f"{spelled(option)} {given[option]} with --region {preset.name}, whose is {value}",
                f"{spelled(option)} {value}, or none",
                f"--region {preset.kind} {spelled(option)} {given[option]}",
            )
    return {**given, **own, "region": preset.kind}


def _same(option: str, typed: Any, value: str | int) -> bool:
    """Do the two mean one number?"""
    if option not in _EXACT:
        return str(typed) == str(value)
    try:
        return parse_fraction(str(typed), option) == parse_fraction(str(value), option)
    except RegionError:
        return False
