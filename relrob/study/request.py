"""The options of `relrob verify`, as typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any, Final

from relrob import registry
from relrob.compress.build import suffix
from relrob.compress.source import of_mlps
from relrob.domain.contract import InputOptions, constant, input_options
from relrob.domain.presets import BY_NAME
from relrob.errors import UsageError
from relrob.networks.load import runtimes
from relrob.networks.shapes import LAYOUTS
from relrob.networks.sniff import SUFFIXES
from relrob.study.options import filled, refuse_idle
from relrob.system.child import check_memory
from relrob_datasets.read_as import ReadAs

# Options of exact numbers of the input contract.
CONSTANTS: Final = ("input_scale", "mean", "std")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "str | None": ((str, type(None)), "text"),
    "int": ((int,), "a whole number"),
    "int | None": ((int, type(None)), "a whole number"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float, type(None)), "a number"),
    "bool": ((bool,), "True or False"),
}


@dataclass(frozen=True)
class Request:
    """The options of `relrob verify`, as typed (docs/cli.md); None is the default.

    Raises UsageError for a mistake that needs neither data nor networks to be seen: types, names, a
    runtime that cannot run the scheme.
    """

    radius: str
    step: str | None = None
    reference: str | None = None
    quantised: str | None = None
    dataset: str = "mnist"
    split: str = "test"
    classes: str | None = None
    labels: str = "given"
    range: str | None = None
    images_layout: str = "auto"
    images: str = "0:100"
    quantise: str = "dynamic"
    runtime: str | None = None
    reference_runtime: str | None = None
    layout: str = "auto"
    input_scale: str | None = None
    mean: str | None = None
    std: str | None = None
    channels: str | None = None
    output: str | None = None
    region: str = "ladder"
    features: str = "20"
    axes: int = 10
    grid: str = "exact"
    seed: int = 0
    evaluations: int = 6000
    rollouts: int | None = None
    strict_radius: bool = False
    include_misclassified: bool = False
    repick: bool = False
    effective: str | None = None
    solver: str = "auto"
    time_limit: float = 60.0
    counts: bool = True
    certificates: bool = False
    attacks: str | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (kinds, accepted) = getattr(self, field.name), _TYPES[str(field.type)]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise UsageError(f"{field.name} {value!r}", accepted)
        for what, value in (
            ("runtime", self.runtime),
            ("reference runtime", self.reference_runtime),
        ):
            if value is not None:
                registry.find(registry.EVALUATORS, value, what)
        ReadAs(labels=self.labels, range=self.range, layout=self.images_layout)
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout {self.layout!r}", ", ".join(LAYOUTS))
        if self.solver != "auto" and self.solver not in (
            entry.method for entry in registry.SOLVERS
        ):
            raise UsageError(
                f"solver {self.solver!r}",
                f"auto, {registry.names(registry.SOLVERS)}",
                "relrob solvers",
            )
        if self.rollouts is not None and self.rollouts < 1:
            raise UsageError(f"rollouts {self.rollouts}", "a whole number above 0", "--rollouts 5")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}", "a whole number, 0 or more", "--seed 0")
        check_memory(self.memory)
        _ = self.inputs
        if self.quantised is None:
            endings = dict.fromkeys((suffix(self.quantise), suffix(of_mlps(self.quantise))))
            able = tuple(r for end in endings for r in runtimes(SUFFIXES[end], dense=False))
            if self.runtime is not None and self.runtime not in able:
                raise UsageError(
                    f"runtime {self.runtime!r} cannot run a network of scheme {self.quantise}",
                    ", ".join(able),
                )

    @property
    def inputs(self) -> InputOptions:
        """The options of the input contract, parsed. Raises UsageError."""
        return input_options(self.input_scale, self.mean, self.std, self.channels, self.output)


def request_of(
    radius: Any,
    step: Any,
    reference: Any,
    quantised: Any,
    options: Mapping[str, Any],
    beside: Mapping[str, Any] | None = None,
) -> Request:
    """A request from Python's own types: numbers for texts, paths, and `images` as any iterable of
    indices.

    `options`: those that the user gave, and no others. `beside`: likewise those of `relrob verify`
    that are no part of a request. Raises UsageError for an unknown option, one of the wrong type,
    and one that the run would not use.
    """
    known = [field.name for field in fields(Request)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"option {unknown[0]!r}", ", ".join(known))
    given = dict(options)
    images = given.get("images")
    if isinstance(images, Iterable) and not isinstance(images, str):
        given["images"] = ",".join(str(index) for index in images)
    elif isinstance(images, int):
        raise UsageError(
            f"images {images}",
            "text such as '0:100', or indices such as [3, 17, 4]",
            f"images=[{images}]",
        )
    if isinstance(given.get("attacks"), (list, tuple)):
        given["attacks"] = ",".join(map(str, given["attacks"]))
    for name in CONSTANTS:
        given[name] = constant(given.get(name))
    if isinstance(given.get("features"), int):
        given["features"] = str(given["features"])
    if isinstance(given.get("classes"), PurePath):
        given["classes"] = str(given["classes"])
    texts = {"radius": radius, "step": step, "reference": reference, "quantised": quantised}
    given |= {name: str(value) for name, value in texts.items() if value is not None}
    return asked_with(given, beside)


def asked_with(given: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> Request:
    """The request of the options that were given, with those of a preset in its place; `beside` as
    for `request_of`. Raises UsageError."""
    options = filled(given)
    if options.get("radius") is None:
        region = options.get("region", Request.region)
        raise UsageError(
            f"region {region!r} without --radius",
            f"a radius, or --region {', '.join(BY_NAME)}",
            "--radius 20, or --region ladder-paper",
        )
    request, beside = Request(**options), beside or {}
    # None stands for the default, and so does a flag that is down.
    down = {field.name for field in fields(Request) if field.default is False}
    typed = {
        name: value
        for name, value in {**given, **beside}.items()
        if not (value is None or (value is False and name in down))
    }
    refuse_idle(typed, {**vars(request), **beside})
    return request
