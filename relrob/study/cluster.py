"""Images to the workers of a Dask cluster. A worker that dies costs the work on some images; an
image that kills every worker is `Unanswered`.

The driver holds the store; workers answer and keep nothing. Each worker gets the plan once, with
the bytes of both networks, so no disk need be shared. It loads the data set on its own, and must
find the same one. Imports Dask's `distributed`.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from distributed import Client, Future
from distributed.comm.addressing import parse_address
from distributed.comm.registry import backends

from relrob.domain.network import Network
from relrob.domain.record import ImageResult
from relrob.errors import DatasetError, RelrobError, UsageError
from relrob.study.plan import FORMAT
from relrob.study.pool import Unanswered
from relrob.study.work import Plan, data_of, make_in_worker
from relrob.system.files import cache_dir, write_atomic
from relrob.system.version import VERSION
from relrob_datasets import manifest

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 10
WORKERS_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 5.0
# Images handed out for each thread of the cluster: a worker need not wait for the driver.
_AHEAD: Final = 3
_TRY: Final = "dask scheduler; dask worker --nthreads 1 ADDRESS; --scheduler tcp://HOST:8786"
# z3 and the interpreters work in one thread at a time.
_ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(frozen=True, eq=False)
class Shipment:
    """The plan for a worker, with the bytes of its networks by path and the version that made it.

    A network that is a directory has no bytes.
    """

    plan: Plan
    files: dict[str, bytes]
    version: str
    format: int


def packed(plan: Plan) -> Shipment:
    """The plan with absolute paths, and the networks' files."""
    reference, quantised = (
        replace(network, path=str(Path(network.path).resolve()))
        for network in (plan.reference, plan.quantised)
    )
    local = Path(plan.dataset)
    dataset = (
        str(local.resolve())
        if manifest.find(plan.dataset) is None and local.exists()
        else plan.dataset
    )
    files = {
        path: Path(path).read_bytes()
        for path in (reference.path, quantised.path)
        if Path(path).is_file()
    }
    return Shipment(
        replace(plan, dataset=dataset, reference=reference, quantised=quantised),
        files,
        VERSION,
        FORMAT,
    )


def unpacked(shipment: Shipment) -> Plan:
    """The plan on a worker, its networks in the worker's cache where their paths lead nowhere.
    Raises RelrobError for another version of relrob or other images than the driver's."""
    if (shipment.version, shipment.format) != (VERSION, FORMAT):
        raise UsageError(
            f"a worker has relrob {VERSION} (format {FORMAT})",
            f"{shipment.version} (format {shipment.format}), as the driver has",
            "the same installation everywhere",
        )
    plan, asked = shipment.plan, shipment.plan.header["dataset"]["sha256"]
    found = data_of(plan).sha256
    if found != asked:
        raise DatasetError(
            f"a worker has other images of {plan.dataset} ({found[:16]})",
            f"the driver's ({asked[:16]})",
        )
    reference, quantised = (
        _placed(each, shipment.files) for each in (plan.reference, plan.quantised)
    )
    return replace(plan, reference=reference, quantised=quantised)


def _placed(network: Network, files: Mapping[str, bytes]) -> Network:
    """The network with a path that leads to its file here."""
    if network.path not in files or Path(network.path).exists():
        return network
    path = cache_dir() / "shipped" / f"{network.sha256}{Path(network.path).suffix}"
    write_atomic(path, files[network.path])
    return replace(network, path=str(path))


def handed(shipment: Shipment) -> Shipment:
    """A task that returns the shipment. Dask brings its result to each worker once, and makes it
    again should it be lost."""
    return shipment


def decide(shipment: Shipment, index: int) -> ImageResult:
    """A task: one image on the worker that runs this."""
    with _ONE_AT_A_TIME:
        return _classifier(shipment)(index)


@lru_cache(maxsize=1)
def _classifier(shipment: Shipment) -> Callable[[int], ImageResult]:
    """The networks, open: once a worker and run."""
    return make_in_worker(unpacked(shipment))


def map_on_cluster(plan: Plan, items: Iterable[int], address: str) -> Iterator[Any]:
    """An ImageResult for each image, in any order, from the cluster whose scheduler is at
    `address`; `Unanswered` for an image that kills its workers.

    Raises the RelrobError that a worker raised, and UsageError for a scheduler that cannot be used.
    """
    with connected(address) as client:
        with warnings.catch_warnings():
            # Dask warns of more than 10 MB, which a network can have.
            warnings.simplefilter("ignore")
            shipment = client.submit(handed, packed(plan), key=f"relrob-{plan.digest}")
        with suppress(OSError, RuntimeError, KeyError):
            # A worker without the shipment would fetch it, but would be sent short tasks last.
            client.replicate([shipment])
        suspects = []
        for item, answer in _answers(client, plan.digest, shipment, deque(items), address):
            if answer is None:
                suspects.append(item)
            else:
                yield answer
        # A suspect that runs alone cannot be blamed for another's crash.
        for item in suspects:
            for _, answer in _answers(
                client, f"{plan.digest}-again", shipment, deque([item]), address
            ):
                yield Unanswered(item) if answer is None else answer


