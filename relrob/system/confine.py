"""A process that gives up the rights that reading a file does not need: memory beyond a limit, and
where Linux has Landlock writing files outside one folder, starting programs and TCP connections.

`importing` lifts the limit of memory while our own libraries are imported.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# linux/landlock.h; the numbers of the calls are the same on every architecture
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _REFER, _TRUNCATE = 1 << 0, 1 << 1, 1 << 13, 1 << 14
_REMOVE_AND_MAKE: Final = sum(1 << bit for bit in range(4, 13))
_TCP: Final = 0b11
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_allowance: int | None = None
_announce: Callable[[bool], None] | None = None


def limit(memory: int, written: int, announce: Callable[[bool], None]) -> None:
    """Limit this process to `memory` bytes above those that are mapped already, to files of
    `written` bytes, and to no core dump.

    `announce` is called with True when an import begins, which does not count, and with False when
    it ends.
    """
    global _allowance, _announce
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    _allowance, _announce = memory, announce
    _cap()


def lift() -> None:
    """Remove the limit of memory, so that the failure can be told."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _cap() -> None:
    """Set the limit of memory above the bytes that are mapped now."""
    if _allowance is None:
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    wanted = pages * resource.getpagesize() + _allowance
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(
        resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )


@contextmanager
def importing() -> Iterator[None]:
    """Count neither memory nor time while the block imports relrob's own modules. The block must
    touch nothing of a file."""
    if _allowance is None:
        yield
        return
    _tell(True)
    lift()
    try:
        yield
    finally:
        _cap()
        _tell(False)


def _tell(begins: bool) -> None:
    if _announce is not None:
        _announce(begins)


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when its parent, the process `parent`, ends. Where that has
    happened already, this process ends now."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def write_only_below(folder: str) -> bool:
    """Allow writing, making and removing files below `folder` alone, no start of a program and no
    TCP (Landlock). Returns False where Linux lacks it."""
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    if version < 1:
        return False
    files = _EXECUTE | _WRITE | _REMOVE_AND_MAKE
    files |= _REFER * (version >= 2) | _TRUNCATE * (version >= 3)
    attributes = struct.pack("QQ", files, _TCP) if version >= 4 else struct.pack("Q", files)
    rules = library.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if rules < 0:
        return False
    try:
        for place, rights in ((folder, files & ~_EXECUTE), (os.devnull, _WRITE)):
            with suppress(OSError):
                _allow(library, rules, place, rights)
        library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(library.syscall(_RESTRICT, rules, ctypes.c_uint(0)) == 0)
    finally:
        os.close(rules)


def _allow(library: ctypes.CDLL, rules: int, place: str, rights: int) -> None:
    """Grant these rights on the place and below it."""
    where = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, where)
        library.syscall(_ADD, rules, ctypes.c_uint(_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(where)
