"""evidence.json: read as it was written, refused where it is damaged or holds anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relrob.errors import StoreError
from relrob.store.evidence import FILE, Evidence, read_evidence, write_evidence

PICTURE = "data:image/png;base64,iVBORw0KGgo="


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Evidence(
        "relrob verify", {"read": False, "reason": "none"}, {3: "layer"}, "told", {7: PICTURE}
    )
    write_evidence(tmp_path, made)
    data = (tmp_path / FILE).read_bytes()
    assert read_evidence(tmp_path) == made
    write_evidence(tmp_path, read_evidence(tmp_path))
    assert (tmp_path / FILE).read_bytes() == data


def test_a_run_without_it_has_none(tmp_path: Path) -> None:
    assert read_evidence(tmp_path) == Evidence()


@pytest.mark.parametrize(
    "picture",
    [
        'x" onerror="alert(1)',
        "https://example.org/a.png",
        "data:text/html;base64,AAAA",
        PICTURE + "\n",
    ],
)
def test_a_picture_that_is_no_png_is_refused(tmp_path: Path, picture: str) -> None:
    with pytest.raises(ValueError, match="image 7 is no PNG"):
        Evidence(pictures={7: picture})
    write_evidence(tmp_path, Evidence())
    document = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(document | {"pictures": {"7": picture}}))
    with pytest.raises(StoreError, match="is damaged"):
        read_evidence(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "flips": 3}'])
def test_damage_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="is damaged") as caught:
        read_evidence(tmp_path)
    assert "\n" not in str(caught.value)
