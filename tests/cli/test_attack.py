"""`relrob attack`, `relrob transfer` and `relrob attacks`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import relrob
from relrob.attacks.set_file import read_set
from relrob.attacks.table import ATTACKS
from relrob.cli import attack, attacks, transfer
from relrob.cli.mistakes import tell
from relrob.errors import RelrobError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from tests.cli_case import Case
from tests.support import shared_data


def ran(command: click.Command, *words: str | Path) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def told(command: click.Command, *words: str | Path) -> dict[str, Any]:
    done = ran(command, *words, "--json")
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    del found["seconds"]
    return found


def data(case: Case) -> tuple[str | Path, ...]:
    return ("--dataset", case.data, "--images", "all")


def test_the_document_is_what_the_runtime_says(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "adv.npz"
    words = (case.reference, "--attack", "fgsm", "--eps", "0.1", *data(case), "-o", path)
    found = told(attack.command, *words)
    kept = read_set(path)
    network = load_network(case.reference, image_shape=(8, 8, 1), classes=4)
    alone = open_network(network, batch=1)
    with np.load(case.data) as held:
        labels, pixels = held["labels"], held["images"]
    clean = alone.outputs(pixels.reshape(40, 64).astype(np.float32) / 255).argmax(axis=1)
    # One label in ten is wrong, and those images are not attacked.
    assert kept.indices.tolist() == np.flatnonzero(clean == labels).tolist() and len(kept) == 36
    assert (found["images"], found["accuracy"], found["metrics"]["samples"]) == (40, 0.9, 36)
    said = alone.outputs(kept.adversarial).argmax(axis=1)
    wrong = said != kept.labels
    assert kept.found.tolist() == said.tolist() and wrong.sum() > 0
    assert found["metrics"]["success"] == wrong.sum()
    assert found["metrics"]["adversarial_accuracy"] == pytest.approx(1 - wrong.mean(), abs=1e-6)
    far = np.abs(kept.adversarial - kept.images)
    assert far.max() <= 0.1 + 1e-6
    l2 = np.sqrt((far[wrong].astype(float) ** 2).sum(axis=1)).mean()
    assert found["metrics"]["norms"]["l2"]["mean"] == pytest.approx(l2, abs=1e-6)
    assert found["network"]["sha256"] == kept.origin.sha256
    assert found["model"]["success_on_network"] == wrong.sum() and found["model"]["exact"]


def test_the_same_command_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    words = (case.reference, "--attack", "pgd:steps=3:restarts=2", *data(case), "--sample", "9")
    paths = [tmp_path / f"{number}.npz" for number in range(3)]
    documents = []
    for path, seed in zip(paths, ("1", "1", "2"), strict=True):
        found = told(attack.command, *words, "--seed", seed, "-o", path)
        del found["file"]
        documents.append(found)
    assert documents[0] == documents[1] != documents[2]
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    assert documents[0]["metrics"]["samples"] == 9
    assert set(read_set(paths[0]).indices) != set(read_set(paths[2]).indices)


def test_json_is_what_python_gives(case: Case) -> None:
    words = ("--attack", "fgsm", "--eps", "1/8", *data(case), "--filter", "none")
    found = told(attack.command, case.reference, *words)
    result = relrob.attack(
        case.reference, "fgsm", eps="1/8", dataset=case.data, images=range(40), filter="none"
    )
    mine = json.loads(json.dumps(result.json()))
    del mine["seconds"]
    assert found == mine and found["attack"] == "fgsm:eps=0.125"
    assert found["metrics"]["samples"] == 40


def test_targets_and_universal_perturbations(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "u.npz"
    words = ("--attack", "sgd-uap:eps=0.3:epochs=4:batch=10", "--target-label", "2", "-o", path)
    found = told(attack.command, case.reference, *words, *data(case), "--fit-images", "0:20")
    kept = read_set(path)
    assert kept.delta is not None and kept.targets is not None
    assert np.abs(kept.delta).max() <= np.float32(0.3)
    assert kept.adversarial.tobytes() == np.clip(kept.images + kept.delta, 0, 1).tobytes()
    assert found["fitted"]["on"] == "20 images of data test" and found["fitted"]["passes"] >= 1
    assert found["metrics"]["targeted_rate"] == pytest.approx(np.mean(kept.found == 2), abs=1e-6)


def test_a_kept_set_says_what_crafting_again_says(case: Case, tmp_path: Path) -> None:
    """The matrix of a set that was kept, and of the same attack made now."""
    path = tmp_path / "adv.npz"
    asked = ("--attack", "fgsm", "--eps", "0.1", *data(case))
    told(attack.command, case.reference, *asked, "-o", path)
    targets = ("--target", case.reference, case.simulated, case.quantised)
    kept = told(transfer.command, "--samples", path, *targets)
    now = told(transfer.command, "--source", case.reference, *targets, *asked)
    assert kept["cells"] == now["cells"] and kept["matrix"] == now["matrix"]
    assert [each["name"] for each in kept["targets"]] == ["ref.onnx", "grid.onnx", "q.onnx"]
    # The accuracy of a set is over the images that are in it.
    assert now["targets"][0]["accuracy"] == 0.9
    assert kept["targets"][0]["accuracy"] == 1
    few = told(transfer.command, "--samples", path, *targets, "--keep", "7")
    assert {each["samples"] for each in few["cells"]} == {7}
    white, grid, _ = kept["cells"]
    assert white["transferred"] == white["source_success"] > 0
    assert 0 < grid["transferred"] <= grid["source_success"]


def test_three_scenarios(case: Case) -> None:
    asked = ("--attack", "fgsm", "--eps", "0.1", *data(case))
    found = told(
        transfer.command, "--reference", case.reference, "--target", case.simulated, *asked
    )
    assert len(found["cells"]) == 4
    assert [each["target"] for each in found["sources"]] == [0, 1]
    cells = {(each["source"], each["target"]): each for each in found["cells"]}
    (only,) = found["scenarios"]
    for name, place in (
        ("comp_comp", (1, 1)),
        ("full_comp", (0, 1)),
        ("comp_full", (1, 0)),
        ("full", (0, 0)),
    ):
        assert only[name] == cells[place]["adversarial_accuracy"], name
    assert found["matrix"]["evasion_rate"][1][0] == cells[0, 1]["evasion_rate"]
    shown = ran(transfer.command, "--reference", case.reference, "--target", case.simulated, *asked)
    assert "FULL->COMP" in shown.stdout and "grid.onnx" in shown.stdout
    result = relrob.transfer(
        reference=case.reference,
        target=case.simulated,
        attack="fgsm:eps=0.1",
        dataset=case.data,
        images="all",
    )
    mine = json.loads(json.dumps(result.json()))
    del mine["seconds"]
    assert mine == found and result.cell(1, 0) is result.cells[2]


def test_scenarios_of_sets_that_were_kept(case: Case, tmp_path: Path) -> None:
    """The reference stands first whatever the order of the sets."""
    files = []
    for path in (case.simulated, case.reference):
        files.append(tmp_path / f"{path.stem}.npz")
        asked = ("--attack", "fgsm", "--eps", "0.1", *data(case))
        told(attack.command, path, *asked, "-o", files[-1])
    networks = ("--reference", case.reference, "--target", case.simulated)
    kept = told(transfer.command, "--samples", *files, *networks)
    now = told(transfer.command, *networks, "--attack", "fgsm", "--eps", "0.1", *data(case))
    assert kept["scenarios"] == now["scenarios"] and len(kept["scenarios"]) == 1
    assert [each["target"] for each in kept["sources"]] == [1, 0]


def test_sets_of_one_network_are_told_apart(case: Case, tmp_path: Path) -> None:
    for name, text in (("a", "fgsm"), ("b", "pgd:steps=2"), ("c", "fgsm:eps=0.2")):
        asked = (case.reference, "--attack", text, *data(case))
        told(attack.command, *asked, "-o", tmp_path / f"{name}.npz")
    files = [tmp_path / f"{name}.npz" for name in "abc"]
    two = told(transfer.command, "--samples", *files[:2], "--target", case.simulated)
    assert two["matrix"]["columns"] == ["ref.onnx fgsm", "ref.onnx pgd"]
    three = told(transfer.command, "--samples", *files, "--target", case.simulated)
    assert len(set(three["matrix"]["columns"])) == 3
    assert three["matrix"]["columns"][2] == "ref.onnx fgsm:eps=0.2"


def test_the_terminal_shows_rates_and_distances(case: Case, tmp_path: Path) -> None:
    words = (case.reference, "--attack", "fgsm", *data(case), "-o", tmp_path / "adv.npz")
    done = ran(attack.command, *words)
    assert "adversarial accuracy" in done.stdout and "linf" in done.stdout
    assert f"wrote {tmp_path / 'adv.npz'}" in done.stdout
    tiny = ran(attack.command, *words, "--eps", "1e-9")
    assert "no success, and so no distances" in tiny.stdout
    assert "evasion rate 0.0 %" in tiny.stdout
    quiet = ran(attack.command, *words, "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_classes_are_shown_by_their_names(case: Case, tmp_path: Path) -> None:
    """In the most frequent changes of label, of an attack and of each source; a name is a
    target."""
    path = tmp_path / "classes.txt"
    path.write_text("cat\ndog\nowl\nfox\n", encoding="utf-8")
    asked = ("--attack", "fgsm", "--eps", "0.1", *data(case))
    words = (case.reference, *asked)
    found = told(attack.command, *words, "-o", tmp_path / "adv.npz")
    assert "classes" not in found["dataset"]
    kept = read_set(tmp_path / "adv.npz")
    true, said = kept.labels[kept.success], kept.found[kept.success]
    assert sum(each["examples"] for each in found["flips"]) <= len(true)
    first = found["flips"][0]
    for each in found["flips"]:
        count = int(((true == each["label"]) & (said == each["found"])).sum())
        assert 0 < count == each["examples"] <= first["examples"]
    assert (
        f"most often {first['label']} taken for {first['found']} ("
        in ran(attack.command, *words).stdout
    )
    names = ("cat", "dog", "owl", "fox")
    label, answer = (f"{first[key]} {names[first[key]]}" for key in ("label", "found"))
    shown = f"most often {label} taken for {answer} ({first['examples']})"
    assert shown in ran(attack.command, *words, "--classes", path).stdout
    source = ("--source", case.reference, *asked, "--classes", path)
    assert shown in ran(transfer.command, *source).stdout
    targeted = told(attack.command, *words, "--classes", path, "--target-label", "owl")
    assert targeted["dataset"]["classes"] == list(names)
    del targeted["dataset"]["classes"]
    assert targeted == told(attack.command, *words, "--target-label", "2")


MISTAKES: list[tuple[click.Command, list[str], str]] = [
    (attack.command, ["REF", "--attack", "fgsm", "--steps", "3"], "no parameter 'steps'"),
    (attack.command, ["REF", "--attack", "nosuch"], "attack 'nosuch'; accepted: fgsm"),
    (attack.command, ["REF", "--attack", "fgsm", "--eps", "0"], "eps 0"),
    (attack.command, ["REF", "--attack", "fgsm", "--filter", "both_correct"], "without a network"),
    (attack.command, ["REF", "--attack", "fgsm", "--sample", "41"], "41 images of 36"),
    (attack.command, ["REF", "--attack", "fgsm", "--seed", "-2"], "seed -2"),
    (attack.command, ["REF", "--attack", "fgsm", "--target-label", "4"], "target '4'"),
    (attack.command, ["REF", "--attack", "fgsm", "--fit-images", "0:3"], "--fit-images with fgsm"),
    (attack.command, ["REF", "--attack", "fgsm", "-o", "adv.txt"], "ends in .npz"),
    (attack.command, ["REF", "--attack", "fgsm", "--images", "40"], "image 40"),
    (attack.command, ["REF", "--attack", "fgsm", "--runtime", "xnnpack"], "runtime 'xnnpack'"),
    (transfer.command, ["--target", "REF"], "no source"),
    (transfer.command, ["--source", "REF"], "no attack"),
    (transfer.command, ["--source", "REF", "--attack", "fgsm", "--filter", "x"], "filter 'x'"),
    (transfer.command, ["--samples", "DATA", "--target", "REF"], "no adversarial set"),
    (transfer.command, ["--samples", "SET"], "no target"),
    (transfer.command, ["--samples", "SET", "--target", "REF", "--keep", "0"], "keep 0"),
    (transfer.command, ["--samples", "SET", "--target", "REF", "--filter", "none"], "chosen by"),
    (
        transfer.command,
        ["--samples", "SET", "--target", "REF", "--eps", "1", "--seed", "2", "--split", "test"],
        "--split, --seed, --eps with --samples",
    ),
]


@pytest.mark.parametrize(
    ("command", "words", "line"), MISTAKES, ids=[line for _, _, line in MISTAKES]
)
def test_mistakes_are_one_line(
    case: Case, tmp_path: Path, command: click.Command, words: list[str], line: str
) -> None:
    files = {"REF": str(case.reference), "DATA": str(case.data), "SET": str(tmp_path / "a.npz")}
    if "SET" in words:
        asked = (case.reference, "--attack", "fgsm", *data(case))
        ran(attack.command, *asked, "-o", files["SET"])
    elif command is attack.command or "--source" in words:
        words = [*words, "--dataset", str(case.data)]
        words += [] if "--images" in words else ["--images", "all"]
    with pytest.raises(RelrobError) as raised:
        ran(command, *[files.get(word, word) for word in words])
    assert tell(raised.value) == 2
    assert line in str(raised.value)


def test_several_values_stand_behind_one_option() -> None:
    assert transfer.spread(["--target", "b", "c", "--json", "-q"]) == [
        "--target",
        "b",
        "--target",
        "c",
        "--json",
        "-q",
    ]
    assert transfer.spread(["--source", "--target", "-"]) == [
        "--source",
        "--target",
        "-",
    ]
    assert transfer.spread(["--target=b", "c", "--seed", "3", "--", "--target", "x", "y"]) == [
        "--target=b",
        "c",
        "--seed",
        "3",
        "--",
        "--target",
        "x",
        "y",
    ]


def test_the_list_has_every_attack_with_its_parameters() -> None:
    found = json.loads(ran(attacks.command, "--json").stdout)["attacks"]
    assert [each["name"] for each in found] == [entry.name for entry in ATTACKS]
    assert found == [each.json() for each in relrob.attacks()]
    first = next(each for each in found if each["name"] == "fgsm")
    assert (first["needs"], first["norm"], first["parameters"]) == (
        "gradients",
        "linf",
        {"eps": "0.1"},
    )
    lines = ran(attacks.command).stdout
    assert all(entry.summary in lines for entry in ATTACKS)
    assert "eps=0.1" in lines
    only = json.loads(ran(attacks.command, "pgd", "--json").stdout)["attacks"]
    assert only == [each for each in found if each["name"] == "pgd"]
    with pytest.raises(RelrobError, match="attack 'nosuch'; accepted: fgsm"):
        ran(attacks.command, "nosuch")


def test_a_deployed_file_is_attacked_through_its_model(tmp_path: Path) -> None:
    """An int8 .tflite: gradients of its emulation, success on the file itself, and transfer to the
    float network that it was made from."""
    file, path = shared_data("quantised_formats/mlp_static_wi8_ai8.tflite"), tmp_path / "adv.npz"
    words = ("--attack", "pgd:steps=10", "--eps", "0.1", "--images", "0:40", "-o", path)
    found = told(attack.command, file, *words)
    kept = read_set(path)
    network = load_network(file, image_shape=(28, 28, 1), classes=10)
    alone = open_network(network, batch=1).outputs(kept.adversarial).argmax(axis=1)
    wrong = int((alone != kept.labels).sum())
    assert found["metrics"]["success"] == found["model"]["success_on_network"] == wrong > 20
    assert not found["model"]["exact"] and found["model"]["agreement"] >= 0.95
    assert found["model"]["lost"] <= found["model"]["success_on_model"]
    shown = ran(attack.command, file, *words)
    assert "successes on the model" in shown.stdout and "on the file" in shown.stdout
    floats = shared_data("quantised_formats/mlp.onnx")
    (one,) = told(transfer.command, "--samples", path, "--target", floats)["cells"]
    assert one["source_success"] == wrong and one["transfer_rate"] > 0.8
