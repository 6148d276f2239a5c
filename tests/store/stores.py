"""What tests of the store share: a finished run, refusals of one line, changes by SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.record import WitnessView
from relrob.errors import StoreError
from relrob.store.run_directory import FILE, Store
from tests.make_records import (
    make_config,
    make_result,
)

IMAGES = 14


def filled(directory: Path, images: int = IMAGES) -> Path:
    """A finished run."""
    with Store.open(directory, make_config()) as store:
        for index in range(images):
            store.append(make_result(index))
    return directory


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """The block raises a StoreError of one line that says `words`."""
    with pytest.raises(StoreError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def same(one: WitnessView, other: WitnessView) -> bool:
    """Equal in every field."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(WitnessView)
    )


def statement(*sql: str) -> Callable[[Path], None]:
    """Change the store with SQL."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path / FILE)) as connection, connection:
            for line in sql:
                connection.execute(line)

    return change
