"""The files of an audit: audit.json, images.csv, table.md, junit.xml, audit.sarif."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relrob.audit.rows import Row
from relrob.report.audit.csv_file import rows_csv
from relrob.report.audit.junit import junit_xml
from relrob.report.audit.sarif import sarif_json
from relrob.report.audit.words import markdown
from relrob.system.files import write_atomic


def audit_json(document: Mapping[str, Any]) -> str:
    """audit.json: sorted keys; the same audit gives the same bytes but for the key "seconds"."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def files_of(document: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, str]:
    """Names and texts; audit.json comes last, so that a directory with one is complete."""
    return {
        "images.csv": rows_csv(rows),
        "table.md": markdown(document),
        "junit.xml": junit_xml(document),
        "audit.sarif": sarif_json(document),
        "audit.json": audit_json(document),
    }


def write_audit(directory: Path, document: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the files, each whole or not at all. Raises StoreError."""
    for name, text in files_of(document, rows).items():
        write_atomic(directory / name, text)
