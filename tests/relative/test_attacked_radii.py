"""`python -m tests.attacked_radii` on searches for radii: true ones raise no alarm, planted false
radii and witnesses do, a record goes on where it was cut; and the referees that it rests on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import relrob
from relrob.domain.arrays import Floats
from relrob.domain.radius import Interval
from relrob.domain.record import WitnessView
from relrob.domain.region import Ball, Ladder, Norm, Region
from relrob.errors import UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.store.radius_directory import RadiusStore
from relrob.store.radius_reading import open_radius
from relrob.store.radius_summary import RadiusSummary
from tests import attacked_radii, naive
from tests.attacked_proofs import Record, alarms, tallies
from tests.attacked_radii import ALARM, Around, Tried, main
from tests.cli_case import Case
from tests.make_litert import plain_files
from tests.proved_points import Nested, corners, fed, one_sided, towards, within
from tests.raw_labels import raw_labels
from tests.support import random_dense

FEW: Final = Tried(("pgd:restarts=2:steps=10", "hopskipjump:steps=2"), samples=8)
WAYS: Final = ["pgd", "hopskipjump", "corners", "one-sided", "witnesses"]
WEAK: Final = 3  # an image of the case that is wrong near by
KINDS: Final[dict[str, dict[str, Any]]] = {
    "linf": {"max_radius": "1/5", "precision": "1/255"},
    "l2": {"max_radius": "2", "precision": "1/20"},
    "l1": {"max_radius": "8", "precision": "1/5"},
    "ladder": {"step": "1/2", "features": "8", "axes": 3},
}


@pytest.fixture(scope="module")
def made(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The finished search in regions of a kind, around images 1 to 3, by bounds alone."""
    folder, known = tmp_path_factory.mktemp("radii"), dict[str, Path]()

    def search(kind: str) -> Path:
        if kind not in known:
            known[kind] = relrob.radius(
                case.reference,
                case.simulated,
                dataset=str(case.data),
                images="1:4",
                region=kind,
                solver="bounds",
                time_limit=600,
                out=folder / kind,
                **KINDS[kind],
            ).directory
        return known[kind]

    return search


def planted(
    search: Path,
    out: Path,
    change: Callable[[Interval], Interval],
    views: Callable[[WitnessView], WitnessView | None],
    index: int = WEAK,
) -> Path:
    """The search with another interval of the quantised network around an image, and with other
    witnesses; of the reference none is known where its own is left out."""
    with open_radius(search) as data:
        records = {record.index: record for record in data.summary.records}
        reference, quantised = records[index].reference, records[index].quantised
        assert reference is not None and quantised is not None
        found = {number: tuple(data.witnesses(number).values()) for number in records}
        kept = tuple(made for each in found[index] if (made := views(each)) is not None)
        if not any(view.network == "reference" for view in kept):
            reference = wrong_radius(reference.proved)(reference)
        records[index] = replace(records[index], reference=reference, quantised=change(quantised))
        with RadiusStore.open(out, data.config) as store:
            for number, record in records.items():
                store.append(record, kept if number == index else found[number], 0.0)
        document = RadiusSummary(data.summary.header, tuple(records.values()), 0.0).json()
    (out / "radius.json").write_text(json.dumps(document), encoding="utf-8")
    return out


def wrong_radius(radius: Fraction | None) -> Callable[[Interval], Interval]:
    """A proof of that radius beside which no witness is known."""
    return lambda interval: Interval(radius, None, False, "liar", reason="its time was up")


def others(view: WitnessView) -> WitnessView | None:
    """The witnesses of the reference."""
    return view if view.network == "reference" else None


def attack(search: Path, record: Path, case: Case, **more: Any) -> int:
    return main(search, record, tried=FEW, dataset=str(case.data), **more)


