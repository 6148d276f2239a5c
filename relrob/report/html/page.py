"""A page as HTML: the template, the style sheet and the script in one file. Imports Jinja2.

Nothing in it is fetched: its own policy (Content-Security-Policy) allows pictures as data, the
style sheet and the one script. A viewer that allows no script shows the same rows, without filters.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from relrob.errors import capped, printable
from relrob.report.html.parts import Page


def html(page: Page) -> str:
    """The file. The same page gives the same text."""
    script = _source("script.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            style=Markup(_source("style.css")),  # noqa: S704
            script=Markup(script),  # noqa: S704
            digest=_digest(script),
        )
    )


def head(page: Page) -> str:
    """The verdict, its sentences, the numbers and the first chart, for a notebook: a piece of
    HTML that brings its own style."""
    return (
        _environment()
        .get_template("head.html")
        .render(
            page=page,
            style=Markup(_source("head.css")),  # noqa: S704
        )
    )


def clean(value: Any) -> Any:
    """Text without characters that a reader would not see, cut where it is endless. Markup and
    numbers stay as they are."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return capped(printable(str(value)), 1000)
    return value


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=clean,
    )


@cache
def _source(name: str) -> str:
    """The text of a file beside this one."""
    return (files("relrob.report.html") / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """The script as a policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
