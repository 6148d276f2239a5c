"""The command line: parse, call, print. Each command has a module, which is imported when it is
used.

This module imports next to nothing, so Ctrl-C is listened to before anything takes time.
"""

from __future__ import annotations

from importlib import import_module

from relrob.cli import interrupt

__all__ = ["main"]


def main() -> None:
    """Entry point of the `relrob` program."""
    interrupt.listen()
    program = import_module("relrob.cli.main")
    # Importing the module has just bound it to this name.
    globals()["main"] = main
    program.main()
