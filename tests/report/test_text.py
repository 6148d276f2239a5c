"""images.csv to the letter, table.md and the terminal: what a reader must find there, and nothing
that acts as markup."""

from __future__ import annotations

import csv
import doctest
import io
import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from relrob.domain.record import Record, Set
from relrob.report.run import rates, table, terminal, wording
from relrob.report.run.csv_file import images_csv
from relrob.report.run.rates import headline, undecided
from relrob.report.run.table import table_markdown
from relrob.store.summarise import summarise
from relrob.store.summary import Summary
from tests.make_records import changed, make_header, make_record

HEADER = (
    "index,label,reference_label,quantised_label,set,reference_verdict,quantised_verdict,points,"
    "reference_effective,"
    "quantised_effective,transferred,reference_margin,quantised_margin,decided_by,seconds,reason,"
    "ties,reference_proved,quantised_proved"
)


def summary_of(images: int, **header: Any) -> Summary:
    """The summary of the first `images` made-up records."""
    return summarise(
        [make_record(index) for index in range(images)], make_header(images) | header, 12.3
    )


def printed(summary: Summary, width: int = 80) -> str:
    """What a terminal of that width shows, colours and all."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
    )
    terminal.print_summary(summary, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> str:
    """Without colours, and with runs of blanks as one."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def test_csv_is_the_contract_to_the_letter() -> None:
    misclassified = make_record(6)
    full = changed(
        make_record(4),
        decided_by="enumerate,bounds",
        reference_margin=1 / 3,
        quantised_margin=-1e-12,
        ties="quantised, clean reference",
        reference_proved=2**70,
        quantised_proved=0,
    )
    text = images_csv([misclassified, full], {4: 0.1 + 0.2})
    assert text.split("\n") == [
        HEADER,
        f"4,4,4,4,R^mixed,NOT_ROBUST,NOT_ROBUST,{2**78 + 4},40,42,30,0.333333333,-1e-12,"
        f'"enumerate,bounds",0.3,,"quantised, clean reference",{2**70},0',
        "6,6,7,6,L_ic,,,,,,,,,,,,,,",
        "",
    ]


def test_csv_survives_any_reason() -> None:
    reason = 'a "quoted", long\nreason'
    records = [changed(make_record(index), reason=reason) for index in (5, 12, 3)]
    rows = list(csv.DictReader(io.StringIO(images_csv(records, {3: 1.0}), newline="")))
    assert [row["index"] for row in rows] == ["3", "5", "12"]
    assert {row["reason"] for row in rows} == {reason}
    assert [row["seconds"] for row in rows] == ["1", "", ""]
    assert images_csv([], {}) == HEADER + "\n"


@pytest.mark.parametrize("images", [0, 1, 28, 350])
def test_tables_hold_every_number(images: int) -> None:
    summary = summary_of(images)
    for text in (
        table_markdown(summary).replace("\\", ""),
        plain(printed(summary)),
        plain(printed(summary, 200)),
    ):
        for name, count in summary.sets.json().items():
            assert re.search(rf"(?<!\S){re.escape(name)} (\| )?{count}(?!\S)", text), name
        assert ("not counted (R is empty)" in text) == (summary.sets.robust == 0)
        assert ("Undecided images" in text) == (summary.sets.unknown > 0)
        for fact in (
            "xnnpack",
            "dynamic",
            "radius 20.0",
            "step 0.25",
            "20 features of 10 axes",
            "float32",
            "98.27%",
            "98.24%",
        ):
            assert fact in text
        if images == 28:
            for cell in (
                "50.0%, 4 of 8 (95%: 21.5 to 78.5%)",
                "25.0 to 50.0%, 4 to 8 of 16 (95%: 10.2 to 72.0%)",
                "6.2 to 95.6%: the points of some images are not counted",
                "1,000 to 302,231,",
            ):
                assert cell in text
            assert "Clean regressions: 2 " in text
            assert re.search("decided by:? enumerate \\(20\\)", text)


