"""audit.sarif: SARIF 2.1.0 as GitHub's code scanning accepts it. One result a failed rule, never
one an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from relrob.audit.rules import DIAGNOSES, RULES
from relrob.errors import printable
from relrob.report.audit.places import help_of, measures, place_of, uri

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT: Final = "relrobRule/v1"


def sarif_json(document: Mapping[str, Any]) -> str:
    """The document as SARIF, the same bytes for the same audit."""
    failed = [rule for rule in document["rules"] if rule["passed"] is False]
    run = {
        "tool": {
            "driver": {
                "name": "relrob",
                "semanticVersion": document["relrob"],
                "rules": [_rule(name) for name in _names()],
            }
        },
        "automationDetails": {"id": "relrob-audit/"},
        "columnKind": "utf16CodeUnits",
        "results": [_result(document, rule) for rule in failed],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _names() -> list[str]:
    return [DIAGNOSES, *(rule.id for rule in RULES)]


def _rule(name: str) -> dict[str, Any]:
    """A rule with the texts that GitHub shows."""
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": name},
        "fullDescription": {"text": measures(name)},
        "help": {
            "text": f"{measures(name)}. What to do: {help_of(name)}.",
            "markdown": f"{measures(name)}.\n\nWhat to do: {help_of(name)}.",
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["robustness", "quantisation"], "precision": "very-high"},
    }


def _result(document: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    """One failed rule at its place. Its fingerprint does not change with the measured value."""
    path, line = place_of(document, rule["id"])
    stable = hashlib.sha256(f"{rule['id']}\n{document['quantised']['path']}".encode()).hexdigest()
    return {
        "ruleId": rule["id"],
        "ruleIndex": _names().index(rule["id"]),
        "level": "error",
        "message": {"text": printable(f"{rule['id']}: {rule['sentence']}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(path)},
                    "region": {"startLine": line},
                }
            }
        ],
        "partialFingerprints": {FINGERPRINT: stable},
    }
