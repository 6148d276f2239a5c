"""The work of a run as a worker gets it: the plan, its data, the function that decides an image.

A worker imports this module and what it needs, and nothing of what makes plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from relrob.domain.arrays import Ints
from relrob.domain.network import Network
from relrob.domain.record import ImageResult
from relrob.domain.region import Region, Search
from relrob.networks.open import Opened, open_network
from relrob.queries.query import Budget
from relrob.registry import load
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob.store.configuration import canonical
from relrob.system.allocator import keep_memory
from relrob.system.files import sha256_bytes
from relrob_datasets import load_images
from relrob_datasets.dataset import Dataset
from relrob_datasets.read_as import ReadAs


@dataclass(frozen=True, eq=False)
class Plan:
    """A run, ready: everything that decides its records (`config`), the images asked for, and the
    header of its summary. `labels`: of all images, where the reference gave them, else None."""

    dataset: str
    split: str
    read_as: ReadAs
    labels: Ints | None
    indices: tuple[int, ...]
    reference: Network
    quantised: Network
    region: Region
    solver: str
    budget: Budget
    effective: Effective
    counts: bool
    certificates: bool
    header: dict[str, Any]
    config: dict[str, Any]
    attacks: tuple[str, ...] = ()
    seed: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical configuration, whatever images were asked for: the name of the
        run."""
        return sha256_bytes(canonical(self.config).encode())


def data_of(plan: Plan) -> Dataset:
    """The data of a plan, in a worker. Raises DatasetError."""
    images = load_images(plan.dataset, plan.split, plan.read_as)
    if plan.labels is None:
        return images.dataset()
    return images.labelled(plan.labels, plan.reference.classes)


def opened(network: Network, threads: int, role: str = "") -> Opened:
    """A network opened twice: in its best batch size, and one image at a time."""
    return Opened(
        network, open_network(network, threads), open_network(network, threads, batch=1), role
    )


def make_in_worker(plan: Plan) -> Callable[[int], ImageResult]:
    """`make_classifier` in a process that does nothing else."""
    keep_memory()
    threadpool_limits(limits=1)
    return make_classifier(plan)


def make_classifier(plan: Plan) -> Callable[[int], ImageResult]:
    """What a worker does: the function decides the image of an index. One thread, whatever the
    machine: how many share a matrix product decides the last bits of margins."""
    data = data_of(plan)
    networks = opened(plan.reference, 1, "reference"), opened(plan.quantised, 1, "quantised")
    if isinstance(plan.region, Search):
        searched = load("relrob.relative.search:classify_search")
        search = load("relrob.relative.search:SearchSetting")(networks, plan.region, plan.effective)
        return lambda index: searched(search, index, data.images[index], int(data.labels[index]))
    arms = ()
    if plan.attacks:
        arms = load("relrob.study.attacks:armed")(plan.attacks, (plan.reference, plan.quantised))
    setting = Setting(
        reference=networks[0],
        quantised=networks[1],
        region=plan.region,
        solver=plan.solver,
        budget=plan.budget,
        effective=plan.effective,
        counts=plan.counts,
        certify=plan.certificates,
        arms=arms,
        seed=plan.seed,
    )
    return lambda index: classify(setting, index, data.images[index], int(data.labels[index]))
