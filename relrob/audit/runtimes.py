"""One file on each runtime that executes it: the labels that differ, image by image."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.audit.runtime_report import (
    NAMED,
    RefusedRuntime,
    RuntimePair,
    RuntimeReport,
    RuntimeRun,
)
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.contract import InputOptions
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.errors import RelrobError, UsageError, how_many
from relrob.networks.content import gives_logits
from relrob.networks.deployed import deployed_outputs
from relrob.networks.details import runtime_details
from relrob.networks.evaluator import labels
from relrob.networks.first import try_network
from relrob.networks.load import REAL, load_network, runtimes
from relrob.networks.open import Opened, open_network
from relrob_datasets.dataset import Dataset

# Images of a sample, and the milliseconds an image above which a runtime takes one.
SAMPLE: Final = 1000
SLOW: Final = 1.0
# Images that are timed.
_TIMED: Final = 16
_CHUNK: Final = 2048


@dataclass(frozen=True)
class Sampling:
    """The images that a runtime runs of those that are asked for.

    `size`: images of the sample; `seed` draws it. `slow`: milliseconds of processor time an image
    above which a runtime takes the sample, 0 for every runtime, infinite for none.
    """

    size: int = SAMPLE
    seed: int = 0
    slow: float = SLOW

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"a sample of {self.size} images", "1 or more, or all")

    @property
    def rule(self) -> str:
        """Which runtimes take the sample, in words."""
        if not np.isfinite(self.slow):
            return "no runtime"
        return f"runtimes above {self.slow:g} ms an image" if self.slow else "every runtime"

    def of(self, count: int) -> Ints:
        """The places of the sample among `count` images, ascending."""
        if count <= self.size:
            return np.arange(count)
        chosen = np.random.default_rng(self.seed).choice(count, self.size, replace=False)
        return np.sort(chosen)


@dataclass(frozen=True, eq=False)
class _Ran:
    """A runtime's outputs (n, classes) for the images at `places` (n,) among those asked for."""

    network: Network
    places: Ints
    outputs: Floats
    sampled: bool


def compare(
    network: Network,
    data: Dataset,
    runtimes: Sequence[str] = (),
    listener: Listener = silent,
    *,
    images: Sequence[int] | None = None,
    sampling: Sampling | None = None,
    memory: float | None = None,
) -> RuntimeReport:
    """The file of `network` on each of `runtimes`, by default on all that can execute its format.

    `images`: indices of the data, None for all. Each runtime reads and runs the file in a child
    first (`relrob.networks.first`; `memory` in GiB). One that is not there, refuses the file or
    ends its child is named with the reason. Every image runs alone, or in batches that were seen to
    change no bit (`relrob.networks.deployed`), on one thread.

    Raises UsageError for a runtime that executes no file of this format.
    """
    asked = _asked(network, runtimes)
    chosen = np.arange(len(data)) if images is None else np.asarray(images, np.int64)
    how = sampling or Sampling()
    ran: list[_Ran] = []
    refused: list[RefusedRuntime] = []
    for name in asked:
        try:
            ran.append(_run(network, name, data, chosen, how, listener, memory))
        except RelrobError as error:
            refused.append(RefusedRuntime(name, _reason(error)))
    return RuntimeReport(
        network.path,
        network.sha256,
        len(chosen),
        tuple(_described(each, data, chosen) for each in ran),
        tuple(refused),
        tuple(_pair(*two, data, chosen) for two in itertools.combinations(ran, 2)),
        len(how.of(len(chosen))),
        how.seed,
        how.rule,
        f"{how_many(len(chosen), 'image')} of {data.name} ({data.split})",
    )


def _asked(network: Network, names: Sequence[str]) -> tuple[str, ...]:
    """The runtimes, the network's own first."""
    able = [
        name
        for name in runtimes(network.format, network.dense is not None, network.folded)
        if name != REAL
    ]
    for name in names:
        if name not in able:
            raise UsageError(
                f"runtime {name!r} for {network.path}, in format {network.format}", ", ".join(able)
            )
    wanted = list(dict.fromkeys(names)) or able
    return tuple(sorted(wanted, key=lambda name: name != network.runtime))


