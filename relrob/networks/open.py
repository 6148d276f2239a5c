"""`open_network` makes a `Network` ready to run on the runtime that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relrob.domain.network import Network
from relrob.errors import UsageError
from relrob.networks.evaluator import Evaluator
from relrob.networks.keras.backend import load_on_tensorflow
from relrob.registry import EVALUATORS, find, load, load_extra
from relrob.system.quiet import quiet_native


def open_network(
    network: Network, threads: int = 1, data: bytes | None = None, batch: int | None = None
) -> Evaluator:
    """The evaluator of `network.runtime`.

    `data`: the file's bytes, read from `network.path` when not given. `batch`: the most images in
    one call of the runtime. None takes its best, and 1 runs every image alone, as it is deployed.

    Raises NetworkError when the file is not the one that was loaded, or when the runtime refuses
    it. Raises UsageError.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads", "1 or more")
    if batch is not None and batch < 1:
        raise UsageError(f"a batch of {batch} images", "1 or more")
    evaluator: Evaluator = opener_of(network.runtime)(network, threads, data, batch)
    return evaluator


def opener_of(runtime: str) -> Callable[..., Evaluator]:
    """The function that opens networks on a runtime, imported now.

    Raises UsageError, also where the runtime's package is not installed.
    """
    entry = find(EVALUATORS, runtime, "runtime")
    with quiet_native():
        if entry.extra:
            found: Callable[..., Evaluator] = load_extra(entry.target, entry.extra)
            return found
        opener: Callable[..., Evaluator] = (
            load_on_tensorflow(entry.target) if entry.tool == "tensorflow" else load(entry.target)
        )
    return opener


@dataclass(frozen=True, eq=False)
class Opened:
    """A network that is ready to run.

    `evaluator` runs batches. `replayer` runs one image at a time, as the network is deployed.
    `role`: "reference" or "quantised", where that is known.
    """

    network: Network
    evaluator: Evaluator
    replayer: Evaluator
    role: str = ""
