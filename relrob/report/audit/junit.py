"""junit.xml: a test case a rule, in the form that Jenkins, GitLab and GitHub's actions read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree

from relrob.errors import printable
from relrob.report.audit.places import help_of

SUITE: Final = "relrob.audit"


def junit_xml(document: Mapping[str, Any]) -> str:
    """A failed rule is a failure, one that cannot say is an error, one that was not measured is
    skipped. No times, so that the same audit gives the same bytes."""
    rules = document["rules"]
    verdicts = [rule["verdict"] for rule in rules]
    counts = {
        "tests": len(rules),
        "failures": verdicts.count("failed"),
        "errors": verdicts.count("cannot say"),
        "skipped": verdicts.count("not measured"),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": SUITE, **numbers})
    suite = ElementTree.SubElement(root, "testsuite", {"name": SUITE, **numbers})
    for rule in rules:
        case = ElementTree.SubElement(
            suite, "testcase", {"name": rule["id"], "classname": SUITE, "time": "0"}
        )
        told = printable(rule["sentence"])
        if rule["verdict"] == "failed":
            failure = ElementTree.SubElement(case, "failure", {"message": told, "type": rule["id"]})
            failure.text = printable(help_of(rule["id"]))
        elif rule["verdict"] == "cannot say":
            ElementTree.SubElement(case, "error", {"message": told, "type": "undecided"})
        elif rule["verdict"] == "not measured":
            ElementTree.SubElement(case, "skipped", {"message": told})
        ElementTree.SubElement(case, "system-out").text = told
    out = ElementTree.SubElement(suite, "system-out")
    out.text = printable(document["sentence"])
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
