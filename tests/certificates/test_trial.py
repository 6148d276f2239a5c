"""A network's file is tried by a function that the caller of the checker gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relrob.certificates.checking.check import check
from relrob.certificates.form import canonical, seal
from relrob.errors import NetworkError
from tests.certificate_cases import small_in


def test_the_file_of_the_right_digest_is_tried_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = small_in(tmp_path)
    tried: list[tuple[Path, dict[str, Any]]] = []

    def first(file: Path, **facts: Any) -> None:
        tried.append((file, facts))
        raise NetworkError("a planted crash", "a file that can be read")

    def never(*given: Any) -> None:
        raise AssertionError("read before it was tried")

    for name in ("read_deployed", "runner"):
        monkeypatch.setattr(f"relrob.certificates.checking.check.{name}", never)
    path = tmp_path / "c.json"
    path.write_bytes(canonical({**small.content, "seal": seal(small.content)}))
    with pytest.raises(NetworkError, match="a planted crash"):
        check(path, small.network, first=first)
    facts = {name: small.content["network"][name] for name in ("classes", "runtime", "layout")}
    assert tried == [(small.network, {"image_shape": (2, 2, 1), **facts})]
    other = tmp_path / "other.onnx"
    other.write_bytes(small.network.read_bytes() + b"\0")
    assert "has SHA-256" in check(path, other, first=first).failure
    assert len(tried) == 1
