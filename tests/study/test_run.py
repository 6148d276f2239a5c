"""`run`: one worker or several, resumed or interrupted, with images that kill their workers: the
same store in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from relrob.domain.events import Event
from relrob.domain.record import Record, Set
from relrob.domain.verdict import Reason
from relrob.store.run_directory import Store
from relrob.study import run as running
from relrob.study.plan import make_plan
from relrob.study.pool import Unanswered, map_unordered
from relrob.study.request import Request
from relrob.study.run import keep_networks, run
from relrob.study.work import Plan, make_classifier, make_in_worker, opened
from relrob_datasets import load
from tests import hostile
from tests.support import random_dense, rounded

IMAGES = 9


@dataclass
class Heard:
    """A listener that remembers, and interrupts after so many images."""

    events: list[Event]
    interrupt_after: int = 10**9

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.stage == "images" and event.done >= self.interrupt_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """A float network and its coarse copy on nine small images; the third is labelled wrongly."""
    folder = tmp_path_factory.mktemp("run")
    dense = random_dense(21, (12, 8, 3))
    reference = hostile.write_onnx(dense, folder / "reference.onnx")
    quantised = hostile.write_onnx(rounded(dense, 3), folder / "quantised.onnx")
    images = np.random.default_rng(1).integers(0, 256, (IMAGES, 3, 4), dtype=np.uint8)
    values = images.reshape(IMAGES, 12).astype(np.float32) / np.float32(255)
    hidden = np.maximum(values @ dense.layers[0].weights + dense.layers[0].bias, 0)
    labels = (hidden @ dense.layers[1].weights + dense.layers[1].bias).argmax(axis=1)
    labels[2] = (labels[2] + 1) % 3
    np.savez(folder / "data.npz", images=images, labels=labels, classes=3)
    monkey = pytest.MonkeyPatch()
    monkey.setenv("RELROB_CACHE", str(folder / "cache"))
    yield make_plan(
        Request(
            radius="2",
            step="1/2",
            reference=str(reference),
            quantised=str(quantised),
            dataset=str(folder / "data.npz"),
            images="all",
            features="5",
            axes=2,
        )
    )
    monkey.undo()


def finished(
    plan: Plan, folder: Path, workers: int = 1, heard: Heard | None = None
) -> tuple[list[Record], str]:
    """Run or resume in `folder`: the records and the digest of the content."""
    with Store.open(folder, plan.config) as store:
        run(plan, store, workers, heard or Heard([]))
        return store.records(), store.content_sha256()


def test_every_image_is_decided_once_and_told_of(plan: Plan, tmp_path: Path) -> None:
    heard = Heard([])
    records, _ = finished(plan, tmp_path / "one", heard=heard)
    decide = make_classifier(plan)
    assert records == [decide(index).record for index in range(IMAGES)]
    assert records[2].set is Set.L_IC
    assert {record.set for record in records} - {Set.L_IC, Set.UNKNOWN}
    counted = [(event.done, event.total) for event in heard.events if event.stage == "images"]
    assert counted == [(done, IMAGES) for done in range(IMAGES + 1)]
    assert heard.events[1].text.startswith("image 0 (")


def test_workers_and_interruptions_give_the_same_store(plan: Plan, tmp_path: Path) -> None:
    _, digest = finished(plan, tmp_path / "one")
    assert finished(plan, tmp_path / "two", workers=2)[1] == digest
    with pytest.raises(KeyboardInterrupt):
        finished(plan, tmp_path / "three", heard=Heard([], interrupt_after=4))
    with Store.read(tmp_path / "three") as store:
        assert len(store.records()) == 4
    heard = Heard([])
    assert finished(plan, tmp_path / "three", heard=heard)[1] == digest
    assert heard.events[0] == Event("note", f"resuming: 4 of {IMAGES} images are decided already")
    assert [event.done for event in heard.events[1:]] == list(range(4, IMAGES + 1))
    assert finished(plan, tmp_path / "three")[1] == digest


def test_an_image_that_killed_its_workers_is_unknown(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(
        plan: Plan, todo: list[int], workers: int, scheduler: str | None
    ) -> Iterator[object]:
        decide = make_classifier(plan)
        yield from (Unanswered(index) if index == 5 else decide(index) for index in todo)

    monkeypatch.setattr(running, "_answers", answers)
    records, _ = finished(plan, tmp_path / "run", workers=2)
    lost = records[5]
    assert (lost.set, lost.reference_verdict, lost.quantised_verdict) == (
        Set.UNKNOWN,
        "UNKNOWN",
        "UNKNOWN",
    )
    assert lost.reason == f"reference: {Reason.CRASH.value}; quantised: {Reason.CRASH.value}"
    assert lost.label == int(load(plan.dataset, plan.split).labels[5])
    assert [record.set is Set.UNKNOWN for record in records].count(True) == 1


def test_the_rule_of_the_plan_reaches_the_sets(plan: Plan, tmp_path: Path) -> None:
    """Swapping the two networks of a plan swaps the columns of every record that both get right."""
    there, _ = finished(plan, tmp_path / "there")
    swapped = replace(plan, reference=plan.quantised, quantised=plan.reference)
    decide = make_classifier(swapped)
    both = [
        record for record in there if record.set is not Set.L_IC and not record.clean_regression
    ]
    assert both
    for record in both:
        back = decide(record.index).record
        assert (back.reference_effective, back.quantised_effective) == (
            record.quantised_effective,
            record.reference_effective,
        )
        assert (back.transferred, back.points) == (record.transferred, record.points)


def test_both_ways_of_opening_run_the_same_network(plan: Plan) -> None:
    pair = opened(plan.reference, 1)
    images = np.random.default_rng(0).random((30, 12), dtype=np.float32)
    together, alone = pair.evaluator.outputs(images), pair.replayer.outputs(images)
    assert pair.replayer.best_batch == 1
    assert np.allclose(together, alone, atol=1e-5)


def test_networks_that_were_made_are_kept_and_the_users_are_not(plan: Plan, tmp_path: Path) -> None:
    header = {
        **plan.header,
        "quantised": {**plan.header["quantised"], "path": "quantised.onnx"},
        "reference": {**plan.header["reference"], "path": "elsewhere/reference.onnx"},
    }
    made = replace(plan, header=header)
    keep_networks(made, tmp_path)
    copy = tmp_path / "quantised.onnx"
    assert copy.read_bytes() == Path(plan.quantised.path).read_bytes()
    assert [path.name for path in tmp_path.rglob("*")] == ["quantised.onnx"]
    copy.write_bytes(b"spoilt")
    keep_networks(made, tmp_path)
    assert copy.read_bytes() == Path(plan.quantised.path).read_bytes()


def threads() -> int:
    """How many threads the next matrix product may use."""
    return max(int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas")


def counting(plan: Plan) -> Callable[[int], int]:
    """A worker's function that answers with its threads."""
    make_in_worker(plan)
    return lambda index: threads()


def test_one_thread_whatever_the_workers(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two, the last bits of margins are others: records would depend on the number of workers,
    and on the machine."""
    assert set(map_unordered(counting, plan, range(4), 2)) == {1}
    monkeypatch.setattr(running, "make_classifier", lambda plan: lambda index: threads())
    with threadpool_limits(limits=2):
        answers = running._answers(plan, [0, 1], 1, None)
        assert next(answers) == 1
        assert threads() == 2  # the caller's own
        assert list(answers) == [1]
