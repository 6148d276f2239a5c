"""What a worker gives back to the system, counted in page faults, which no other load on the
machine changes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from relrob.system.allocator import keep_memory

COUNT = """
import resource, sys
import numpy as np
from relrob.system.allocator import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
def faults():
    for _ in range(100):
        np.ones(1 << 18)  # 2 MiB, 512 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = faults()
print(faults() - first)
"""


def faults_of(how: str) -> int:
    """Page faults of a hundred arrays in a process as Dask's nanny starts it."""
    environment = {
        **os.environ,
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not GNU's C library")
def test_arrays_are_mapped_once() -> None:
    assert faults_of("keep") * 10 < faults_of("leave")


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> object:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    keep_memory()
