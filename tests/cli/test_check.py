"""`relrob verify --certificates` and `relrob check` as a user types them."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from relrob.certificates.form import canonical, seal
from relrob.cli.check import command
from relrob.errors import NetworkError
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.store.run_directory import Store
from tests.cli_case import relrob_command
from tests.make_networks import write_tflite
from tests.support import random_dense

SHAPE = (6, 6, 1)


@dataclass(frozen=True)
class Finished:
    """A finished run with certificates: its directory, and the command that made it."""

    folder: Path
    run: Path
    arguments: list[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("check")
    images = np.random.default_rng(5).integers(0, 256, size=(12, 6, 6), dtype=np.uint8)
    dense = random_dense(5, (36, 60, 40, 4))
    (folder / "ref.onnx").write_bytes(to_onnx(dense))
    write_tflite(dense, folder / "q.tflite", SHAPE, "dynamic")
    reference = load_network(folder / "ref.onnx", image_shape=SHAPE, classes=4)
    values = images.reshape(12, 36).astype(np.float32) / np.float32(255)
    labels = open_network(reference).outputs(values).argmax(axis=1).astype(np.int64)
    np.savez(folder / "data.npz", images=images, labels=labels, classes=4)
    region = ["--radius", "2", "--step", "1/8", "--features", "8", "--axes", "4"]
    how = ["--dataset", "data.npz", "--images", "all", "--workers", "1", "--runtime", "builtin"]
    arguments = ["verify", "ref.onnx", "q.tflite", *region, *how]
    relrob_command([*arguments, "--certificates", "--out", "run", "-q"], folder)
    return Finished(folder, folder / "run", arguments)


def test_every_robust_verdict_has_a_certificate_that_holds(finished: Finished) -> None:
    with (finished.run / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    robust = {
        f"{int(row['index']):05d}-{role}.json"
        for row in rows
        for role in ("reference", "quantised")
        if row[f"{role}_verdict"] == "ROBUST"
    }
    written = sorted((finished.run / "certificates").iterdir())
    assert {path.name for path in written} == robust
    assert 8 < len(robust) < 24
    done = relrob_command(
        ["check", *(f"run/certificates/{path.name}" for path in written)], finished.folder
    )
    assert done.stderr == ""
    assert done.stdout.count(": valid (every part re-derived or run again)\n") == len(written)
    assert "built again from the image with exact fractions" in done.stdout
    assert relrob_command(["check", str(written[0]), "-q"], finished.folder).stdout == ""
    told = json.loads(
        relrob_command(["check", str(written[0]), "--run", "--json"], finished.folder).stdout
    )
    counts = {"parts", "run_parts", "sampled_parts", "points", "points_run"}
    assert [set(each) for each in told] == [
        {"path", "valid", "status", "verified", "failure", *counts}
    ]
    assert (told[0]["valid"], told[0]["status"]) == (True, "valid")


def test_the_command_has_a_child_try_the_network_first(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[Path, Any]] = []

    def first(file: Path, *, memory: float | None, **facts: Any) -> None:
        tried.append((file, memory))
        raise NetworkError("a planted crash", "a file that can be read")

    monkeypatch.setattr("relrob.networks.first.try_network", first)
    path, network = (
        next((finished.run / "certificates").glob("*-quantised.json")),
        finished.folder / "q.tflite",
    )
    words = [str(path), "--network", str(network), "--memory", "3"]
    done = CliRunner().invoke(command, words)
    assert isinstance(done.exception, NetworkError)
    assert tried == [(network, 3.0)]


def test_a_changed_certificate_or_network_is_refused(finished: Finished, tmp_path: Path) -> None:
    path = next((finished.run / "certificates").glob("*-quantised.json"))
    text = path.read_text(encoding="ascii")
    label = json.loads(text)["label"]
    (tmp_path / "c.json").write_text(
        text.replace(f'"label":{label}', f'"label":{(label + 1) % 4}'), encoding="ascii"
    )
    network = ["--network", "q.tflite"]
    done = relrob_command(
        ["check", str(tmp_path / "c.json"), *network], finished.folder, check=False
    )
    assert done.returncode == 1
    assert "INVALID: the seal does not fit" in done.stdout
    done = relrob_command(
        ["check", str(path), "--network", "ref.onnx"], finished.folder, check=False
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    shutil.copy(path, tmp_path / "alone.json")
    for file, words in (
        (tmp_path / "alone.json", "is not beside it"),
        (tmp_path / "none.json", "cannot read"),
        (finished.run / "summary.json", "no certificate of this version"),
        (finished.folder / "q.tflite", "is no certificate"),
    ):
        done = relrob_command(["check", str(file)], tmp_path, check=False)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_certificates_live_in_the_store(finished: Finished, tmp_path: Path) -> None:
    """A run that is resumed writes them from the store, byte for byte; a run without them is
    another one, and has none."""
    folder = tmp_path / "again"
    shutil.copytree(finished.folder, folder)
    before = {path.name: path.read_bytes() for path in (folder / "run" / "certificates").iterdir()}
    shutil.rmtree(folder / "run" / "certificates")
    relrob_command([*finished.arguments, "--certificates", "--out", "run", "-q"], folder)
    assert {
        path.name: path.read_bytes() for path in (folder / "run" / "certificates").iterdir()
    } == before
    with Store.read(folder / "run") as store:
        assert {
            f"{index:05d}-{role}.json": data for index, role, data in store.certificates()
        } == before
    done = relrob_command([*finished.arguments, "--out", "run"], folder, check=False)
    assert done.returncode == 2
    assert "certificates is True there and absent here" in done.stderr
    relrob_command([*finished.arguments, "--out", "plain", "-q"], folder)
    assert not (folder / "plain" / "certificates").exists()
    with Store.read(folder / "plain") as plain, Store.read(folder / "run") as store:
        assert plain.records() == store.records()


def test_a_forged_run_is_never_called_valid(finished: Finished, tmp_path: Path) -> None:
    """The whole ladder as one run that nobody made: found out where it is small, and "sampled",
    exit code 3, where it is not."""
    path = next((finished.run / "certificates").glob("*-reference.json"))
    content = json.loads(path.read_text(encoding="ascii"))
    content["gap"] = 0.0

    def outcome(
        name: str, features: int, size: int, *more: str, **changes: object
    ) -> tuple[int, str]:
        content["region"] |= {
            "features": features,
            "axes": 1,
            "radius": "1/1000",
            "step": "1/1000000",
        }
        content["leaves"] = [
            {"path": [], "run": {"points": size, "margin": 1e-9, "chain": "0" * 64} | changes}
        ]
        (tmp_path / name).write_bytes(canonical({**content, "seal": seal(content)}))
        done = relrob_command(
            ["check", name, *more, "--network", str(finished.folder / "ref.onnx")],
            tmp_path,
            check=False,
        )
        return done.returncode, done.stdout

    assert outcome("small.json", 4, 16)[0] == 0
    code, said = outcome("large.json", 15, 2**15)
    assert (code, "sampled (1 run parts, not all run)" in said, "64 give label" in said) == (
        3,
        True,
        True,
    )
    code, said = outcome("large.json", 15, 2**15, "--json")
    assert [(each["valid"], each["status"], each["points_run"]) for each in json.loads(said)] == [
        (False, "sampled", 64)
    ]
    assert outcome("large.json", 15, 2**15, "--run")[0] == 1
    for name, changes in (
        ("margin", {"margin": -1e-9}),
        ("chain", {"chain": "0" * 63}),
        ("points", {"points": 2**15 - 1}),
    ):
        code, said = outcome(f"{name}.json", 15, 2**15, **changes)
        assert (code, "INVALID" in said) == (1, True)
    outcome("small.json", 4, 16)
    outcome("large.json", 15, 2**15)
    network = ["--network", str(finished.folder / "ref.onnx")]
    for names, code in (
        (["small.json", "large.json"], 3),
        (["small.json", "large.json", "margin.json"], 1),
        (["none.json"], 2),
    ):
        assert relrob_command(["check", *names, *network], tmp_path, check=False).returncode == code
    done = relrob_command(
        ["check", "small.json", "--network", "absent.onnx"], tmp_path, check=False
    )
    assert (done.returncode, "no network file at absent.onnx" in done.stderr) == (2, True)
