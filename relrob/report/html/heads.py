"""The heads of pages, for results in notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relrob.report.html.audit_page import head_of as of_audit
from relrob.report.html.page import head
from relrob.report.html.parts import Page
from relrob.report.html.radius_page import head_of as of_radius
from relrob.report.html.run_page import head_of as of_run
from relrob.report.html.study_page import head_of as of_study
from relrob.store.radius_summary import RadiusSummary
from relrob.store.summary import Summary

_BESIDE = "report.html in the directory has the evidence."


def run_head(summary: Summary) -> str:
    """Of a run."""
    return head(Page(**of_run(summary), sections=(), footer=_BESIDE))


def radius_head(summary: RadiusSummary) -> str:
    """Of a search for critical radii."""
    return head(Page(**of_radius(summary), sections=(), footer=_BESIDE))


def audit_head(document: Mapping[str, Any]) -> str:
    """Of an audit: `document` is audit.json."""
    return head(Page(**of_audit(document, None), sections=(), footer=_BESIDE))


def study_head(document: Mapping[str, Any]) -> str:
    """Of a study: `document` is that of `relrob study show --format json`."""
    return head(Page(**of_study(document), sections=(), footer=_BESIDE))
