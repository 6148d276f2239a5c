"""What GitHub Actions shows: an annotation a failed rule, and the summary of the job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relrob.errors import printable
from relrob.report.audit.places import place_of
from relrob.report.audit.words import markdown
from relrob.system.files import disk_errors


def workflow_commands(document: Mapping[str, Any]) -> list[str]:
    """A workflow command for each rule that failed, and a warning for each that cannot say."""
    lines = []
    for rule in document["rules"]:
        level = {"failed": "error", "cannot say": "warning"}.get(rule["verdict"])
        if level is not None:
            path, line = place_of(document, rule["id"])
            title = _property(f"relrob audit: {rule['id']}")
            lines.append(
                f"::{level} file={_property(path)},line={line},title={title}::"
                f"{_data(printable(rule['sentence']))}"
            )
    return lines


def _data(text: str) -> str:
    """Text as GitHub's commands carry it.

    >>> _data("100%\\n")
    '100%25%0A'
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Text as a property of a command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def tell(document: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Append the audit's page to the job's summary, where GITHUB_STEP_SUMMARY names its file;
    returns the annotations. Raises StoreError for a summary that cannot be written."""
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        path = Path(summary)
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(markdown(document))
    return workflow_commands(document)
