"""Archives of arrays: what NumPy reads of them, the same bytes again, and what is refused."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.system.npz import digest_of, packed, unpacked

ARRAYS = {
    "a": np.arange(6, dtype="<i8").reshape(2, 3),
    "text": np.array("caf\u00e9"),
    "empty": np.zeros((0, 4), "<f4"),
}


def test_numpy_reads_them_and_so_do_we(tmp_path: Path) -> None:
    data = packed(ARRAYS)
    (tmp_path / "a.npz").write_bytes(data)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as theirs:
        assert theirs.files == list(ARRAYS)
        ours = unpacked(data, 1 << 20)
        for name, array in ARRAYS.items():
            for found in (theirs[name], ours[name]):
                assert found.dtype == array.dtype and found.tobytes() == array.tobytes()
                assert found.shape == array.shape
    assert digest_of(ours) == digest_of(ARRAYS)


def test_the_bytes_do_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    before = packed(ARRAYS)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert packed(ARRAYS) == before


def test_the_digest_tells_names_types_shapes_and_values_apart() -> None:
    one = np.arange(4, dtype="<i4")
    others: list[dict[str, NDArray[Any]]] = [
        {"a": one},
        {"b": one},
        {"a": one.astype("<i8")},
        {"a": one.view("<u4")},
        {"a": one.reshape(2, 2)},
        {"a": one + 1},
        {"a": one, "b": one},
    ]
    assert len({digest_of(arrays) for arrays in others}) == len(others)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        packed({"a": np.array([object()])})
    with pytest.raises(ValueError, match="when unpacked"):
        unpacked(packed(ARRAYS), 100)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("note.txt", "hello")
    with pytest.raises(ValueError, match=r"note\.txt is no array"):
        unpacked(buffer.getvalue(), 1 << 20)
