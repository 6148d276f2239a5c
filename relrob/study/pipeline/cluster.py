"""Stages on a Dask cluster: each task gets the files of its inputs, and sends those of its stage.

No disk need be shared. What a task computed is checked by its digests when it comes home. Imports
Dask's `distributed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distributed import as_completed

from relrob.domain.stage import Stage
from relrob.errors import RelrobError, UsageError
from relrob.store.stage_archive import pack, unpack
from relrob.study.cluster import connected
from relrob.study.pipeline.work import work
from relrob.system.temporary import temporary_folder
from relrob.system.version import VERSION

Job = tuple[Stage, str]


def remote(stage: Stage, target: str, inputs: bytes, version: str) -> tuple[bytes, float]:
    """A task: (the stage as `pack` writes it, the seconds that it took)."""
    if version != VERSION:
        raise UsageError(f"a worker has relrob {VERSION}", f"{version}, as the driver has")
    with temporary_folder("relrob-stage-") as folder:
        directory, archive = folder / "study", folder / "stages.zip"
        if inputs:
            archive.write_bytes(inputs)
            unpack(archive, directory)
        seconds = work(directory, stage, target)
        pack(directory, archive, {stage.digest})
        return archive.read_bytes(), seconds


def map_on_cluster(
    directory: Path, jobs: Sequence[Job], ready: deque[int], address: str
) -> Iterator[tuple[int, float]]:
    """(number, seconds) of each job whose number is in `ready` as its stage comes home to
    `directory`; the caller adds numbers while it takes answers.

    Raises the RelrobError that a task raised, and one where the cluster failed.
    """
    with (
        connected(address) as client,
        client.as_current(),
        temporary_folder() as folder,
    ):
        archive = folder / "stages.zip"
        futures: dict[Any, int] = {}
        # A key of its own for each, held until its task ends: the scheduler would drop, at the
        # release of an earlier future of equal bytes, what a later task still waits for.
        shipped: dict[int, Any] = {}

        def submitted() -> list[Any]:
            """The tasks of all that is ready."""
            found = []
            while ready:
                number = ready.popleft()
                stage, target = jobs[number]
                data = b""
                if stage.inputs:
                    pack(directory, archive, set(stage.links.values()))
                    data = archive.read_bytes()
                key = f"relrob-stage-{stage.digest}"
                shipped[number] = client.scatter(data, hash=False) if data else data
                found.append(
                    client.submit(remote, stage, target, shipped[number], VERSION, key=key)
                )
                futures[found[-1]] = number
            return found

        waiting = as_completed(submitted())
        for future in waiting:
            number = futures.pop(future)
            try:
                answer, seconds = future.result()
            except RelrobError:
                raise
            except Exception as error:
                raise RelrobError(
                    f"{jobs[number][0].described} failed on the cluster "
                    f"({type(error).__name__}: {error})",
                    hint="the same command: what is finished stays",
                ) from error
            del shipped[number]
            archive.write_bytes(answer)
            unpack(archive, directory)
            yield number, seconds
            waiting.update(submitted())
