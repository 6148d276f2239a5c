"""Where a rule stands, and what its texts are, for formats that point at a file and a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from relrob.audit.rules import DIAGNOSES, RULES


def place_of(document: Mapping[str, Any], rule: str) -> tuple[str, int]:
    """(file, line) of a rule: its line in the policy, or without one the quantised file. The path
    is relative to the working directory, with slashes."""
    policy = document["policy"]
    line = policy["lines"].get(rule)
    path = policy["path"] if line else document["quantised"]["path"]
    return relative(path), line or 1


def relative(path: str) -> str:
    """A path relative to the working directory, with slashes."""
    return Path(os.path.relpath(path)).as_posix()


def uri(path: str) -> str:
    """A relative path as SARIF has it."""
    return quote(path)


def measures(rule: str) -> str:
    """What a rule measures."""
    if rule == DIAGNOSES:
        return "blocking diagnoses of the pair, such as another network or a wrong input scale"
    return next(each.measures for each in RULES if each.id == rule)


def help_of(rule: str) -> str:
    """What to do when a rule fails."""
    if rule == DIAGNOSES:
        return "docs/audit.md says for each diagnosis what to do"
    return next(each.mend for each in RULES if each.id == rule)
