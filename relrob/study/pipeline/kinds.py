"""The kinds of stages: what they read, which options they have, and what makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from relrob.errors import UsageError
from relrob.registry import load


@dataclass(frozen=True)
class Kind:
    """A kind of stage.

    `inputs`: role to "is it needed?". `options`: name to default; the type of the default is the
    type of the option. `version` is among the options of every stage: it goes up when a change of
    code changes results. `target`: "module:attribute" of the function that makes it
    (`relrob.study.pipeline.work.Make`), imported in the worker. `checks`: that of a function which
    raises UsageError for options that cannot be.
    """

    name: str
    target: str
    inputs: dict[str, bool]
    options: dict[str, Any]
    checks: str = ""
    version: int = 1

    def check(self, where: str, options: dict[str, Any]) -> None:
        """Raise UsageError for an option of another type than its default, or that the kind's own
        check refuses."""
        for key, default in self.options.items():
            value = options[key]
            number = isinstance(default, float) and isinstance(value, int)
            same = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(
                default, bool
            )
            if not (same or (number and not isinstance(value, bool))):
                raise UsageError(f"{where}: {key} = {value!r}", f"a {_WORDS[type(default)]}")
        if self.checks:
            try:
                load(self.checks)(options)
            except UsageError as error:
                raise UsageError(f"{where}: {error}") from error


_WORDS: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "train",
            "relrob.study.pipeline.make_networks:train",
            {"start": False},
            {
                "arch": "",
                "dataset": "mnist",
                "compress": "",
                "augment": "",
                "profile": "quick",
                "seed": 0,
                "epochs": 0,
                "limit": 0,
            },
            checks="relrob.study.pipeline.checks:train",
        ),
        Kind(
            "compress",
            "relrob.study.pipeline.make_networks:compress",
            {"source": True},
            {"method": "", "dataset": "mnist", "seed": 0},
            checks="relrob.study.pipeline.checks:compress",
        ),
        Kind(
            "attack",
            "relrob.study.pipeline.make_attacks:attack",
            {"source": True},
            {
                "attack": "",
                "dataset": "mnist",
                "split": "test",
                "images": 1000,
                "select": "correct",
                "target_label": -1,
                "run": 0,
            },
            checks="relrob.study.pipeline.checks:attack",
        ),
        Kind(
            "evaluate",
            "relrob.study.pipeline.make_attacks:evaluate",
            {"samples": True, "target": True},
            {"dataset": "mnist", "both_correct": False},
            checks="relrob.study.pipeline.checks:images",
        ),
        Kind(
            "distribution",
            "relrob.study.pipeline.make_networks:distribution",
            {"source": True},
            {"dataset": "mnist", "images": 10},
            checks="relrob.study.pipeline.checks:images",
        ),
    )
}
