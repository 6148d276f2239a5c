"""Records as Parquet: typed columns, missing values as nulls, the same bytes for the same rows. Imports pyarrow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import pyarrow
import pyarrow.parquet

from relrob.domain.record import Record

_TYPES: Final = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}


def parquet_bytes(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """A table with these columns: those of a Record have its types, others are text; None is null."""
    kinds = {field.name: str(field.type).removesuffix(" | None") for field in fields(Record)}
    schema = pyarrow.schema([(name, _TYPES.get(kinds.get(name, "str"), pyarrow.string())) for name in names])
    columns = [pyarrow.array([_plain(row[at]) for row in rows], schema.field(at).type) for at in range(len(names))]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Text of a kind of its own (StrEnum) as plain text."""
    return str(value) if isinstance(value, str) else value