def test_radii_that_are_true_raise_no_alarm(
    made: Callable[[str], Path], case: Case, tmp_path: Path
) -> None:
    path, page = tmp_path / "record.jsonl", tmp_path / "page.md"
    assert attack(made("linf"), path, case, page=page) == 0
    lines = Record(path).lines
    assert [line["image"] for line in lines] == [1, 2, 3] and not alarms(lines)
    found = tallies(lines)
    assert list(found) == WAYS and not (tmp_path / "record.alarms").exists()
    for tally in found.values():
        assert tally.regions == {("linf", "float"): 3, ("linf", "float32"): 3}
        assert tally.inside == 0
    for line in lines:
        assert line["witnesses"] == ["reference", "quantised"]
        for name in line["witnesses"]:
            assert line[name]["points"] == 2 + 8 + (8 + 2) + 2
    told = page.read_text(encoding="utf-8").splitlines()
    assert (
        told[-1]
        == "6 regions around 3 images, 132 points run in them; 6 witnesses checked. No alarm."
    )
    assert sum(line.startswith("| ") for line in told) == 2 + len(WAYS)


@pytest.mark.parametrize(
    ("kind", "index", "radius"),
    [("linf", 3, "3/51"), ("l2", 3, "1/2"), ("l1", 3, "3"), ("ladder", 2, "3")],
)
def test_a_wrong_radius_is_an_alarm_and_its_point_is_kept(
    kind: str, index: int, radius: str, made: Callable[[str], Path], case: Case, tmp_path: Path
) -> None:
    search = planted(
        made(kind), tmp_path / "wrong", wrong_radius(Fraction(radius)), lambda _: None, index
    )
    path, page = tmp_path / "record.jsonl", tmp_path / "page.md"
    assert attack(search, path, case, page=page) == ALARM == 4
    (told,) = alarms(Record(path).lines)
    assert told.startswith(f"{kind} float32: image {index}: the quantised network gives ")
    assert f"inside the region of radius {Fraction(radius)}, which liar proved" in told
    assert f"ALARM {told}" in page.read_text(encoding="utf-8")
    for line in Record(path).lines:
        assert line["reference"]["inside"] == [] if "reference" in line else True
    kept = sorted((tmp_path / "record.alarms").iterdir())
    with np.load(kept[0]) as file:
        point, base = file["perturbed"], file["original"]
        assert (str(file["network"]), int(file["index"])) == ("quantised", index)
        moves = point.astype(float) - base
        norm = {"linf": np.inf, "l2": 2}.get(kind, 1)
        assert 0 < np.linalg.norm(moves, norm) <= float(Fraction(radius))
        network = load_network(case.simulated, image_shape=(8, 8, 1), classes=4)
        found = int(open_network(network, batch=1).outputs(point[None, :]).argmax())
        assert found == int(file["found"]) != int(file["label"])


def test_an_alarm_is_tried_again_and_radii_that_changed_too(
    made: Callable[[str], Path], case: Case, tmp_path: Path
) -> None:
    wrong = wrong_radius(Fraction(3, 51))
    search = planted(made("linf"), tmp_path / "wrong", wrong, others)
    path = tmp_path / "record.jsonl"
    assert attack(search, path, case) == attack(search, path, case) == ALARM
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["image"] for line in lines] == [1, 2, 3, 3]
    assert attack(made("linf"), path, case) == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5


def test_the_witness_of_the_other_network_is_tried(
    made: Callable[[str], Path], case: Case, tmp_path: Path
) -> None:
    """At the radius of its witness, so close to the true one that no corner is wrong."""
    with open_radius(made("linf")) as data:
        (record,) = (each for each in data.summary.records if each.index == WEAK)
        near = data.witnesses(WEAK)["quantised"]
    assert record.quantised is not None and record.quantised.broken is not None
    search = planted(
        made("linf"),
        tmp_path / "wrong",
        wrong_radius(record.quantised.broken),
        lambda view: replace(near, network="reference") if others(view) else None,
    )
    path = tmp_path / "record.jsonl"
    tried = Tried(("boundary:steps=1:draws=1:samples=1:trials=1",), samples=2)
    assert main(search, path, tried=tried, dataset=str(case.data)) == ALARM
    assert Record(path).line("linf float32", WEAK)["quantised"]["inside"] == ["witnesses"]


