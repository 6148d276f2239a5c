"""A study of stages that only adds numbers: what the engine is tested with."""

from __future__ import annotations

from relrob.errors import UsageError
from relrob.store.stage_document import Row
from relrob.study.pipeline.kinds import Kind
from relrob.study.pipeline.work import Job

KINDS = {
    "number": Kind("number", "tests.study.pipeline.toy:number", {}, {"value": 0, "seed": 0}),
    "sum": Kind(
        "sum", "tests.study.pipeline.toy:add", {"left": True, "right": False}, {"factor": 1.0}
    ),
}
TEXT = """
title = "Sums"
[profile.small]
seeds = [0, 1]
[profile.large]
seeds = [0, 1, 2]
[[number]]
name = "a"
value = [10, 20]
seed = "$seeds"
[[number]]
name = "b"
value = 5
seed = "$seeds"
[[sum]]
name = "both"
left = "a"
right = "b"
factor = [1, 2.5]
"""


def number(job: Job) -> list[Row]:
    """Its value, in a file as well; every call leaves a line."""
    with (job.folder / "calls.txt").open("a", encoding="utf-8") as file:
        file.write("called\n")
    if job.options["value"] < 0:
        raise UsageError(f"value {job.options['value']}", "0 or more")
    (job.folder / "value.txt").write_text(str(job.options["value"] + job.options["seed"]))
    return [{"value": job.options["value"] + job.options["seed"]}]


def add(job: Job) -> list[Row]:
    """The factor times the sum of the inputs, read from their files."""
    values = [int(each.only("value.txt").read_text()) for each in job.inputs.values()]
    return [{"value": job.options["factor"] * sum(values)}]