def test_markdown_tables_are_tables_whatever_the_names() -> None:
    hostile = "a|b\n# <script>alert(1)</script> `x` [y](z)\x1b[2J"
    page = table_markdown(
        summary_of(
            28, reference={"path": hostile, "sha256": "", "accuracy": None}, arithmetic=hostile
        )
    )
    rows = [line for line in page.split("\n") if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert widths == [7] * 12 + [3] * 6
    assert [line for line in page.split("\n") if line.startswith("#")] == [
        "# Robustness before and after quantisation"
    ]
    assert re.search(r"(?<!\\)[<>`\[]", page) is None
    assert "\x1b" not in page
    assert "accuracy not measured" in page


def test_the_terminal_shows_names_as_they_are_and_keeps_to_80_columns() -> None:
    text = printed(
        summary_of(350, reference={"path": "[red]w[/red]\x1b[2J.h5", "sha256": "", "accuracy": 0.5})
    )
    assert "[red]w[/red]?[2J.h5" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert (
        sum(
            "R_Q^FP" in line and line.rstrip().endswith("robust before and after") for line in lines
        )
        == 1
    )  # not wrapped
    assert "\x1b[2J" not in text
    same = [
        changed(make_record(number), index=index)
        for index, number in enumerate([0] * 990 + [3] * 10)
    ]
    wide = printed(summarise(same, make_header(1000), 0.0)).split("\n")
    for row in wording.set_rows(
        summarise(same, make_header(1000), 0.0)
    ):  # 100.0% is the widest share
        assert (
            sum(
                plain(line).startswith(f"{row.name} {row.count} ")
                and line.rstrip().endswith(row.meaning)
                for line in wide
            )
            == 1
        )


def test_what_the_verdict_means_depends_on_the_region() -> None:
    search = {"kind": "search", "radius": 20.0, "step": 0.25, "seed": 0}
    exact = make_header(0)["region"] | {"features": "all", "exact": {"radius": "20", "step": "1/4"}}
    assert "every point of the region" in wording.meaning(summary_of(7))
    assert "sampled" in wording.meaning(summary_of(7, region=search))
    assert "reals" not in wording.meaning(summary_of(7))
    assert "Over the reals nothing is rounded" in wording.meaning(summary_of(7, arithmetic="real"))
    assert (
        "region",
        "search, radius 20.0, step 0.25, seed 0, 1,000 points an image",
    ) in wording.facts(summary_of(1, region=search))
    assert (
        "region",
        "ladder, radius 20, step 1/4, all features of 10 axes, seed 0",
    ) in wording.facts(summary_of(0, region=exact))
    mixed = make_header(7)["quantised"] | {"arithmetic": "integer"}
    assert ("arithmetic", "float32 (reference), integer (quantised)") in wording.facts(
        summary_of(7, quantised=mixed)
    )


def test_rare_events_are_told() -> None:
    records: list[Record] = [changed(make_record(0), disagreements=2, thin=3)]
    told = " ".join(wording.notes(summarise(records, make_header(1), 0.0)))
    assert "Refuted witnesses: 2" in told
    assert "Close calls: 3" in told
    assert "Refuted" not in " ".join(wording.notes(summary_of(7)))


def test_of_balls_the_images_of_undecided_ones_count_as_run() -> None:
    ball = {"kind": "linf", "radius": 0.1, "seed": 0}
    records = [make_record(index) for index in range(8)]
    assert any(record.evaluated for record in records if record.set is Set.UNKNOWN)
    told = wording.notes(summarise(records, make_header(8) | {"region": ball}, 0.0))
    assert f"Images run: {sum(record.evaluated for record in records):,}. 0.0 s of work." in told


def test_what_a_file_gets_has_no_colours_and_no_blanks_at_line_ends() -> None:
    text = terminal.rendered(summary_of(28))
    assert "R_Q^FP" in text and "\x1b" not in text
    assert text == "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("module", [rates, table, wording])
def test_the_examples_in_docstrings_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_black_boxes_conversions_and_spot_checks_are_told() -> None:
    network = make_header(3)["quantised"] | {
        "black_box": "tensor 5 is stored sparse\x1b[2J",
        "conversion": "as ONNX",
    }
    records = [changed(make_record(index), spot_checks=602 * index) for index in range(3)]
    summary = summarise(records, make_header(3) | {"quantised": network}, 1.0)
    assert summary.spot_checks == 1806
    assert summary.header.quantised.black_box.startswith("tensor 5")
    for text in (plain(printed(summary)), table_markdown(summary).replace("\\", "")):
        assert "run as a black box: tensor 5 is stored sparse?[2J" in text
        assert "runs as ONNX" in text
        assert "1,806 spot checks, none against" in text
        assert "\x1b[2J" not in text
    assert "- quantised: run as a black box: tensor 5 is stored sparse" in table_markdown(summary)
    silent = table_markdown(summary_of(3))
    assert "black box" not in silent and "spot checks" not in silent


def told(*verdicts: tuple[str, str, str], **changes: Any) -> Summary:
    """The summary of images with these (reference, quantised, set), proved unless changed."""
    given: dict[str, Any] = {
        **{
            "points": 9,
            "reference_proved": 9,
            "quantised_proved": 9,
            "decided_by": "branch,branch",
        },
        **changes,
    }
    records = [
        changed(Record(20 + i, 1, 1, 1, Set(which), one, two), **given)
        for i, (one, two, which) in enumerate(verdicts)
    ]
    return summarise(records, make_header(len(records)), 0.0)


KEPT = ("ROBUST", "ROBUST", "R_Q^FP")
LOST = ("ROBUST", "NOT_ROBUST", "R^FP")
OPEN = ("ROBUST", "UNKNOWN", "unknown")
DARK = ("UNKNOWN", "UNKNOWN", "unknown")


def test_the_headline_keeps_proofs_runs_and_what_is_undecided_apart() -> None:
    assert headline(told(*[KEPT] * 3, LOST, OPEN, OPEN, DARK)) == (
        "Of 6 images where the reference is robust, the quantised network is proved robust on 3, "
        "fooled on 1 (image 23), 2 undecided; the reference is undecided on 1 more."
    )
    run = headline(told(KEPT, KEPT, quantised_proved=0))
    assert "the quantised network is robust on 2, every point run." in run and "proved" not in run
    both = headline(told(KEPT, KEPT, reference_proved=0, quantised_proved=0))
    assert "robust (every point run), the" in both and "proved" not in both
    search = headline(told(KEPT, decided_by="search,search"))
    assert "which proves nothing), the quantised" in search and "proved" not in search
    assert headline(told(DARK)) == (
        "On no image is the reference known to be robust; it is undecided on 1."
    )
    assert headline(told()) == "On no image is the reference robust."
    mixed = summarise(
        [
            changed(Record(i, 1, 1, 1, Set.RQFP, "ROBUST", "ROBUST", 9), quantised_proved=i % 2)
            for i in range(3)
        ],
        make_header(3),
        0.0,
    )
    assert "proved robust on 1, robust on 2, every point run" in headline(mixed)


def test_no_rate_is_claimed_of_what_is_undecided() -> None:
    """Four undecided images of four; eleven kept and eight undecided of nineteen."""
    dark = told(*[DARK] * 4)
    rows = {row.name: row for row in wording.set_rows(dark)}
    assert (rows["R"].share, rows["R"].interval) == ("0.0 to 100.0%", "0.0 to 100.0%")
    assert dark.json()["relative_robustness"] is None
    page = table_markdown(told(*[KEPT] * 11, *[OPEN] * 8))
    assert "57.9 to 100.0%, 11 to 19 of 19 (95%: 36.3 to 100.0%)" in page
    assert "| R\\_Q^FP | 11 | R | 57.9 to 100.0% | 36.3 to 100.0% |" in page
    assert "| R^FP | 0 | R | 0.0 to 42.1% | 0.0 to 63.7% |" in page


def test_undecided_images_are_told_by_their_reasons() -> None:
    """The most frequent first, three of them."""
    reasons = (("quantised: a", 1), ("quantised: b", 4), ("quantised: c", 2), ("reference: d", 3))
    summary = replace(told(KEPT), reasons=reasons)
    assert undecided(summary) == [
        "Undecided on 4 images, quantised: b; on 3 images, reference: d; on 2 images, "
        "quantised: c; 1 more."
    ]
    assert undecided(replace(summary, reasons=reasons[:1])) == [
        "Undecided on 1 image, quantised: a."
    ]
    both = (("reference: a (b); quantised: a (b)", 7),)
    assert undecided(replace(summary, reasons=both)) == [
        "Undecided on 7 images, both networks: a (b)."
    ]
    assert undecided(told(KEPT)) == []


def test_ties_are_told() -> None:
    summary = told(LOST, ties="quantised, clean reference")
    text = plain(printed(summary, 300))
    assert "Ties: on 1 image (image 20) the quantised network is fooled by a tie alone" in text
    assert "1 on the reference, 0 on the quantised network" in text
    found = summary.json()
    assert (found["ties"], found["tie_images"]) == (1, [20])
    assert found["other_ties"] == {"reference": 0, "clean_reference": 1, "clean_quantised": 0}
    assert "Ties" not in printed(told(LOST)) and told(LOST).json()["ties"] == 0
    assert "Ties of the reference: on 1 image" in printed(told(LOST, ties="reference"))


def test_points_proved_for_one_network_count_as_such() -> None:
    text = plain(printed(told(KEPT, evaluated=9, quantised_proved=0), 300))
    assert "0 proved for both networks without running either (9 without running the" in text
