"""`relrob verify --region` as a user types it: balls, lattices, fixed-point files, bad input,
resuming."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.region import Ball, Lattice, Norm
from relrob.networks.fixed.file import parse_fixed, write_fixed
from relrob.networks.fixed.network import from_float
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.regions.ball import BallSet, ball_set
from relrob.store.run_directory import Store
from tests.cli.test_verify import HEADER, KEYS
from tests.cli_case import Case, relrob_command
from tests.support import random_dense

REGIONS: dict[str, tuple[str, Ball | Lattice]] = {
    "l1": ("1/4", Ball(Norm.L1, Fraction(1, 4))),
    "l2": ("0.1", Ball(Norm.L2, Fraction(1, 10))),
    "linf": ("1/200", Ball(Norm.LINF, Fraction(1, 200))),
    "l0": ("1", Ball(Norm.L0, Fraction(1))),
    "lattice": ("1/2", Lattice(Fraction(1, 2), Fraction(1, 8))),
}


@pytest.fixture(scope="session")
def fixed(case: Case) -> Path:
    """The reference of the case in fixed point."""
    network = from_float(
        random_dense(11, (64, 24, 16, 4)),
        bits=10,
        weight_fraction=7,
        bias_fraction=7,
        activation_fraction=5,
    )
    path = case.folder / "fixed.npz"
    write_fixed(network, path)
    return path


def arguments(case: Case, quantised: Path, region: str, *more: str) -> list[str]:
    radius = REGIONS[region][0] if region in REGIONS else "2"
    fixed = [
        "--dataset",
        str(case.data),
        "--region",
        region,
        "--radius",
        radius,
        "--images",
        "10,1,3,4,5,7",
        "--workers",
        "1",
    ]
    step = ["--step", "1/8"] if region in ("lattice", "ladder") else []
    return ["verify", str(case.reference), str(quantised), *fixed, *step, *more]


def region_around(case: Case, region: str, index: int) -> BallSet:
    with np.load(case.data) as data:
        return ball_set(REGIONS[region][1], data["images"][index][:, :, None])


@pytest.mark.parametrize("region", list(REGIONS))
def test_a_region_from_the_command_to_its_files(
    case: Case, fixed: Path, tmp_path: Path, region: str
) -> None:
    more = [] if region == "l2" else ["--certificates"]
    done = relrob_command(arguments(case, fixed, region, "--out", "run", "--json", *more), tmp_path)
    assert done.stderr == ""
    summary: dict[str, Any] = json.loads(done.stdout)
    assert list(summary)[: len(KEYS)] == KEYS
    assert (summary["region"]["kind"], summary["quantised"]["runtime"]) == (region, "fixed")
    assert summary["region"]["exact"]["radius"] == str(REGIONS[region][1].radius)
    assert ("step" in summary["region"]) == (region == "lattice")
    assert "features" not in summary["region"]
    assert summary["region_points"] is None
    assert (summary["arithmetic"], summary["quantised"]["arithmetic"]) == ("float32", "integer")
    sets = summary["sets"]
    assert (
        sets["R_Q^FP"] + sets["R^FP"] + sets["R_Q"] + sets["R^0"] + sets["unknown"] == sets["L_cc"]
    )
    assert sets["R^mixed"] == 0
    assert sets["R"] > 0
    rows = list(
        csv.DictReader((tmp_path / "run" / "images.csv").read_text(encoding="utf-8").splitlines())
    )
    assert ",".join(rows[0]) == HEADER
    assert len(rows) == 6
    assert all(row["points"] == "" for row in rows)
    run = dict.fromkeys(("reference", "quantised"), tmp_path / "run" / "witnesses")
    network = parse_fixed("fixed", fixed.read_bytes())
    for row in rows:
        for role in ("reference", "quantised"):
            path = run[role] / f"{int(row['index']):05d}-{role}.npz"
            assert path.exists() == (row[f"{role}_verdict"] == "NOT_ROBUST")
            if path.exists():
                with np.load(path) as witness:
                    assert region_around(case, region, int(row["index"])).contains(
                        witness["perturbed"].ravel()
                    )
                    assert int(witness[f"{role}_label"]) != int(row["label"])
                    if role == "quantised":
                        assert int(
                            network.outputs(witness["perturbed"].reshape(1, -1)).argmax()
                        ) != int(row["label"])
    certificates = sorted((tmp_path / "run").glob("certificates/*.json"))
    robust = sum(
        row[f"{role}_verdict"] == "ROBUST" for row in rows for role in ("reference", "quantised")
    )
    assert len(certificates) == (0 if region == "l2" else robust)
    if certificates:
        checked = relrob_command(["check", *map(str, certificates), "--json"], tmp_path)
        assert checked.returncode == 0


def test_a_table_for_people_speaks_of_the_ball(case: Case, fixed: Path, tmp_path: Path) -> None:
    done = relrob_command(arguments(case, fixed, "linf", "--out", "run"), tmp_path)
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    for text in (done.stdout, table):
        words = " ".join(text.replace("|", " ").split())
        assert "every float32 image of the L-infinity ball" in words
        assert "radius 1/200" in words
        assert "points an image" not in words
        assert "float32 (reference), integer (quantised)" in words


def test_workers_and_resuming_do_not_change_a_run(case: Case, fixed: Path, tmp_path: Path) -> None:
    """The same store from one worker and from two; again it is read, and for another question
    refused."""
    line = arguments(case, fixed, "linf", "--out", "one")
    relrob_command(line, tmp_path)
    with Store.read(tmp_path / "one") as store:
        whole = store.content_sha256()
        config, records = dict(store.config), store.records()
    assert len(records) == 6
    relrob_command([*arguments(case, fixed, "linf", "--out", "two"), "--workers", "2"], tmp_path)
    with Store.read(tmp_path / "two") as store:
        assert store.content_sha256() == whole
        assert store.config == config
    again = relrob_command(line, tmp_path)
    assert "resuming: 6 of 6" in again.stderr
    refused = relrob_command([*line[:-1], "one", "--radius", "1/50"], tmp_path, check=False)
    assert refused.returncode == 2
    assert "region" in refused.stderr
    assert relrob_command([*line, "--region", "l1"], tmp_path, check=False).returncode == 2


def test_ladders_run_on_fixed_point_files(case: Case, fixed: Path, tmp_path: Path) -> None:
    """Bounds and enumeration give the same sets and counts."""
    told = []
    for solver in ("branch", "enumerate"):
        line = arguments(
            case,
            fixed,
            "ladder",
            "--features",
            "8",
            "--axes",
            "3",
            "--solver",
            solver,
            "--out",
            solver,
            "--json",
        )
        summary = json.loads(relrob_command(line, tmp_path).stdout)
        told.append((summary["sets"], summary["effective"], summary["transfer_points"]))
    assert told[0] == told[1]
    assert told[0][0]["R"] > 0


def test_two_solvers_of_a_ball_do_not_contradict_each_other(
    case: Case, fixed: Path, tmp_path: Path
) -> None:
    verdicts = []
    for solver in ("auto", "bounds"):
        relrob_command(
            arguments(case, fixed, "linf", "--solver", solver, "--out", solver), tmp_path
        )
        rows = csv.DictReader(
            (tmp_path / solver / "images.csv").read_text(encoding="utf-8").splitlines()
        )
        verdicts.append([(row["reference_verdict"], row["quantised_verdict"]) for row in rows])
    for one, two in zip(*verdicts, strict=True):
        assert one[0] == two[0]
        assert two[1] in (one[1], "UNKNOWN")
        assert one[1] != "UNKNOWN"


BAD: list[tuple[str, list[str], str]] = [
    ("radius zero", ["--region", "linf", "--radius", "0"], "radius 0"),
    ("radius below zero", ["--region", "l1", "--radius", "-1/3"], "radius"),
    ("radius no number", ["--region", "l2", "--radius", "small"], "radius 'small'"),
    ("half a pixel", ["--region", "l0", "--radius", "3/2"], "a whole number of pixels"),
    (
        "a lattice without a step",
        ["--region", "lattice", "--radius", "1"],
        "a lattice without a step",
    ),
    ("a ladder without a step", ["--region", "ladder", "--radius", "1"], "a ladder without a step"),
    ("a step above one", ["--region", "lattice", "--radius", "1", "--step", "2"], "step 2"),
    ("an unknown norm", ["--region", "l3", "--radius", "1"], "region 'l3'"),
    (
        "a solver of ladders",
        ["--region", "linf", "--radius", "1", "--solver", "enumerate"],
        "enumerate",
    ),
    (
        "a solver of other networks",
        ["--region", "l2", "--radius", "1", "--solver", "milp"],
        "L1 and L-infinity balls only",
    ),
    (
        "certificates without rules",
        ["--region", "l2", "--radius", "1", "--certificates"],
        "--certificates has no effect with region l2, for which there are no rules",
    ),
    (
        "a grid of nothing",
        ["--region", "lattice", "--radius", "1", "--step", "1/4", "--grid", "7bit"],
        "7bit",
    ),
]


@pytest.mark.parametrize(("name", "line", "words"), BAD, ids=[name for name, _, _ in BAD])
def test_bad_regions_are_one_line(
    case: Case, fixed: Path, tmp_path: Path, name: str, line: list[str], words: str
) -> None:
    given = [
        "verify",
        str(case.reference),
        str(fixed),
        "--dataset",
        str(case.data),
        "--out",
        "run",
        *line,
    ]
    done = relrob_command(given, tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_fixed_point_files_that_do_not_fit_are_one_line(
    case: Case, fixed: Path, tmp_path: Path
) -> None:
    good = fixed.read_bytes()
    (tmp_path / "cut.npz").write_bytes(good[: len(good) // 2])
    (tmp_path / "data.npz").write_bytes(case.data.read_bytes())
    write_fixed(
        from_float(
            random_dense(1, (64, 3)),
            bits=8,
            weight_fraction=6,
            bias_fraction=6,
            activation_fraction=3,
        ),
        tmp_path / "three.npz",
    )
    write_fixed(
        from_float(
            random_dense(1, (63, 4)),
            bits=8,
            weight_fraction=6,
            bias_fraction=6,
            activation_fraction=3,
        ),
        tmp_path / "small.npz",
    )
    for name, words in (
        ("cut", "cut.npz"),
        ("data", "data.npz"),
        ("three", "3 outputs"),
        ("small", "63"),
    ):
        done = relrob_command(
            arguments(case, tmp_path / f"{name}.npz", "linf", "--out", "run"), tmp_path, check=False
        )
        assert (done.returncode, done.stdout) == (2, ""), name
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    wrong = relrob_command(
        arguments(case, fixed, "linf", "--runtime", "xnnpack"), tmp_path, check=False
    )
    assert wrong.returncode == 2
    assert "xnnpack" in wrong.stderr


def test_a_fixed_point_reference_is_taken_too(case: Case, fixed: Path, tmp_path: Path) -> None:
    line = [
        "verify",
        str(fixed),
        str(fixed),
        "--dataset",
        str(case.data),
        "--region",
        "linf",
        "--radius",
        "1/200",
    ]
    done = relrob_command(
        [*line, "--images", "1,3,7", "--workers", "1", "--json", "--out", "run"], tmp_path
    )
    summary = json.loads(done.stdout)
    assert summary["sets"]["R^FP"] == 0, "a network against itself"
    assert summary["reference"]["arithmetic"] == "integer"
    network = load_network(fixed, image_shape=(8, 8, 1), classes=4)
    with np.load(case.data) as data:
        images = data["images"].reshape(40, 64).astype(np.float32) / np.float32(255)
        right = (open_network(network).outputs(images).argmax(axis=1) == data["labels"]).mean()
    assert summary["reference"]["accuracy"] == pytest.approx(float(right), abs=1e-6)
