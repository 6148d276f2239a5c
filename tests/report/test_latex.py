"""LaTeX tables of a study: laid out as the paper's, and LaTeX reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from relrob.report.study.latex import latex
from tests.report.made_rows import rate, row_of

HALF = Fraction(1, 2)
ROWS = [
    row_of(step=Fraction(1), robustness=rate(98, 100, 99.69)),
    row_of(step=HALF),
    row_of(step=HALF, radius=Fraction(10), robustness=rate(0, 0)),
    row_of(dataset="own_50%", described="ladder, F = all", robustness=rate(8, 20, None, 6)),
]


def lines(text: str, label: str) -> list[str]:
    """The lines between the rules of a table, without spaces."""
    table = text[text.index(f"\\label{{tab:{label}}}") :]
    body = table[table.index("\\toprule") : table.index("\\bottomrule")]
    return [line.replace(" ", "") for line in body.splitlines() if "&" in line]


def test_lines_are_in_the_order_of_tables_two_and_three() -> None:
    text = latex(ROWS)
    second = lines(text, "relative-robustness-search-builtin")
    assert second[0].startswith("$D$&$r$&$|\\delta|$&$|R|$&$|R_Q^{FP}|$")
    assert second[1].startswith("MNIST&10&$\\pm\\frac{1}{2}$&0&0&--&--")
    assert second[2].startswith("&20&$\\pm1$&100&98&98.00&93.0--99.4&99.69*")
    assert second[3].startswith("&&$\\pm\\frac{1}{2}$&5,000&5,000&100.00")
    third = lines(text, "adversarial-transfer-search-builtin")
    assert third[1].startswith("MNIST&$\\pm\\frac{1}{2}$&10&1,000&900")
    assert third[2].startswith("&&20&") and third[3].startswith("&$\\pm1$&20&")
    undecided = lines(text, "relative-robustness-ladder-F-all-builtin")
    assert undecided[1].startswith("own\\_50\\%&20&$\\pm\\frac{1}{4}$&20&8--14&40.00--70.00&")


def test_captions_say_what_stands_there() -> None:
    text = latex(ROWS)
    captions = re.findall(r"\\caption\{(.*)\}", text)
    assert len(captions) == 3 * 2 == len(set(re.findall(r"\\label\{(.*)\}", text)))
    assert "Table II." in captions[0] and "* lies outside the interval" in captions[0]
    assert "undecided" in captions[1] and "F = all" in captions[1]
    assert "undecided" not in captions[0]


def test_two_grids_of_one_region_and_radius_are_two_tables() -> None:
    text = latex([row_of(), row_of(grid="again")])
    assert text.count("\\begin{table}") == 3 * 2 and "search, builtin, again" in text


def test_every_line_has_as_many_cells_as_the_head() -> None:
    text = latex(ROWS)
    for table in text.split("\\begin{table}")[1:]:
        counts = {line.count("&") for line in table.splitlines() if line.endswith(r"\\")}
        assert len(counts) == 1
    assert text.count("{") == text.count("}")


def test_latex_reads_the_tables(tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex on this machine (apt-get install texlive-latex-recommended)")
    (tmp_path / "tables.tex").write_text(latex(ROWS))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage{booktabs}\n"
        "\\setlength{\\columnwidth}{252pt}\\setlength{\\hsize}{252pt}\n"
        "\\begin{document}\\input{tables}\\end{document}\n"
    )
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
