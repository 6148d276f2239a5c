"""Attacks of a run: their texts take the region's radius, runs resume to the same bytes, a planted
false ROBUST ends the run, and networks without gradients are attacked all the same."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.attacks.dense_gradients import DenseGradients
from relrob.attacks.parameters import named
from relrob.attacks.table import ATTACKS
from relrob.cli.main import run
from relrob.deciding.decide import Decision
from relrob.deciding.decide import decide as honest
from relrob.domain.network import Network
from relrob.domain.region import Ball, Ladder, Lattice, Norm, Region
from relrob.domain.verdict import Status
from relrob.errors import UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.relative import classify
from relrob.store.run_directory import Store
from relrob.study import attacks
from relrob.study.attacks import armed, attacks_of, header_of, models_of
from relrob.study.request import asked_with
from tests.cli_case import Case, make_case

LINF, L2 = Ball(Norm.LINF, Fraction(8, 255)), Ball(Norm.L2, Fraction(1, 3))
LADDER = Ladder(Fraction(3), Fraction(1, 2), 8, 3)
ROBUST, BROKEN = 1, 2  # images of the case, by their verdicts in the ball of radius 8/255


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("attacks"))


def run_of(case: Case, out: Path, images: str = "0:12", **more: Any) -> Any:
    given: dict[str, Any] = {"region": "linf-8", "attacks": "fgsm,pgd,pgd:eps=0.3"}
    given["time_limit"] = 5.0
    return relrob.verify(
        case.reference,
        case.simulated,
        dataset=str(case.data),
        images=images,
        out=out,
        **given | more,
    )


@pytest.mark.parametrize(
    ("text", "region", "eps", "norm"),
    [
        ("fgsm", LINF, Fraction(8, 255), "linf"),
        ("pgd", LINF, Fraction(8, 255), "linf"),
        ("pgd:eps=1/4", LINF, Fraction(1, 4), "linf"),
        ("pgd:norm=l2", LINF, Fraction(1, 10), "l2"),
        ("pgd", L2, Fraction(1, 3), "l2"),
        ("pgd:norm=linf", L2, Fraction(1, 10), "linf"),
        ("fgsm", L2, Fraction(1, 10), "linf"),
        ("fgsm", LADDER, Fraction(1, 10), "linf"),
        ("pgd", Lattice(Fraction(3), Fraction(1, 2)), Fraction(1, 10), "linf"),
        ("pgd", Ball(Norm.L1, Fraction(3)), Fraction(1, 10), "linf"),
        ("pgd", Ball(Norm.LINF, Fraction(5)), Fraction(1), "linf"),
    ],
)
def test_an_attack_takes_the_radius_of_its_own_kind_of_ball(
    text: str, region: Region, eps: Fraction, norm: str
) -> None:
    """As the float at or below it; what is typed is never replaced."""
    (full,) = attacks_of(text, region)
    attack: Any = named(full)[1]
    assert attack.norm == norm
    assert Fraction(attack.eps) == pytest.approx(float(eps), rel=1e-15)
    if "eps" not in text and eps not in (Fraction(1, 10), 1):
        assert Fraction(attack.eps) <= eps < Fraction(float(np.nextafter(attack.eps, 2)))


def test_full_texts_are_the_same_however_they_are_typed() -> None:
    typed = attacks_of(" pgd:steps=40 , fgsm:eps=0.10", LADDER)
    assert typed == (named("pgd")[0], named("fgsm")[0])
    assert attacks_of(None, LINF) == ()
    for full in attacks_of("fgsm,pgd", LINF):
        assert attacks_of(full, LADDER) == (full,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fgsm,", "attacks 'fgsm,'; accepted: attacks with commas"),
        ("", "attacks ''"),
        ("nothing", "attack 'nothing'; accepted: fgsm"),
        ("fgsm:steps=3", "attack fgsm has no parameter 'steps'"),
        ("fgsm,pgd,fgsm:eps=8/255", "attack fgsm:eps=0.03137254901960784 twice"),
        ("sgd-uap", "attack sgd-uap, one perturbation for all images.*relrob attack"),
    ],
)
def test_attacks_that_make_no_sense_are_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as told:
        attacks_of(text, LINF)
    assert "\n" not in str(told.value)


def test_a_universal_attack_is_refused_and_no_other_is_offered() -> None:
    with pytest.raises(UsageError) as told:
        attacks_of("uap", LINF)
    offered = told.value.parts[1].split(", ")
    assert {"fgsm", "boundary", "art:fgsm", "art:square"} <= set(offered)
    assert not {name for name in offered if "uap" in name}


def test_every_radius_of_the_table_is_a_parameter() -> None:
    for entry in ATTACKS:
        if entry.radius and not entry.extra:
            assert f":{entry.radius}=" in named(entry.name)[0]


def test_a_search_has_no_attacks() -> None:
    with pytest.raises(UsageError, match="--attacks has no effect with region search, which"):
        asked_with({"region": "search", "radius": "3", "step": "1/2", "attacks": "fgsm"})


def test_a_resumed_run_gives_the_same_records(case: Case, tmp_path: Path) -> None:
    """In parts, in another order and in one go; another seed is another run."""
    whole = run_of(case, tmp_path / "whole")
    for images in ("7,3,9", "0:4", "0:12"):
        parts = run_of(case, tmp_path / "parts", images)
    assert parts.attacks == whole.attacks
    with Store.read(tmp_path / "whole") as one, Store.read(tmp_path / "parts") as other:
        assert one.content_sha256() == other.content_sha256()
        assert one.config["attacks"]["seed"] == 0
    with pytest.raises(relrob.RelrobError, match=r"another configuration: attacks\.seed is 0"):
        run_of(case, tmp_path / "parts", seed=1)
    with pytest.raises(relrob.RelrobError, match="another configuration: attacks"):
        run_of(case, tmp_path / "parts", attacks=None)


def test_the_run_s_files_say_what_was_found(case: Case, tmp_path: Path) -> None:
    result = run_of(case, tmp_path / "out")
    lines = list(csv.DictReader((tmp_path / "out" / "images.csv").read_text().splitlines()))
    assert list(lines[0])[-12:-10] == ["fgsm_reference_inside", "fgsm_reference_linf"]
    for line in lines:
        for network in ("reference", "quantised"):
            verdict, inside = line[f"{network}_verdict"], line[f"fgsm_{network}_inside"]
            assert inside == "" if not verdict else inside in ("yes", "no")
            assert not (verdict == "ROBUST" and inside == "yes")
            assert (line[f"pgd:eps=0.3_{network}_linf"] != "") is bool(verdict)
    assert {line["fgsm_reference_inside"] for line in lines} == {"yes", "no", ""}
    document = result.json()["attacks"]
    assert [each["label"] for each in document["each"]] == [
        "fgsm", "pgd:eps=0.0313725", "pgd:eps=0.3"
    ]  # fmt: skip
    assert document["gradients"]["quantised"] == {
        "model": "weights", "of": "quantised", "exact": True, "agreement": 1.0
    }  # fmt: skip
    page = (tmp_path / "out" / "table.md").read_text()
    assert "## Verdicts and attacks, image by image" in page
    assert f"| {BROKEN} | NOT\\_ROBUST | NOT\\_ROBUST | 0.0314 inside |" in page


def lying(images: Sequence[int]) -> Any:
    """A door that calls what it found NOT_ROBUST robust, around some images."""

    def decide(query: Any, solver: Any) -> Decision:
        found = honest(query, solver)
        if query.spots.image not in images:
            return found
        fair = [
            replace(each, status=Status.ROBUST, witness=None, reason=None)
            for each in found.verdicts
        ]
        return replace(found, verdicts=tuple(fair))

    return decide


def test_a_planted_robust_sounds_the_alarm_and_stores_nothing_of_the_image(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 from a whole run; without attacks nobody would know."""
    monkeypatch.setattr(classify, "decide", lying([BROKEN]))
    line = ["relrob", "verify", str(case.reference), str(case.simulated)]
    line += ["--dataset", str(case.data), "--region", "linf-8", "--images", "0:4"]
    line += ["--workers", "1", "--time-limit", "5", "--json"]
    for more, code in (([], 0), (["--attacks", "pgd:steps=10"], 4)):
        out = tmp_path / f"out{code}"
        monkeypatch.setattr("sys.argv", [*line, *more, "--out", str(out)])
        assert run() == code
        told = capsys.readouterr()
        with Store.read(out) as store:
            assert (BROKEN in store.done()) is (code == 0)
            assert ROBUST in store.done()
    assert '"exit_code": 4' in told.out + told.err
    assert f"image {BROKEN}: the reference network gives" in told.out + told.err
    assert not (out / "summary.json").exists()


