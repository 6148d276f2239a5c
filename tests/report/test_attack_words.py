"""Attacks in words: the cells are the counts, a narrow terminal shows every number, and images.csv
has columns at its end."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from relrob.domain.verdict import Status
from relrob.report.run import attack_words, wording
from relrob.report.run.csv_file import COLUMNS, images_csv
from relrob.report.run.table import image_table, table_markdown
from relrob.report.run.write import write_run
from relrob.store.attack_summary import Attacks, GradientModel, Inside, OnNetwork
from relrob.store.run_directory import Store
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import make_record
from tests.report.test_text import plain, printed
from tests.store.stores import IMAGES
from tests.store.test_attack_rows import FGSM, PGD, filled, found_at, header

RECORDS = [make_record(index) for index in range(IMAGES)]
FOUND = {index: found_at(index) for index in range(IMAGES)}
SUMMARY = summarise(RECORDS, header(), 2.0, FOUND)


def attacks() -> Attacks:
    assert SUMMARY.attacks is not None
    return SUMMARY.attacks


def changed(on: OnNetwork, **quantised: Any) -> Summary:
    """The summary, with another first attack on the quantised network."""
    first, *others = attacks().each
    first = replace(first, quantised=replace(on, **quantised))
    return replace(SUMMARY, attacks=replace(attacks(), each=(first, *others)))


def test_a_row_has_the_counts() -> None:
    rows = attack_words.attack_rows(attacks())
    assert [(row.depth, row.cells[0]) for row in rows] == [
        (0, "fgsm"), (1, "reference"), (1, "quantised"),
        (0, "pgd"), (1, "reference"), (1, "quantised"),
    ]  # fmt: skip
    on = attacks().each[0].reference
    cells = dict(zip(attack_words.HEAD, rows[1].cells, strict=True))
    for status in Status:
        each = on.inside[status]
        assert cells[status] == (f"{each.found}/{each.images}" if each.images else "-")
    assert cells["anywhere"] == f"{on.found}/{on.attacked}"
    assert cells["transfer"] == f"{on.transfers}/{on.found}"
    assert cells["nearest"] == f"{on.nearest:.3g} linf"
    assert rows[0].cells[-1] == f"{attacks().each[0].seconds:.1f} s"


def test_what_was_not_tried_is_a_dash() -> None:
    nothing = OnNetwork(0, 0, None, 0, None, {s.value: Inside() for s in Status}, 0.0, 0.0, 0.0)
    assert nothing.evasion is None
    rows = attack_words.attack_rows(changed(nothing).attacks)  # type: ignore[arg-type]
    assert rows[2].cells == ("quantised", *["-"] * 6, "0.0 s")


def test_eighty_columns_show_every_cell() -> None:
    on = attacks().each[0].quantised
    wide = {s.value: Inside(999, 1000) for s in Status}
    for summary in (SUMMARY, changed(on, inside=wide, found=999, attacked=1000, seconds=999.0)):
        shown = plain(printed(summary))
        for row in attack_words.attack_rows(summary.attacks):  # type: ignore[arg-type]
            assert " ".join(cell for cell in row.cells if cell) in shown


def test_a_page_has_the_table_and_every_image() -> None:
    page = table_markdown(SUMMARY) + image_table(SUMMARY, RECORDS, FOUND)
    assert "| attack | ROBUST | NOT\\_ROBUST | UNKNOWN | anywhere |" in page
    assert "\n## Verdicts and attacks, image by image\n" in page
    told = set[str]()
    for index in (1, 2, 3, 4):
        (line,) = [each for each in page.splitlines() if each.startswith(f"| {index} | ")]
        first = FOUND[index][0]
        assert (first.attack, first.network) == (FGSM, "reference")
        near = "-" if first.distance is None else f"{first.distance:.3g}"
        near += " inside" if first.inside else ""
        assert line.split(" | ")[3] == near
        told.add(near[-1])
    assert len(told) > 1
    assert [line for line in page.splitlines() if line.startswith("| 6 |  |  |  |")]
    many = [make_record(7 * index) for index in range(250)]
    assert "images.csv has the other 50 images." in image_table(SUMMARY, many, {})
    silent = replace(SUMMARY, attacks=None)
    assert image_table(silent, RECORDS, FOUND) == ""
    assert "| attack |" not in table_markdown(silent)


def test_columns_stand_at_the_end_of_images_csv() -> None:
    text = images_csv(RECORDS, {}, attacks(), FOUND)
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    more = [
        "fgsm_reference_inside", "fgsm_reference_linf", "fgsm_quantised_inside",
        "fgsm_quantised_linf", "pgd_reference_inside", "pgd_reference_l2",
        "pgd_quantised_inside", "pgd_quantised_l2",
    ]  # fmt: skip
    assert list(lines[0]) == [*COLUMNS, *more]
    for line in lines:
        rows = {(e.attack, e.network): e for e in FOUND[int(line["index"])]}
        for attack, name, norm in ((FGSM, "fgsm", "linf"), (PGD, "pgd", "l2")):
            for network in ("reference", "quantised"):
                cells = line[f"{name}_{network}_inside"], line[f"{name}_{network}_{norm}"]
                row = rows.get((attack, network))
                if row is None:
                    assert cells == ("", "")
                else:
                    near = "" if row.distance is None else f"{row.distance:.9g}"
                    assert cells == ("yes" if row.inside else "no", near)
    assert images_csv(RECORDS, {}).split("\n")[0] == ",".join(COLUMNS)


def test_notes_say_what_stands_out() -> None:
    on = attacks().each[0].quantised
    inside = {**on.inside, "UNKNOWN": Inside(2, 3)}
    told = " ".join(wording.notes(changed(on, inside=inside, on_model=9, found=4)))
    assert "fgsm found a witness inside the region on 2 images that are UNKNOWN on" in told
    masked = (
        "fgsm fools the model of the quantised network on 9 images, and the network itself on 4."
    )
    assert masked in told
    assert "Gradients of the quantised network: weights of the reference network, of one" in told
    assert "Gradients of the reference network" not in told
    assert "no signal (" in told
    own = GradientModel("weights", "quantised", True, 1.0)
    plain_one = replace(attacks(), gradients=(attacks().gradients[0], own))
    assert "Gradients of" not in " ".join(wording.notes(replace(SUMMARY, attacks=plain_one)))
    assert "Attacks:" not in " ".join(wording.notes(replace(SUMMARY, attacks=None)))


def test_a_run_directory_is_written_from_the_store_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store.read(tmp_path) as store:
        summary = summarise(store.records(), header(), 2.0, store.attacks())
        seconds = store.seconds()
    write_run(tmp_path, summary)
    written = (tmp_path / "images.csv").read_text()
    assert written == images_csv(RECORDS, seconds, summary.attacks, FOUND)
    assert "## Verdicts and attacks" in (tmp_path / "table.md").read_text()
