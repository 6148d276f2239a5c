"""The command line: parse, call, print. Each command lives in its own module and is imported only when it is used."""

from __future__ import annotations

from relrob.cli.main import main

__all__ = ["main"]
