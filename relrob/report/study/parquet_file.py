"""Records as Parquet: typed columns, missing values as nulls, the same bytes for the same rows.
Imports pyarrow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import pyarrow
import pyarrow.parquet

from relrob.domain.record import Record

_LARGEST: Final = (1 << 63) - 1
_TYPES: Final = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}


def parquet_bytes(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """A table with the columns `names`. Columns of a Record have its types, others are text.

    None is null. A column with a whole number that no int64 holds is text, in decimal digits: a
    ladder of all features can have so many points.
    """
    kinds = {field.name: str(field.type).removesuffix(" | None") for field in fields(Record)}
    values = [[_plain(row[at]) for row in rows] for at in range(len(names))]
    types = [_TYPES.get(kinds.get(name, "str"), pyarrow.string()) for name in names]
    for at, kind in enumerate(types):
        if kind == pyarrow.int64() and any(
            value is not None and abs(value) > _LARGEST for value in values[at]
        ):
            types[at], values[at] = (
                pyarrow.string(),
                [None if value is None else str(value) for value in values[at]],
            )
    schema = pyarrow.schema(list(zip(names, types, strict=True)))
    columns = [pyarrow.array(column, kind) for column, kind in zip(values, types, strict=True)]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.Table.from_arrays(columns, schema=schema), buffer, compression="zstd"
    )
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """A StrEnum as plain text; another value as it is."""
    return str(value) if isinstance(value, str) else value
