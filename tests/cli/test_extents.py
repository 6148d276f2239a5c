"""What is said of a region before and after a run; regions by name; certificates that nobody can
write."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.cli_case import Case, relrob_command


def files(case: Case) -> list[str]:
    return ["verify", str(case.reference), str(case.quantised), "--dataset", str(case.data)]


def modelled(case: Case) -> list[str]:
    """The same, with a simulated quantisation: both networks have bounds."""
    return [word if word != str(case.quantised) else str(case.simulated) for word in files(case)]


def test_regions_of_one_point_are_counted(case: Case, tmp_path: Path) -> None:
    """A lattice of radius 1/255 holds a second point only where a pixel is one level from black or
    from white, or the step is a level."""
    line = [*modelled(case), "--region", "lattice", "--radius", "1lv", "--step", "1/8"]
    told = relrob_command([*line, "--images", "all", "--out", "run"], tmp_path)
    with np.load(case.data) as data:
        images = data["images"]
    vacuous = sum(not np.isin(image, (1, 254)).any() for image in images)
    assert 0 < vacuous < len(images)
    before = [line for line in told.stderr.splitlines() if "region" in line]
    levels = [
        int(min(v for v in (*image[image > 0], *(255 - image[image < 255])))) for image in images
    ]
    ends = f"{Fraction(min(levels), 255)} to {Fraction(max(levels), 255)}"
    assert before[0] == f"region: lattice of radius 1/255, the cheapest move costs {ends}"
    assert f"around {vacuous} of 40 images: their region is the image alone" in before[1]
    assert f"Regions of one point: {vacuous} images" in " ".join(told.stdout.split())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["vacuous"], "whole" in summary) == (vacuous, False)


def test_a_ball_of_everything_is_named(case: Case, tmp_path: Path) -> None:
    line = [*modelled(case), "--region", "linf", "--radius", "8", "--time-limit", "1"]
    told = relrob_command([*line, "--images", "0:2", "--out", "run"], tmp_path)
    assert "the region is all of [0,1]^n around 2 of 2 images" in told.stderr
    assert "those of 2 images" in " ".join(told.stdout.split())
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["whole"] == 2


def test_the_words_and_the_numbers_of_a_ladder(case: Case, tmp_path: Path) -> None:
    done = relrob_command([*case.arguments("--out", "run"), "--images", "0:3"], tmp_path)
    words = "region: ladder of radius 3, 37 points an image, the cheapest move costs 3/2"
    assert words in done.stderr.splitlines()
    assert "37 points an image" in " ".join(done.stdout.split())


def test_a_preset_is_the_run_of_its_numbers(case: Case, tmp_path: Path) -> None:
    line = [*modelled(case), "--images", "0:2", "--time-limit", "1", "--json"]
    named = relrob_command([*line, "--region", "linf-4", "--out", "run"], tmp_path)
    typed = relrob_command(
        [*line, "--region", "linf", "--radius", "4/255", "--out", "run"], tmp_path
    )
    one, two = json.loads(named.stdout), json.loads(typed.stdout)
    assert one["run"] == two["run"]
    assert one["region"] == {"kind": "linf", "radius": 4 / 255, "exact": {"radius": "4/255"}}


def test_a_search_says_that_it_proves_nothing(case: Case, tmp_path: Path) -> None:
    line = [*files(case), "--region", "search", "--radius", "3", "--step", "1/2", "--axes", "3"]
    done = relrob_command([*line, "--images", "0:2", "--evaluations", "20"], tmp_path)
    first = done.stdout.splitlines()[0]
    assert first.startswith("search") and "nothing is proved" in first


def test_certificates_that_no_network_can_have(case: Case, tmp_path: Path) -> None:
    """Two black boxes; where one network has bounds, the points of the other are run beside it."""
    line = [
        word if word != str(case.reference) else str(case.quantised)
        for word in case.arguments("--certificates", "--out", "run")
    ]
    done = relrob_command(line, tmp_path, check=False)
    assert done.returncode == 2
    assert "--certificates has no effect: no bounds for" in done.stderr
    assert not (tmp_path / "run").exists()
    mixed = [*case.arguments("--certificates", "--out", "mixed"), "--images", "0:2"]
    relrob_command(mixed, tmp_path)
    assert list((tmp_path / "mixed" / "certificates").iterdir())
