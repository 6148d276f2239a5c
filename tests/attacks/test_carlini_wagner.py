"""Carlini and Wagner's attack: ART's numbers, exact distances on one layer, the margin that it is
asked for."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.parameters import named
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Dense
from relrob.errors import UsageError
from tests import attack_cases as cases
from tests.make_networks import forward


@pytest.mark.parametrize(("kappa", "low"), [(0.0, 0.0), (0.0, 0.3), (0.5, 0.3)])
def test_the_distances_of_art(kappa: float, low: float) -> None:
    """ART sums in other orders; a comparison of two nearly equal losses may then fall differently,
    and the descents part."""
    pytest.importorskip("art", reason="needs relrob[art]")
    dense, images = cases.deep(3 if kappa else 2), cases.images(6, seed=2, low=low, high=1 - low)
    mine = cases.attack(f"cw:confidence={kappa}:steps=20:searches=5:const=1", dense, images)
    text = f"art:cw:confidence={kappa}:max_iter=20:binary_search_steps=5:initial_const=1"
    theirs = cases.attack(text, dense, images)
    assert (mine.success == theirs.success).all() and mine.success.mean() > 0.5
    ours, other = cases.norms(mine), cases.norms(theirs)
    assert np.median(np.abs(ours - other) / other.clip(1e-6)) < 0.01
    assert abs(ours.mean() - other.mean()) < 0.03 * other.mean()
    assert (mine.gradients <= theirs.gradients).all()


def test_the_distances_of_art_with_targets() -> None:
    pytest.importorskip("art", reason="needs relrob[art]")
    dense, images = cases.deep(2), cases.images(4, seed=5)
    targets = (forward(dense, images).argmax(axis=1) + 1) % 5
    mine = cases.attack("cw:const=0.1", dense, images, targets=targets)
    theirs = cases.attack("art:cw:initial_const=0.1", dense, images, targets=targets)
    assert (mine.success == theirs.success).all() and mine.success.any()
    assert abs(cases.norms(mine).mean() - cases.norms(theirs).mean()) < 0.03


def test_the_paper_form_bisects_to_the_exact_distance_of_one_layer() -> None:
    dense, images = cases.linear(classes=2), cases.images(10)
    labels = forward(dense, images).argmax(axis=1)
    exact = cases.linear_distance(dense, images, labels)
    found = cases.attack("cw:form=paper:steps=50:searches=15", dense, images)
    ratio = cases.norms(found) / exact
    assert found.success.all() and (ratio >= 0.9999).all() and (ratio < 1.05).all()
    coarse = cases.attack("cw:steps=50:searches=15", dense, images)
    assert (cases.norms(coarse) >= cases.norms(found) * 0.999).all()


def margins(dense: Dense, images: Floats, labels: Ints) -> Doubles:
    """The largest other logit minus the label's."""
    logits = forward(dense, images)
    here = np.arange(len(images))
    mine = logits[here, labels]
    logits[here, labels] = -np.inf
    return np.asarray(logits.max(axis=1) - mine)


@pytest.mark.parametrize("form", ["art", "paper"])
def test_the_margin_is_reached_or_the_image_left_alone(form: str) -> None:
    dense, images = cases.deep(3), cases.images(15, seed=3)
    labels = forward(dense, images).argmax(axis=1)
    near = cases.attack(f"cw:form={form}:const=0.1", dense, images)
    far = cases.attack(f"cw:form={form}:const=0.1:confidence=2:steps=20", dense, images)
    moved = (far.adversarial != images).any(axis=1)
    assert moved.any()
    assert (margins(dense, far.adversarial, labels)[moved] >= 2 - 1e-4).all()
    both = moved & near.success
    assert cases.norms(far)[both].mean() > cases.norms(near)[both].mean()
    few = cases.attack(f"cw:form={form}:confidence=2:steps=1:searches=1", dense, images)
    assert not few.success.any() and (few.adversarial == images).all()


def test_only_what_the_margin_counts_is_kept_nearest() -> None:
    found = cases.attack("cw:const=0.1", cases.deep(), cases.images(10))
    won = found.success
    assert won.any()
    assert np.allclose(found.history[-1][won], cases.norms(found)[won], rtol=1e-4)
    steps = np.array(found.history)[:, won]
    assert (steps[1:] <= steps[:-1]).all()


def test_an_emulation_is_not_believed_but_the_file_asked() -> None:
    dense, images = cases.deep(), cases.images(10)
    asked = cases.attack("cw:const=0.1", dense, images, exact=False)
    alone = cases.attack("cw:const=0.1", dense, images)
    assert (asked.queries > 0).all() and (alone.queries == 0).all()
    assert np.allclose(asked.adversarial, alone.adversarial, atol=1e-5)


@pytest.mark.parametrize("form", ["art", "paper"])
def test_it_never_finds_what_is_not_there(form: str) -> None:
    found = cases.attack(f"cw:form={form}", cases.constant(), cases.images(3))
    assert not found.success.any() and (found.adversarial == found.images).all()
    assert np.isinf(found.history[-1]).all()


def test_the_same_bytes_again() -> None:
    dense, images = cases.deep(), cases.images(6)
    one, two = (cases.attack("cw", dense, images).adversarial for _ in range(2))
    assert (one == two).all()


def test_a_bad_parameter_is_refused_in_one_line() -> None:
    for text in ("confidence=-1", "steps=0", "searches=0", "const=0", "rate=0", "form=x"):
        with pytest.raises(UsageError, match=text.partition("=")[0]):
            named(f"cw:{text}")
