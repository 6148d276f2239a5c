"""The files of an audit: audit.json, images.csv, table.md, junit.xml, audit.sarif."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from relrob.audit.rows import Row
from relrob.errors import StoreError
from relrob.report.audit.csv_file import rows_csv
from relrob.report.audit.junit import junit_xml
from relrob.report.audit.sarif import sarif_json
from relrob.report.audit.words import markdown
from relrob.system.files import check_writable, disk_errors, sha256_bytes, write_atomic

# Names in the directory of an audit.
OWN: Final = frozenset(
    {"audit.json", "audit.sarif", "images.csv", "junit.xml", "report.html", "table.md", "run"}
)


def audit_json(document: Mapping[str, Any]) -> str:
    """audit.json: sorted keys; the same audit gives the same bytes but for the key "seconds"."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def files_of(document: Mapping[str, Any], rows: Sequence[Row], more: str = "") -> dict[str, str]:
    """Names and texts; audit.json comes last, so that a directory with one is complete, and holds
    the SHA-256 of images.csv as `files`. `more`: Markdown for the end of table.md."""
    table = rows_csv(rows)
    sealed = {**document, "files": {"images.csv": sha256_bytes(table.encode())}}
    return {
        "images.csv": table,
        "table.md": "\n".join(part for part in (markdown(document), more) if part),
        "junit.xml": junit_xml(document),
        "audit.sarif": sarif_json(document),
        "audit.json": audit_json(sealed),
    }


def begin_in(directory: Path) -> None:
    """Refuse a directory that cannot be written, or that holds somebody's files and no audit; the
    verdict of an earlier audit goes, and its page. Raises StoreError."""
    document = directory / "audit.json"
    check_writable(document)
    with disk_errors(directory):
        names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if names - OWN and document.name not in names:
            raise StoreError(
                f"{directory} has files but no audit", "a new or empty directory", "another --out"
            )
        document.unlink(missing_ok=True)
        (directory / "report.html").unlink(missing_ok=True)


def write_audit(
    directory: Path, document: Mapping[str, Any], rows: Sequence[Row], more: str = ""
) -> str:
    """Write the files, each whole or not at all; returns audit.json. Raises StoreError."""
    files = files_of(document, rows, more)
    for name, text in files.items():
        write_atomic(directory / name, text)
    return files["audit.json"]