@pytest.mark.parametrize(
    ("change", "view", "told"),
    [
        ({"broken": Fraction(1, 28)}, {}, "is farther away"),
        ({"label": 0}, {}, "has the label "),
        ({}, None, "is missing"),
        ({}, {"original": np.zeros(64, np.float32)}, "is of another image"),
    ],
)
def test_a_witness_that_does_not_hold_is_an_alarm(
    change: dict[str, Any],
    view: dict[str, Any] | None,
    told: str,
    made: Callable[[str], Path],
    case: Case,
    tmp_path: Path,
) -> None:
    def changed(each: WitnessView) -> WitnessView | None:
        if each.network == "reference":
            return each
        return None if view is None else replace(each, **view)

    search = planted(
        made("linf"), tmp_path / "wrong", lambda interval: replace(interval, **change), changed
    )
    assert attack(search, tmp_path / "record.jsonl", case) == ALARM
    (alarm,) = alarms(Record(tmp_path / "record.jsonl").lines)
    assert f"image {WEAK}: the witness of the quantised network" in alarm and told in alarm


def test_a_runtime_that_differs_from_the_replay_is_an_alarm(
    made: Callable[[str], Path], case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacked_radii, "raw_labels", lambda _: lambda image: 3)
    assert attack(made("linf"), tmp_path / "record.jsonl", case, images=1) == ALARM
    (alarm,) = alarms(Record(tmp_path / "record.jsonl").lines)
    assert "relrob's replay of the quantised network differs from its runtime (pgd)" in alarm
    assert "the reference network gives 3 to the image, and " in alarm


def test_a_record_that_was_cut_goes_on(
    made: Callable[[str], Path], case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "record.jsonl", list[int]()
    assert attack(made("linf"), path, case, images=2) == 0
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-20], encoding="utf-8")
    plain = Around.line

    def counted(around: Around) -> dict[str, Any]:
        done.append(around.record.index)
        return plain(around)

    monkeypatch.setattr(Around, "line", counted)
    assert attack(made("linf"), path, case) == attack(made("linf"), path, case) == 0
    assert done == [2, 3]
    assert [without_time(line) for line in text.splitlines()] == [
        without_time(line) for line in path.read_text(encoding="utf-8").splitlines()[:2]
    ]
    with pytest.raises(UsageError, match="other attacks"):
        main(made("linf"), path, tried=replace(FEW, samples=9), dataset=str(case.data))
    assert done == [2, 3]


def without_time(text: str) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(text)
    for name in ("reference", "quantised"):
        line[name]["seconds"] = list(line[name]["seconds"])
    return line


def test_a_mistake_is_one_line(
    made: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4), classes=4)
    typed = ["", str(made("linf")), "--record", str(tmp_path / "r.jsonl"), "--dataset", str(other)]
    monkeypatch.setattr("sys.argv", typed)
    assert attacked_radii.command() == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "that of the search" in told


