"""The first reading of a foreign network file, and its first run, in a child process with limits.

A file that relrob made itself needs neither. The child says only whether the file can be read and
run (`relrob.system.child`). Its caller reads the same bytes again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from relrob.domain.contract import InputContract, InputOptions
from relrob.domain.network import Layout
from relrob.errors import NetworkError
from relrob.networks.load import ALL_READERS, READERS, load_network
from relrob.networks.open import opener_of
from relrob.networks.probes import probed
from relrob.networks.shapes import Shape
from relrob.networks.sniff import ACCEPTED, sniff
from relrob.registry import EVALUATORS, find, load
from relrob.system.child import guarded, size_of
from relrob.system.confine import importing
from relrob.system.quiet import quiet_native

# Modules that the helper imports before it forks: the readers, and a runtime that starts no thread.
READY: Final = (
    "relrob.networks.first",
    *dict.fromkeys(
        target.partition(":")[0]
        for target in (*READERS.values(), find(EVALUATORS, "xnnpack", "runtime").target)
    ),
)


def try_network(
    path: str | Path,
    *,
    image_shape: Shape,
    classes: int,
    runtime: str | None = None,
    layout: str = "auto",
    inherit: Layout | None = None,
    more_classes: bool = False,
    inputs: InputOptions | None = None,
    like: InputContract | None = None,
    memory: float | None = None,
) -> None:
    """Read the file and run it once in a child. The arguments are those of `load_network`.

    `memory`: GiB, None for the default. Raises all that `load_network` and the runtime raise, and
    NetworkError for a crash, too much memory or too much time.
    """
    sniff(Path(path))
    arguments = {
        "path": str(path),
        "image_shape": image_shape,
        "classes": classes,
        "runtime": runtime,
        "layout": layout,
        "inherit": inherit,
        "more_classes": more_classes,
        "inputs": inputs,
        "like": like,
    }
    guarded(
        "relrob.networks.first:first_reading",
        arguments,
        name=str(path),
        size=size_of(path),
        failure=NetworkError,
        accepted=ACCEPTED,
        memory=memory,
        imports=READY,
    )


def first_reading(path: str, **options: Any) -> str:
    """Read the file in the child, open it on its runtime and probe it there, in batches and alone.
    Gives its digest."""
    with importing(), quiet_native():
        load(ALL_READERS[sniff(Path(path))])
    network = load_network(path, **options)
    with importing():
        opener_of(network.runtime)
    probed(network)
    return network.sha256