def blind(name: str) -> Any:
    """Gradients of all networks but those of that file."""

    def found(network: Network) -> DenseGradients | None:
        dense = network.dense
        return None if Path(network.path).name == name or dense is None else DenseGradients(dense)

    return found


def pair(case: Case) -> tuple[Network, Network]:
    return (
        load_network(case.reference, image_shape=(8, 8, 1), classes=4),
        load_network(case.simulated, image_shape=(8, 8, 1), classes=4),
    )


def test_a_network_without_gradients_is_lent_the_other_s(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = pair(case)
    images = np.random.default_rng(0).random((50, 64)).astype(np.float32)
    for lender, name in (("quantised", "ref.onnx"), ("reference", "grid.onnx")):
        monkeypatch.setattr(attacks, "gradients_of", blind(name))
        one, other = models_of(["pgd"], networks)
        assert one.model is other.model is not None
        assert one.of == other.of == lender
        told = header_of(["pgd"], 0, networks, images)["gradients"]
        assert {each["of"] for each in told.values()} == {lender}
        said = [open_network(network).outputs(images).argmax(axis=1) for network in networks]
        same = round(float(np.mean(said[0] == said[1])), 6)
        assert {each["agreement"] for each in told.values()} == {1.0, same}


def test_no_gradients_at_all_are_refused_and_not_needed_by_others(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = pair(case)
    monkeypatch.setattr(attacks, "gradients_of", lambda network: None)
    with pytest.raises(UsageError, match=r"attack pgd, which takes gradients, where .* have none"):
        armed(["pgd"], networks)
    needs = attacks.entry_of("pgd")
    monkeypatch.setattr(attacks, "ATTACKS", (replace(needs, needs="outputs"),))
    (one,) = armed(["pgd"], networks)
    assert one.models == (None, None)
    assert header_of(["pgd"], 0, networks, np.zeros((1, 64), np.float32))["gradients"][
        "reference"
    ] == {"model": "", "of": "", "exact": False, "agreement": None}