def test_a_search_that_read_the_pixels_otherwise_is_refused(
    made: Callable[[str], Path], case: Case, tmp_path: Path
) -> None:
    search, read = tmp_path / "search", {"factor": 255.0}
    document = json.loads((made("linf") / "radius.json").read_text(encoding="utf-8"))
    document["quantised"]["input"] = read
    with RadiusStore.read(made("linf")) as old:
        config = {**old.config, "quantised": {**old.config["quantised"], "input": read}}
        with RadiusStore.open(search, config) as store:
            for index, record in old.records().items():
                store.append(record, tuple(old.witnesses(index)), 1.0)
            document["run"] = store.digest
    (search / "radius.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match="pixels in its own way"):
        attack(search, tmp_path / "record.jsonl", case)


IMAGE: Final = np.random.default_rng(2).integers(0, 256, (6, 6, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    "region",
    [
        Ball(Norm.LINF, Fraction(1, 30)),
        Ball(Norm.L2, Fraction(2, 3)),
        Ball(Norm.L1, Fraction(7, 3)),
        Ladder(Fraction(5), Fraction(1, 2), 6, 3),
    ],
)
def test_points_lie_at_the_radius_and_not_beyond(region: Nested) -> None:
    rng, base, radius = np.random.default_rng(1), fed(IMAGE), region.radius
    targets = np.concatenate([corners(rng, base, 12), one_sided(rng, base, 12)])
    points = towards(region, IMAGE, targets)
    ladder = region.kind == "ladder"  # some targets point at no feature, and many at one set
    assert len(points) > 20 if ladder else len(points) == len(targets)
    assert len({point.tobytes() for point in points}) > (8 if ladder else 20)
    for point in points:
        assert within(region, IMAGE, point, radius)
        assert not np.array_equal(point, base)
    if ladder:
        assert any(not within(region, IMAGE, point, radius * 4 / 5) for point in points)
        return
    if region.kind == "linf":
        black_and_white = points[0]
        assert {-1, 1} == set(np.sign(black_and_white - base).tolist()) - {0}
        for there, here in zip(black_and_white.tolist(), base.tolist(), strict=True):
            farther = float(np.nextafter(np.float32(there), np.float32(2 * (there > here) - 1)))
            beyond = abs(Fraction(farther) - Fraction(here)) > radius
            assert beyond or there in (0, 1), "each pixel is at the last float32 inside"
    for point in points[:12]:
        assert not within(region, IMAGE, point, radius * Fraction(99999, 100000))


def test_points_of_one_side_move_one_way() -> None:
    base = fed(IMAGE)
    for target in one_sided(np.random.default_rng(1), base, 10):
        assert (target >= base).all() or (target <= base).all()
        assert not np.array_equal(target, base)


def test_the_referee_knows_every_point_of_a_ladder_and_no_other() -> None:
    ladder = Ladder(Fraction(3), Fraction(1, 2), 5, 3)
    every = list(naive.points(IMAGE, Fraction(20), ladder.step, 5, 3))
    inside = [within(ladder, IMAGE, point.image, ladder.radius) for point in every]
    assert inside == [point.cost <= 3 for point in every] and 1 < sum(inside) < len(inside)
    for point in every[1:]:
        image = point.image.copy()
        at = int(np.flatnonzero(image != every[0].image)[0])
        image[at] = np.nextafter(image[at], np.float32(0.5))
        assert not within(ladder, IMAGE, image, Fraction(20))


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L1, Norm.L2])
def test_the_referee_is_exact(norm: Norm) -> None:
    image = np.full((1, 4, 1), 0.25, np.float32)
    point = np.array([0.5, 0.25, 0.0, 0.25], np.float32)
    distance = {Norm.LINF: Fraction(1, 4), Norm.L1: Fraction(1, 2), Norm.L2: Fraction(3, 8)}[norm]
    region: Region = Ball(norm, Fraction(1))
    assert isinstance(region, Ball)
    least = distance - Fraction(1, 40)
    assert within(region, image, point, distance) and not within(region, image, point, least)
    for bad in (point - 1, point + 1, point.astype(np.float64), point * np.float32(np.nan)):
        assert not within(region, image, np.asarray(bad), Fraction(5))


def test_raw_labels_are_those_of_the_network(case: Case) -> None:
    network = load_network(case.reference, image_shape=(8, 8, 1), classes=4)
    images = np.random.default_rng(0).random((20, 64), dtype=np.float32)
    values: Floats = images
    for layer in random_dense(11, (64, 24, 16, 4)).layers:
        values = values @ layer.weights + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
    label = raw_labels(network)
    assert [label(image) for image in images] == values.argmax(axis=1).tolist()
    with pytest.raises(UsageError, match="runtime real"):
        raw_labels(replace(network, runtime="real"))
    with pytest.raises(UsageError, match="in its own way"):
        raw_labels(replace(network, classes=2, head="logit", dense=None))


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin", "reference"])
@pytest.mark.parametrize("name", ["int8", "int8-uint8-ends", "int8-logits-float-ends", "dynamic"])
def test_raw_labels_of_litert_are_those_of_single_images(
    name: str, runtime: str, tmp_path: Path
) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(plain_files()[name])
    network = load_network(path, image_shape=(4, 5, 1), classes=5, runtime=runtime)
    images = np.random.default_rng(0).random((20, 20), dtype=np.float32)
    label = raw_labels(network)
    found = [label(image) for image in images]
    assert found == open_network(network, batch=1).outputs(images).argmax(axis=1).tolist()
    assert len(set(found)) > 1
