"""The stages of runs as a directed acyclic graph: images -> reference -> quantised -> data (images
with labels) -> accuracies -> run.

A stage is named by the options that it reads, so runs that agree on these share it, and it is done
once. A result that no run needs any more is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, final

from relrob.domain.events import Event, Listener
from relrob.domain.network import Network
from relrob.errors import how_many
from relrob.networks.accuracy import accuracy
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from relrob.study.data import labelled, read_images
from relrob.study.networks import quantised_network, reference_network
from relrob.study.request import Request
from relrob.system.processors import processors
from relrob_datasets.dataset import Dataset, Images

_IMAGES: Final = ("dataset", "split", "classes", "labels", "range", "images_layout")
_INPUTS: Final = ("input_scale", "mean", "std", "channels", "output")
_REFERENCE: Final = (*_IMAGES, "reference", "reference_runtime", "layout", *_INPUTS)
_QUANTISED: Final = (*_REFERENCE, "quantised", "quantise", "runtime", "seed")
# Each kind of stage: the options that it reads, and the stages that it follows.
_STAGES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "images": (_IMAGES, ()),
    "reference": (_REFERENCE, ("images",)),
    "quantised": (_QUANTISED, ("images", "reference")),
    "data": (_REFERENCE, ("images", "reference")),
    "reference accuracy": (_REFERENCE, ("data", "reference")),
    "quantised accuracy": (_QUANTISED, ("data", "quantised")),
}
_Stage = tuple[str, ...]


@final
class Stages:
    """The stages of some runs, each done when it is first asked for and kept until the last run
    that needs it has `finished`."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._results: dict[_Stage, Any] = {}
        # Each stage, and the stages and runs that follow it.
        self.graph: dict[_Stage, set[_Stage]] = {}
        for number, request in enumerate(requests):
            run = ("run", str(number))
            for kind, (_, before) in _STAGES.items():
                stage = _named(kind, request)
                self.graph.setdefault(stage, set()).add(run)
                for other in before:
                    self.graph[_named(other, request)].add(stage)
            self.graph[run] = set()

    def images(self, request: Request, listener: Listener) -> Images:
        """The images, whose labels the reference may have yet to give. Raises DatasetError."""
        found: Images = self._result("images", request, listener)
        return found

    def data(self, request: Request, listener: Listener) -> Dataset:
        """The images with their labels. Raises RelrobError."""
        found: Dataset = self._result("data", request, listener)
        return found

    def reference(self, request: Request, listener: Listener) -> Network:
        """The full-precision network, trained if need be. Raises RelrobError."""
        found: Network = self._result("reference", request, listener)
        return found

    def quantised(self, request: Request, listener: Listener) -> Network:
        """The quantised network, made if need be. Raises RelrobError."""
        found: Network = self._result("quantised", request, listener)
        return found

    def accuracy(self, name: str, request: Request, listener: Listener) -> float:
        """Of "reference" or "quantised": the share of the whole split that it gets right, rounded
        for JSON. Raises RelrobError."""
        found: float = self._result(f"{name} accuracy", request, listener)
        return found

    def keep_accuracy(self, name: str, request: Request, share: float) -> None:
        """Take the accuracy of "reference" or "quantised" from whoever ran all images already."""
        self._results[_named(f"{name} accuracy", request)] = round(share, 6)

    def finished(self, number: int) -> None:
        """Drop the results that only run `number`, from 0, still needed."""
        idle: list[_Stage] = [("run", str(number))]
        while idle:
            for stage in idle:
                self.graph.pop(stage, None)
                self._results.pop(stage, None)
            for after in self.graph.values():
                after.difference_update(idle)
            idle = [stage for stage, after in self.graph.items() if stage[0] != "run" and not after]

    def _result(self, kind: str, request: Request, listener: Listener) -> Any:
        """The result of the stage, from the results of the stages before it."""
        stage = _named(kind, request)
        if stage not in self._results:
            before = [self._result(other, request, listener) for other in _STAGES[kind][1]]
            self._results[stage] = _MAKERS[kind](request, listener, *before)
        return self._results[stage]


def _named(kind: str, request: Request) -> _Stage:
    """The stage's kind and the options that decide its result."""
    return (kind, *(repr(getattr(request, option)) for option in _STAGES[kind][0]))


def _data(request: Request, listener: Listener, images: Images, reference: Network) -> Dataset:
    return labelled(images, reference)


def _reference(request: Request, listener: Listener, data: Images) -> Network:
    return probed(reference_network(request, data, listener), data.images)


def _quantised(request: Request, listener: Listener, data: Images, reference: Network) -> Network:
    return probed(quantised_network(request, data, reference, listener), data.images)


def _accuracy(
    name: str, request: Request, listener: Listener, data: Dataset, network: Network
) -> float:
    listener(
        Event(
            "note",
            f"clean accuracy of the {name} network on {how_many(len(data.labels), 'image')} "
            f"({network.runtime})",
        )
    )
    evaluator = open_network(network, threads=processors())
    return round(accuracy(evaluator, data.images, data.labels), 6)


_MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "images": read_images,
    "reference": _reference,
    "quantised": _quantised,
    "data": _data,
    "reference accuracy": partial(_accuracy, "reference"),
    "quantised accuracy": partial(_accuracy, "quantised"),
}
