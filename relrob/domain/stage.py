"""A stage of a study: work that its options and the stages before it decide, named by a digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def stage_digest(kind: str, options: dict[str, Any], inputs: dict[str, str]) -> str:
    """SHA-256 of all that decides a stage's results. `inputs`: role to the digest of a stage."""
    text = canonical({"kind": kind, "options": options, "inputs": inputs})
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Stage:
    """One piece of a study's work.

    `kind`: of `relrob.study.pipeline.kinds.KINDS`. `group`: its name in the study's file. `axes`:
    the options that the file lists several values of, with the value here. `options`: JSON values.
    `inputs`: role to the stage whose results it reads, in order.

    Two stages of one digest are the same work, whatever their groups are called.
    """

    kind: str
    group: str
    axes: dict[str, Any]
    options: dict[str, Any]
    inputs: dict[str, Stage]

    @cached_property
    def digest(self) -> str:
        """Of kind, options and inputs."""
        return stage_digest(self.kind, self.options, self.links)

    @property
    def links(self) -> dict[str, str]:
        """Role to the digest of an input."""
        return {role: stage.digest for role, stage in self.inputs.items()}

    @property
    def described(self) -> str:
        """The group and its axes: "lenet5 compress=q:4:1 seed=0"."""
        return " ".join([self.group, *(f"{key}={value}" for key, value in self.axes.items())])