def check(address: str) -> None:
    """Raise, before the work, the UsageError that `map_on_cluster` would raise for the
    scheduler."""
    connected(address).close()


def _check_form(address: str) -> None:
    """Raise UsageError for a text that is no address, which Dask would try to use."""
    try:
        protocol, place = parse_address(address, strict=True)
    except ValueError:
        protocol, place = "", ""
    if protocol not in backends or not place:
        raise UsageError(
            f"scheduler {address!r}",
            "PROTOCOL://HOST:PORT, as tcp or tls",
            "--scheduler tcp://HOST:8786",
        )


def connected(address: str) -> Any:
    """A client of a scheduler that has workers. Raises UsageError."""
    _check_form(address)
    # The message of Dask is said below, in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address}", "the address of one that runs", _TRY
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError as error:
        client.close()
        raise UsageError(
            f"the scheduler at {address} has no workers", "at least one", _TRY
        ) from error
    if max(client.nthreads().values(), default=1) > 1:
        log.warning(
            "a Dask worker decides one image at a time: "
            "--nthreads 1, and more workers, use every core"
        )
    return client


def _answers(
    client: Any, name: str, shipment: Future, waiting: deque[int], address: str
) -> Iterator[tuple[int, ImageResult | None]]:
    """(item, answer) as they come; None for an item whose worker died, or whose task failed."""
    finished: SimpleQueue[Future] = SimpleQueue()
    out: dict[Any, int] = {}
    ended: list[tuple[int, Future]] = []
    room, looked = 0, 0.0
    while waiting or out or ended:
        if time.monotonic() - looked > _POLL_SECONDS:
            room, looked = _AHEAD * sum(_asked(client.nthreads, address).values()), time.monotonic()
        while waiting and len(out) < max(room, 1):
            item = waiting.popleft()
            future = client.submit(
                decide, shipment, item, key=f"relrob-{name}-{item}", priority=-item
            )
            out[future.key] = item
            future.add_done_callback(finished.put)
        # Answers are fetched while the workers have the next images.
        yield from _fetched(client, ended, address)
        ended = [(out.pop(future.key), future) for future in (_drained(finished) if out else ())]
        if out and not ended:
            if client.status != "running":
                raise _gone(address)
            if not _asked(client.nthreads, address):
                log.warning("the scheduler at %s has no workers left; waiting for one", address)


def _drained(finished: SimpleQueue[Future]) -> list[Future]:
    """All items of the queue, after waiting for the first."""
    found: list[Future] = []
    with suppress(Empty):
        found.append(finished.get(timeout=_POLL_SECONDS))
        while True:
            found.append(finished.get_nowait())
    return found


def _fetched(
    client: Any, ended: list[tuple[int, Future]], address: str
) -> Iterator[tuple[int, ImageResult | None]]:
    """The answers of tasks that ended, in one message where none failed."""
    answers: list[ImageResult | None] = []
    if len(ended) > 1 and all(future.status == "finished" for _, future in ended):
        # After a failure each answer is asked for below, where the failure is one image's.
        with suppress(Exception):
            answers = client.gather([future for _, future in ended])
    if not answers:
        answers = [_answer(future, item, address) for item, future in ended]
    yield from zip((item for item, _ in ended), answers, strict=True)


def _answer(future: Future, item: int, address: str) -> ImageResult | None:
    """The result of a task that was done (and is done again, should its worker die now); None where
    its worker died, or where it failed otherwise than by a refusal of relrob's."""
    try:
        result: ImageResult = future.result()
        return result
    except RelrobError:
        raise
    except ImportError as error:
        raise UsageError(
            f"a Dask worker cannot import relrob ({error})",
            "relrob installed there",
            "pip install relrob",
        ) from error
    except Exception as error:
        # The failure is not the task's own.
        if future.status != "error":
            raise _gone(address) from error
        log.warning("image %d failed on the cluster (%s)", item, type(error).__name__)
        return None


def _asked(question: Callable[[], Any], address: str) -> Any:
    """The scheduler's answer. Raises UsageError where it has gone away."""
    try:
        return question()
    except (OSError, CancelledError) as error:
        raise _gone(address) from error


def _gone(address: str) -> RelrobError:
    """The error when the scheduler ends before the work."""
    return UsageError(
        f"the Dask scheduler at {address} went away",
        "one that stays",
        "the same command: it resumes",
    )
