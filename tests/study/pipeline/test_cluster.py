"""Stages on two Dask workers of their own folders: the same stages as here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import distributed
import pytest

from relrob.errors import UsageError
from relrob.store.stage_directory import every
from relrob.study.pipeline.campaign import run_pipeline
from relrob.study.pipeline.spec import read_pipeline
from tests.study.pipeline.toy import KINDS, TEXT

LOCAL: Any = distributed.LocalCluster  # typed as if their answers could be awaited


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a scheduler with two workers of a thread each."""
    settings = {"temporary-directory": str(tmp_path_factory.mktemp("dask"))}
    with (
        dask.config.set(settings),
        LOCAL(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
    ):
        yield cluster.scheduler_address


def test_a_cluster_makes_the_same_stages(address: str, tmp_path: Path) -> None:
    pipeline = read_pipeline("sums", TEXT, "", KINDS)
    run_pipeline(pipeline, tmp_path / "there", 1, scheduler=address)
    run_pipeline(pipeline, tmp_path / "here", 1)
    there, here = every(tmp_path / "there"), every(tmp_path / "here")
    assert there.keys() == here.keys()
    assert len(there) == 14
    for digest, done in there.items():
        assert (done.rows, done.files) == (here[digest].rows, here[digest].files)


def test_the_error_of_a_stage_comes_home(address: str, tmp_path: Path) -> None:
    wrong = read_pipeline("sums", TEXT.replace("value = 5", "value = -5"), "", KINDS)
    with pytest.raises(UsageError, match="value -5; accepted: 0 or more"):
        run_pipeline(wrong, tmp_path, 1, scheduler=address)
