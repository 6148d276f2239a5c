"""The command line: parse, call, print. Each command lives in its own module and is imported only
when it is used.

This module imports next to nothing, so that Ctrl-C is listened to before whatever takes time.
"""

from __future__ import annotations

from importlib import import_module

from relrob.cli import interrupt

__all__ = ["main"]


def main() -> None:
    """Entry point of the `relrob` program."""
    interrupt.listen()
    program = import_module("relrob.cli.main")
    globals()["main"] = main  # the module has just taken the name
    program.main()