def _run(
    network: Network,
    name: str,
    data: Dataset,
    chosen: Ints,
    how: Sampling,
    listener: Listener,
    memory: float | None,
) -> _Ran:
    """The outputs of one runtime. Raises RelrobError."""
    here = _on(network, name, memory)
    opened = Opened(here, open_network(here), open_network(here, batch=1))
    places = np.arange(len(chosen))
    sampled = len(chosen) > how.size and _slow(opened, _images(data, chosen[:_TIMED]), how.slow)
    if sampled:
        places = how.of(len(chosen))
    listener(Event("note", f"{name}: running {how_many(len(places), 'image')}"))
    parts = [
        deployed_outputs(opened, _images(data, chosen[places[start : start + _CHUNK]]))
        for start in range(0, len(places), _CHUNK)
    ]
    return _Ran(here, places, np.concatenate(parts), sampled)


def _images(data: Dataset, indices: Ints) -> Floats:
    return data.pixels([int(index) for index in indices])


def _on(network: Network, name: str, memory: float | None) -> Network:
    """The same file on another runtime, after a child has read and run it there."""
    if name == network.runtime:
        return network
    asked: dict[str, Any] = {
        "image_shape": network.image_shape,
        "classes": network.classes,
        "runtime": name,
        "layout": network.layout.value,
        "inputs": InputOptions(output=network.contract.output or None),
    }
    try_network(network.path, memory=memory, **asked)
    loaded = load_network(network.path, **asked)
    return replace(loaded, contract=network.contract, contract_from=network.contract_from)


def _reason(error: RelrobError) -> str:
    """The error's line without the words that speak of the user's own choice of a runtime."""
    given, accepted, hint = error.parts
    return str(RelrobError(given, accepted, "" if "--runtime" in hint else hint))


def _slow(opened: Opened, images: Floats, limit: float) -> bool:
    """Does an image take more milliseconds of processor time than the limit?"""
    if not 0 < limit < np.inf:
        return limit <= 0
    # The first run allocates, and Keras traces its model.
    opened.evaluator.outputs(images)
    begin = time.process_time()
    opened.evaluator.outputs(images)
    return (time.process_time() - begin) * 1000 / len(images) > limit


def _described(ran: _Ran, data: Dataset, chosen: Ints) -> RuntimeRun:
    """The line of one runtime."""
    return RuntimeRun(
        ran.network.runtime,
        runtime_details(ran.network),
        len(ran.places),
        _right(labels(ran.outputs), data, chosen[ran.places]),
        ran.sampled,
    )


def _pair(one: _Ran, other: _Ran, data: Dataset, chosen: Ints) -> RuntimePair:
    """Two runtimes on the images that both ran."""
    common, here, there = np.intersect1d(one.places, other.places, return_indices=True)
    first, second = one.outputs[here], other.outputs[there]
    indices, given = chosen[common], (labels(first), labels(second))
    differ = given[0] != given[1]
    tie = differ & (_tied(first) | _tied(second))
    right = [_right(each, data, indices) for each in given]
    apart = _largest(*_alike((one.network, first), (other.network, second)))
    at = int(apart.argmax()) if len(apart) else 0
    largest = float(apart[at]) if len(apart) else 0.0
    return RuntimePair(
        (one.network.runtime, other.network.runtime),
        len(common),
        int(differ.sum()),
        int(tie.sum()),
        tuple(int(index) for index in indices[differ][:NAMED]),
        largest,
        int(indices[at]) if largest > 0 else None,
        None if None in right else (right[0] or 0.0, right[1] or 0.0),
    )


def _right(given: Ints, data: Dataset, indices: Ints) -> float | None:
    """The share of the images of these indices whose label is the right one; None without images,
    and where a network gave the labels."""
    if data.reading.labels == "reference" or not len(indices):
        return None
    return float(np.mean(given == data.labels[indices]))


def _tied(outputs: Floats) -> Bools:
    """Rows whose largest output stands at several classes, (n, classes) -> (n,)."""
    return np.asarray((outputs == outputs.max(axis=1, keepdims=True)).sum(axis=1) > 1)


def _alike(*ran: tuple[Network, Floats]) -> tuple[Doubles, ...]:
    """Outputs in float64; probabilities of logits where the runtimes give one of each."""
    wide = [outputs.astype(np.float64) for _, outputs in ran]
    kinds = [gives_logits(network) for network, _ in ran]
    # A black box gives what its file gives, on every runtime.
    if len({*kinds}) == 1 or any(network.dense is None for network, _ in ran):
        return tuple(wide)
    return tuple(
        _softmax(values) if logits else values for values, logits in zip(wide, kinds, strict=True)
    )


def _softmax(logits: Doubles) -> Doubles:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _largest(one: NDArray[Any], other: NDArray[Any]) -> Doubles:
    """The largest difference in each row, (n,); infinite where one alone is no number."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return np.asarray(apart.max(axis=1), np.float64)
