"""Values of Python, and kept sets of other data, other contracts or strange texts, in
`relrob.attack` and `relrob.transfer`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.attacks.adversarial_set import AdversarialSet
from relrob.attacks.set_file import read_set, write_set
from relrob.domain.network import Layout
from relrob.errors import RelrobError, StoreError
from relrob.networks.onnx.export import to_onnx
from relrob.report.attacks.transfer_text import transfer_text
from tests.cli_case import Case
from tests.support import random_dense


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"images": [0, 1.5]}, "image 1.5; accepted: a whole number"),
        ({"images": [True, False]}, "image True"),
        ({"images": ["1"]}, "image 1; accepted: a whole number"),
        ({"images": []}, "no image"),
        ({"images": [10**30]}, "accepted: 0..39"),
        ({"images": [-1]}, "image -1"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": None}, "seed None"),
        ({"seed": True}, "seed True"),
        ({"sample": 2.5}, "sample of 2.5"),
        ({"filter": None}, "filter None"),
    ],
)
def test_values_of_python_that_are_no_numbers(
    case: Case, options: dict[str, Any], line: str
) -> None:
    given: dict[str, Any] = {"images": "all", **options}
    with pytest.raises(RelrobError, match=re.escape(line)):
        relrob.attack(case.reference, "pgd:steps=2", dataset=case.data, **given)


def test_numbers_of_numpy_are_numbers(case: Case, tmp_path: Path) -> None:
    """The file keeps them, and is read again."""
    images: Any = np.arange(5)
    seeds: Any = (3, np.int64(3))
    for seed in seeds:
        relrob.attack(
            case.reference,
            "pgd:steps=2",
            dataset=case.data,
            images=images,
            seed=seed,
            out=tmp_path / f"{type(seed).__name__}.npz",
        )
    assert (tmp_path / "int64.npz").read_bytes() == (tmp_path / "int.npz").read_bytes()
    keep: Any = 1.5
    with pytest.raises(RelrobError, match=r"keep 1\.5"):
        relrob.transfer(samples=tmp_path / "int.npz", target=case.reference, keep=keep)


def test_a_full_disk_is_told_before_the_attack(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def huge(count: int, width: int) -> int:
        asked.append((count, width))
        return 1 << 60

    def attack(*_: object) -> None:
        raise AssertionError("the attack has begun")

    monkeypatch.setattr("relrob.api.attack.most_bytes", huge)
    monkeypatch.setattr("relrob.api.attack.made_set", attack)
    given: dict[str, Any] = {"dataset": case.data, "out": tmp_path / "adv.npz"}
    for sample in (None, 9):
        with pytest.raises(StoreError, match=r"cannot write .*adv\.npz: (File too large|No space)"):
            relrob.attack(case.reference, "fgsm", images="0:12", sample=sample, **given)
    assert asked == [(12, 64), (9, 64)] and not list(tmp_path.iterdir())


def kept_set(case: Case, path: Path, **options: Any) -> AdversarialSet:
    relrob.attack(case.reference, "fgsm", dataset=case.data, images="all", out=path, **options)
    return read_set(path)


def test_a_target_reads_as_the_source_did(
    case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The contract of a set holds for its targets; a network that reads otherwise is not the
    source."""
    path = tmp_path / "adv.npz"
    kept = kept_set(case, path, input_scale=2)
    found = relrob.transfer(samples=path, target=case.reference)
    assert found.networks[0].contract.text() == "--input-scale 2" == kept.origin.contract
    assert found.accuracies == (1.0,) and found.columns == (0,) and not caplog.records
    other = relrob.transfer(samples=path, target=case.reference, input_scale=255, mean=200)
    assert other.accuracies[0] < 1 and other.columns == (-1,)
    (told,) = caplog.records
    assert "--input-scale 2" in told.getMessage() and "clean images" in told.getMessage()


def test_a_target_reads_pixels_in_the_order_of_the_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A flat file says no order, so that the set must: its own network is its source again."""
    data, network, path = (tmp_path / name for name in ("d.npz", "n.onnx", "adv.npz"))
    levels = np.random.default_rng(3).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    np.savez(data, images=levels, labels=np.arange(40) % 4, classes=4)
    network.write_bytes(to_onnx(random_dense(3, (48, 12, 4))))
    relrob.attack(
        network, "fgsm", dataset=data, images="all", filter="none", layout="chw", out=path
    )
    kept = read_set(path)
    assert kept.origin.layout is Layout.CHW
    found = relrob.transfer(samples=path, target=network)
    assert found.networks[0].layout is Layout.CHW and found.columns == (0,)
    assert found.accuracies == (float((kept.clean == kept.labels).mean()),) and not caplog.records
    other = relrob.transfer(samples=path, target=network, layout="hwc")
    assert other.networks[0].layout is Layout.HWC and other.columns == (-1,)
    (told,) = caplog.records
    assert "in the order chw" in told.getMessage()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"range": "-1:1"}, "sets of values -1:1 and pixels"),
        ({"classes": 5}, "sets of 4 and 5 classes"),
        ({"classes": 9, "classes_known": False}, "has 4 outputs, a set has the label 8"),
    ],
)
def test_sets_of_other_data_are_refused(
    case: Case, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    kept = kept_set(case, paths[0])
    labels = kept.labels if changes.get("classes_known", True) else np.full(len(kept), 8)
    write_set(paths[1], replace(kept, origin=replace(kept.origin, **changes), labels=labels))
    with pytest.raises(RelrobError, match=line):
        relrob.transfer(samples=paths, target=case.reference)


def test_text_of_a_file_makes_no_line_of_its_own(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "adv.npz"
    kept = kept_set(case, path)
    evil: Any = {name: f"{name}\nall is robust\x1b[2J" for name in ("attack", "network", "dataset")}
    lines = []
    for origin in (kept.origin, replace(kept.origin, **evil, split="x" * 10_000)):
        write_set(path, replace(kept, origin=origin))
        shown = transfer_text(relrob.transfer(samples=path, target=case.reference).json())
        assert "\x1b" not in shown and len(shown) < 4000
        lines.append(len(shown.splitlines()))
    assert lines[0] == lines[1]
