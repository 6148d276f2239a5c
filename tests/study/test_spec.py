"""Study files: cells of grids, mistakes named, the founding study and its published numbers."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import pytest

from relrob.api.study import list_studies
from relrob.errors import StoreError, UsageError
from relrob.report.study.published import published
from relrob.study.spec import builtin, find_spec, read_spec
from tests.study.grids import GRID
from tests.support import shared_data


def test_a_list_is_a_cell_a_value_in_every_combination() -> None:
    text = '[defaults]\nimages = "0:3"\n' + GRID.replace('"1"', "[1, 0.5]").replace(
        '"1/2"', '["1", "1/4"]'
    )
    text += GRID.replace('"a"', '"b"')
    spec = read_spec("mine", text, {}, {})
    found = [(cell.grid, cell.options["radius"], cell.options["step"]) for cell in spec.cells]
    assert found == [
        ("a", "1", "1"),
        ("a", "1", "1/4"),
        ("a", "0.5", "1"),
        ("a", "0.5", "1/4"),
        ("b", "1", "1/2"),
    ]
    assert {cell.request().images for cell in spec.cells} == {"0:3"}
    changed = read_spec("mine", text, {"images": "7"}, {"mnist": "x.h5"})
    assert {(cell.request().images, cell.request().reference) for cell in changed.cells} == {
        ("7", "x.h5")
    }
    assert spec.sha256 == changed.sha256


def test_references_are_of_data_sets() -> None:
    text = GRID.replace("[[grid]]", '[[grid]]\ndataset = ["mnist", "cifar10"]')
    spec = read_spec("mine", text, {}, {"cifar10": "c.h5"})
    assert [cell.options.get("reference") for cell in spec.cells] == [None, "c.h5"]
    with pytest.raises(
        UsageError, match="a reference for the data set 'cifar'; accepted: mnist, cifar10"
    ):
        read_spec("mine", text, {}, {"cifar": "c.h5"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "study mine is no TOML: Invalid value"),
        ('titel = "x"\n' + GRID, "option 'titel'"),
        ('title = "x"', "without a grid"),
        ("grid = 3", "without a grid"),
        ("defaults = 3\n" + GRID, "defaults 3"),
        ("[defaults]\nradus = 3\n" + GRID, "defaults: option 'radus'"),
        (GRID + "stepp = 1", "mine, a: option 'stepp'"),
        (GRID.replace('radius = "1"\n', ""), "a: no radius"),
        (GRID + GRID, "two grids with the name a; accepted: a name for each"),
        (GRID + "images = []", "images = \\[\\]"),
        (GRID + "axes = true", "mine, a: axes True"),
        (GRID + 'runtime = "gpu"', "mine, a: runtime 'gpu'"),
        (GRID + "time_limit = [1, [2]]", "time_limit \\[2\\]"),
    ],
)
def test_a_study_that_cannot_be_says_where(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_spec("mine", text, {}, {})


def test_studies_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"duncan2020, .*, or a file"):
        find_spec("duncan", {}, {})
    with pytest.raises(UsageError, match=r"none\.toml: no such file"):
        find_spec(str(tmp_path / "none.toml"), {}, {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        find_spec(str(tmp_path / "bytes.toml"), {}, {})
    with pytest.raises(UsageError, match="grid 'x'; accepted: mnist-search, mnist-ladder"):
        find_spec("duncan2020", {}, {}, ("x",))
    assert find_spec("duncan2020", {}, {}, ("mnist-ladder",)).grids == ("mnist-ladder",)


def test_the_founding_study_has_every_cell_of_the_paper() -> None:
    study = next(each for each in list_studies() if each["name"] == "duncan2020")
    assert (study["name"], study["cells"]) == ("duncan2020", 14 * 4 + 16 * 3 + 3)
    spec, there = find_spec("duncan2020", {}, {}), published("duncan2020.csv")
    for dataset, steps in (("mnist", 7), ("cifar10", 8)):
        searched = [cell for cell in spec.cells if cell.grid == f"{dataset}-search"]
        cells = {
            (c.options["dataset"], Fraction(c.options["radius"]), Fraction(c.options["step"]))
            for c in searched
        }
        assert len(cells) == 2 * steps
        assert cells >= {key for key in there if key[0] == dataset}
    assert all(cell.options["quantise"] == "dynamic" for cell in spec.cells)
    assert list(builtin()) == ["duncan2020", "matachana2020", "shrestha2024", "zhao2018"]


def test_published_numbers_are_those_reported() -> None:
    names = {
        "R_count": "robust",
        "R_FP_Q_count": "both_robust",
        "relative_robustness_pct": "relative_robustness",
        "R_NOT_count": "not_robust",
        "R0_count": "both_fooled",
        "adversarial_transfer_pct": "adversarial_transfer",
    }
    reported = shared_data("mnist").parent.parent / "reported"
    if not reported.is_dir():
        pytest.skip("the reported numbers are not on this machine")
    there, seen = published("duncan2020.csv"), 0
    for name in ("duncan_table2.csv", "duncan_table3.csv"):
        for row in csv.DictReader((reported / name).read_text().splitlines()):
            radius, step = (Fraction(part.split("=")[1]) for part in row["params"].split(";"))
            ours = there[row["dataset"].lower().replace("-", ""), radius, step]
            assert getattr(ours, names[row["metric"]]) == float(row["value"])
            seen += 1
    stated = [value for row in there.values() for value in vars(row).values() if value is not None]
    assert len(stated) == seen > 80
    with pytest.raises(StoreError, match=r"published numbers '\.\./x'"):
        published("../x")
