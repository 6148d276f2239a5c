"""Pictures: the pixels of the image are the pixels of the picture, colours have the right sense,
nothing is clipped."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relrob.domain.record import WitnessView
from relrob.errors import StoreError, UsageError
from relrob.report.run import picture
from relrob.report.run.picture import MARGIN, PANEL, gallery, witness_png
from tests.make_records import make_witness

TOP = 56


def pixels(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(H, W, 3) levels of a PNG."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def panel(data: bytes, number: int, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The middle pixel of each enlarged pixel of a panel: (height, width, 3)."""
    factor = PANEL // max(height, width)
    left = MARGIN + number * (PANEL + MARGIN)
    part = pixels(data)[TOP : TOP + height * factor, left : left + width * factor]
    return part[factor // 2 :: factor, factor // 2 :: factor]


def chunks(data: bytes) -> list[bytes]:
    """Names of a PNG's chunks, each with its checksum verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    names, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    return names


def ink_at_the_edges(data: bytes) -> int:
    """Pixels that are not paper in the outermost 4 rows and columns: text that was clipped."""
    image = pixels(data)
    frame = np.ones(image.shape[:2], dtype=bool)
    frame[4:-4, 4:-4] = False
    return int((image[frame] != np.array((250, 250, 248))).any(axis=1).sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_panels_show_the_pixels_and_the_sense_of_each_change(channels: int) -> None:
    view = make_witness(13, channels=channels)
    height, width, _ = view.shape
    data = witness_png(view)
    for number, flat in enumerate((view.original, view.perturbed)):
        levels = np.rint(flat.reshape(view.shape) * 255).astype(np.uint8)
        assert np.array_equal(
            panel(data, number, height, width), np.broadcast_to(levels, (height, width, 3))
        )
    change = (view.perturbed - view.original).reshape(view.shape)
    strongest = np.where(
        change.max(axis=2) >= -change.min(axis=2), change.max(axis=2), change.min(axis=2)
    )
    red, _, blue = np.moveaxis(panel(data, 2, height, width).astype(int), 2, 0)
    assert np.array_equal(np.sign(red - blue), np.sign(strongest))
    assert {1, -1, 0} <= set(np.sign(strongest).astype(int).flat)


def test_bytes_are_a_function_of_the_witness_and_hold_no_metadata() -> None:
    data = witness_png(make_witness(3))
    assert witness_png(make_witness(3)) == data
    assert witness_png(replace(make_witness(3), quantised_label=9)) != data
    names = chunks(data)
    assert (names[0], names[-1], set(names)) == (b"IHDR", b"IEND", {b"IHDR", b"IDAT", b"IEND"})


@pytest.mark.parametrize(
    "change",
    [
        {},
        {
            "index": 10**8,
            "network": "quantised",
            "label": 10**6,
            "reference_label": 10**6 + 1,
            "quantised_label": 10**6,
        },
        {
            "reference_margin": float("-inf"),
            "quantised_margin": -1.23456789e-300,
            "moved": tuple(range(10**4)),
        },
        {"label": 10**40, "reference_label": 10**40, "quantised_label": 10**40 + 1},
        {"cost": "no number, and longer than a panel is wide, so that it must be cut"},
        {"cost": "1/0", "moved": ()},
    ],
)
def test_no_text_is_clipped_or_runs_into_its_neighbour(
    change: dict[str, Any], tmp_path: Path
) -> None:
    view = replace(make_witness(4), **change)
    data = witness_png(view)
    assert ink_at_the_edges(data) == 0
    image = pixels(data)
    for gap in (
        MARGIN + PANEL + 2,
        2 * (MARGIN + PANEL) + 2,
    ):  # between the columns, below the title
        assert (image[TOP:, gap : gap + MARGIN - 4] == image[-1, -1]).all()
    gallery([view] * 3, tmp_path / "sheet.png")
    assert ink_at_the_edges((tmp_path / "sheet.png").read_bytes()) == 0


def test_a_long_caption_is_shrunk_before_it_is_cut() -> None:
    view = replace(make_witness(4), label=10**8, quantised_label=10**8 + 1, quantised_margin=-0.125)
    assert witness_png(view) != witness_png(replace(view, quantised_margin=-0.126))


def test_a_witness_without_a_change_says_so() -> None:
    view = make_witness(4)
    data = witness_png(replace(view, perturbed=view.original, moved=(), cost="0"))
    assert (panel(data, 2, 28, 28) == 247).all()
    assert data != witness_png(replace(view, perturbed=view.original, moved=(1,), cost="0"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (10, 40, 1), (300, 500, 3), (8, 8, 4), (2, 700, 1)])
def test_any_shape_fits(shape: tuple[int, int, int]) -> None:
    flat = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32)
    view: WitnessView = replace(
        make_witness(1), original=flat, perturbed=flat[::-1].copy(), shape=shape
    )
    data = witness_png(view)
    assert ink_at_the_edges(data) == 0
    assert pixels(data).shape[1] == 3 * PANEL + 4 * MARGIN


def test_captions_say_who_is_wrong() -> None:
    view = make_witness(7, "quantised")
    assert picture._answers(view) == [
        "reference: 7, right, margin 0.5",
        "quantised: 8, WRONG, margin -0.125",
    ]
    assert picture._change(replace(view, cost="4488/255", moved=(3,))) == [
        "L1 cost 17.6, 1 feature moved"
    ]


def test_a_contact_sheet_names_what_it_shows() -> None:
    views = [make_witness(index) for index in range(3)]
    assert picture._sheet_title(views, views, "") == "3 witnesses"
    assert picture._sheet_title(views[:1], views[:1], "ladder") == "1 witness; ladder"
    assert picture._sheet_title(views, views[:2], "x") == "The first 2 of 3 witnesses; x"


def test_a_contact_sheet_grows_with_its_witnesses_up_to_the_limit(tmp_path: Path) -> None:
    views = [make_witness(index, channels=1 + 2 * (index % 2)) for index in range(9)]
    sizes = {}
    for count, limit in ((1, 24), (2, 24), (9, 24), (9, 4)):
        gallery(views[:count], tmp_path / "sheet.png", limit)
        sizes[count, limit] = pixels((tmp_path / "sheet.png").read_bytes()).shape[:2]
    assert sizes[1, 24][0] == sizes[2, 24][0] < sizes[9, 4][0] < sizes[9, 24][0]
    assert sizes[1, 24][1] < sizes[2, 24][1] == sizes[9, 24][1]
    with pytest.raises(UsageError, match="at least one witness"):
        gallery([], tmp_path / "none.png")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        gallery(views, tmp_path / "file" / "sheet.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "sheet.png"]


def test_a_contact_sheet_has_heads_and_a_key() -> None:
    """Each word of a head is drawn: the sheet is another one where it is another word."""
    view = make_witness(4)
    sheet = picture.gallery_png([view])
    for change in (
        {"index": 5},
        {"label": 3},
        {"network": "quantised"},
        {"reference_label": 8},
        {"quantised_label": 8},
        {"cost": "1/2"},
    ):
        assert picture.gallery_png([replace(view, **change)]) != sheet, change
    drawn = pixels(sheet)
    above = drawn[44 + 24 : 44 + 40, MARGIN : MARGIN + 112]  # the name of the first panel
    assert (above != drawn[0, 0]).any(axis=2).sum() > 20
    key = drawn[-30:].reshape(-1, 3).astype(int)
    for colour in ((33, 102, 172), (200, 84, 10)):
        assert (np.abs(key - colour).sum(axis=1) < 3).any(), colour
    assert picture.gallery_png([view] * 3, 2) != picture.gallery_png([view] * 2)
