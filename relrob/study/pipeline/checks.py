"""Mistakes in the options of stages, told before the first stage is made."""

from __future__ import annotations

from typing import Any

from relrob.attacks.parameters import named
from relrob.errors import UsageError
from relrob.study.pipeline.methods import SELECT, split_method, training_of
from relrob_datasets import catalogue


def train(options: dict[str, Any]) -> None:
    """Raise UsageError for a training that cannot be."""
    _dataset(options)
    training_of(options)


def compress(options: dict[str, Any]) -> None:
    """Raise UsageError for a method that there is not."""
    _dataset(options)
    split_method(options["method"])


def attack(options: dict[str, Any]) -> None:
    """Raise UsageError for an attack, a choice of images or a run that there is not."""
    _dataset(options)
    named(options["attack"])
    if options["select"] not in SELECT:
        raise UsageError(f"select {options['select']!r}", ", ".join(SELECT))
    if options["split"] not in ("test", "train"):
        raise UsageError(f"split {options['split']!r}", "test, train")
    for name, least in (("images", 1), ("run", 0), ("target_label", -1)):
        if options[name] < least:
            raise UsageError(f"{name} {options[name]}", f"{least} or more")


def images(options: dict[str, Any]) -> None:
    """Raise UsageError for a data set that there is not, or fewer images than one."""
    _dataset(options)
    if options.get("images", 1) < 1:
        raise UsageError(f"images {options['images']}", "1 or more")


def _dataset(options: dict[str, Any]) -> None:
    """Only data of a published digest: a path would not tell which images it stands for."""
    known = [row.name for row in catalogue()]
    if options["dataset"] not in known:
        raise UsageError(f"dataset {options['dataset']!r}", ", ".join(known))
