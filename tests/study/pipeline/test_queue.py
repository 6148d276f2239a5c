"""The order of stages: no stage waits for others than those that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relrob.domain.events import Event
from relrob.domain.stage import Stage
from relrob.store.stage_document import Finished
from relrob.study.pipeline.queue import Queue, Times
from relrob.study.pipeline.spec import read_pipeline
from relrob.study.pipeline.work import EVERY, Within
from tests.study.pipeline.toy import KINDS, TEXT

A = Stage("number", "a", {}, {"value": 1, "dataset": "x"}, {})
B = Stage("number", "b", {}, {"value": 2, "dataset": "x"}, {})
AA = Stage("sum", "aa", {}, {"factor": 1, "dataset": "y"}, {"left": A})
BB = Stage("sum", "bb", {}, {"factor": 1, "dataset": "y"}, {"left": B})
TOP = Stage("sum", "top", {}, {"factor": 3, "dataset": "y"}, {"left": AA, "right": BB})
ALL = (A, B, AA, BB, TOP)


def done(stage: Stage, seconds: float = 1.0) -> Finished:
    return Finished(stage.kind, stage.options, stage.links, (), {"x": "0" * 64}, {}, {}, seconds)


class Shelf:
    """Finished stages, and those of them that lack a file."""

    def __init__(self, *finished: Stage, lacking: tuple[Stage, ...] = ()) -> None:
        self.found = {stage.digest: done(stage) for stage in finished}
        self.lacking = {stage.digest for stage in lacking}

    def queue(self, stages: tuple[Stage, ...] = ALL) -> Queue:
        return Queue(stages, self.found.get, lambda found: found.digest not in self.lacking)

    def make(self, queue: Queue, stage: Stage, seconds: float = 1.0) -> list[str]:
        """Finish a stage; the groups that are ready then."""
        number = ALL.index(stage)
        queue.ready.remove(number)
        self.found[stage.digest] = done(stage)
        self.lacking.discard(stage.digest)
        queue.finish(number, seconds)
        return ready(queue)


def ready(queue: Queue) -> list[str]:
    return [ALL[number].group for number in queue.ready]


def test_a_stage_is_ready_as_soon_as_its_own_inputs_are_there() -> None:
    shelf = Shelf()
    queue = shelf.queue()
    assert (ready(queue), queue.done) == (["a", "b"], 0)
    assert shelf.make(queue, A) == ["b", "aa"]
    assert shelf.make(queue, AA) == ["b"]
    assert shelf.make(queue, B) == ["bb"]
    assert shelf.make(queue, BB) == ["top"]
    assert shelf.make(queue, TOP) == []
    assert queue.done == 5


def test_what_is_finished_is_passed_over_to_the_end() -> None:
    assert (ready(Shelf(*ALL).queue()), Shelf(*ALL).queue().done) == ([], 5)
    queue = Shelf(A, AA, B).queue()
    assert (ready(queue), queue.done) == (["bb"], 3)


def test_a_stage_is_looked_at_after_its_inputs() -> None:
    """An input that comes out otherwise makes what read it unfinished."""
    shelf = Shelf(B, AA, BB, TOP)
    queue = shelf.queue()
    assert ready(queue) == ["a"]
    del shelf.found[AA.digest]
    assert shelf.make(queue, A) == ["aa"]
    assert shelf.make(queue, AA) == []
    assert queue.done == 5


def test_a_stage_that_lacks_a_file_is_made_again_only_for_one_that_reads_it() -> None:
    whole = Shelf(*ALL, lacking=(A, AA, B, BB, TOP))
    assert ready(whole.queue()) == []
    shelf = Shelf(A, B, AA, BB, lacking=(A, AA))
    queue = shelf.queue()
    # TOP reads AA, which lacks a file, and is made from A, which lacks one too.
    assert ready(queue) == ["a"]
    assert shelf.make(queue, A) == ["aa"]
    assert shelf.make(queue, AA) == ["top"]


def test_the_time_that_is_left_follows_from_stages_of_the_group_or_kind() -> None:
    shelf = Shelf(A)
    queue = shelf.queue()
    # B is like A (1 s); nothing tells of sums yet.
    assert queue.left(1) == "about 1 s left"
    shelf.make(queue, AA, seconds=600.0)
    assert queue.left(1) == "about 20 min left"
    assert queue.left(2) == "about 10 min left"


def test_the_nearest_stages_tell_the_time() -> None:
    times = Times()
    times.add(A, 2.0)
    assert times.of(B) == 2.0
    times.add(B, 10.0)
    assert times.of(A) == 2.0
    assert times.of(replace(A, group="c")) == 6.0
    assert times.of(TOP) == 0.0


def test_every_stage_of_a_study_comes_once() -> None:
    stages = tuple(read_pipeline("sums", TEXT, "", KINDS).stages)
    found: dict[str, Any] = {}
    queue = Queue(stages, found.get, lambda each: True)
    order = []
    while queue.ready:
        number = queue.ready.popleft()
        assert set(stages[number].links.values()) <= found.keys()
        found[stages[number].digest] = done(stages[number])
        queue.finish(number, 1.0)
        order.append(number)
    assert sorted(order) == list(range(len(stages)))


def test_progress_within_a_stage_is_told_from_time_to_time() -> None:
    told: list[Event] = []
    now = [0.0]
    within = Within("net seed=0", told.append, lambda: now[0])
    for step in range(0, 101, 10):
        now[0] = step * EVERY / 40
        within(Event("train", "", step, 100))
        within(Event("note", "kept"))
    assert [event.text for event in told] == [
        "net seed=0: 40%, 2 min left",
        "net seed=0: 80%, 30 s left",
    ]
