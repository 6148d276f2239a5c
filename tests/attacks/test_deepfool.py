"""DeepFool: closed forms on one and two layers, the authors' loop written again, ART's, and what it
cannot break."""

from __future__ import annotations

import numpy as np
import pytest

from relrob.attacks.goal import Goal
from relrob.attacks.parameters import named
from relrob.attacks.victim import Seeds, Victim
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense
from relrob.errors import UsageError
from tests import attack_cases as cases
from tests.make_networks import forward
from tests.support import numpy_opened


@pytest.mark.parametrize("form", ["authors", "art"])
def test_one_layer_takes_one_step_of_known_length(form: str) -> None:
    dense, images = cases.linear(), cases.images(20)
    labels = forward(dense, images).argmax(axis=1)
    found = cases.attack(f"deepfool:overshoot=0.02:form={form}", dense, images)
    beyond = 1e-4 if form == "authors" else 0.0
    expected = 1.02 * (cases.linear_distance(dense, images, labels) + beyond)
    assert np.allclose(cases.norms(found), expected, rtol=1e-3)
    assert found.success.all()
    if form == "authors":
        assert (found.gradients == 1 + 5 + 1).all()


def test_the_step_is_along_the_normal_of_the_nearest_boundary() -> None:
    dense, images = cases.linear(classes=2), cases.images(5)
    weights = dense.layers[0].weights.astype(np.float64)
    normal = weights[:, 1] - weights[:, 0]
    found = cases.attack("deepfool", dense, images)
    moves = found.adversarial.astype(np.float64) - images
    along = np.abs(moves @ normal) / np.linalg.norm(normal) / np.linalg.norm(moves, axis=1)
    assert np.allclose(along, 1, atol=1e-4)


def test_two_layers_of_known_distance() -> None:
    image = cases.single([[0.6, 0.55], [0.52, 0.6]])
    found = cases.attack("deepfool:overshoot=0.001", cases.cone(), image)
    left = 0.25 - np.abs(image - 0.5).sum(axis=1)
    assert found.clean.tolist() == [0, 0] and found.found.tolist() == [1, 1]
    assert np.allclose(cases.norms(found), left / np.sqrt(2), rtol=5e-3)


def authors(dense: Dense, image: Doubles, steps: int, overshoot: float) -> Doubles:
    """The loop of the authors' code for one image, with the Jacobian from products of matrices."""

    def jacobian(at: Doubles) -> tuple[Doubles, Doubles]:
        values, slope = at, np.eye(len(at))
        for layer in dense.layers:
            weights = layer.weights.astype(np.float64)
            values, slope = values @ weights + layer.bias, slope @ weights
            if layer.relu:
                values, slope = np.maximum(values, 0), slope * (values > 0)
        return values, slope.T

    label = int(jacobian(image)[0].argmax())
    total, at = np.zeros_like(image), image.copy()
    for _ in range(steps):
        logits, slope = jacobian(at)
        if int(logits.argmax()) != label:
            break
        best, step = np.inf, np.zeros_like(image)
        for other in range(len(logits)):
            if other == label:
                continue
            normal = slope[other] - slope[label]
            length = np.linalg.norm(normal)
            distance = abs(logits[other] - logits[label]) / length
            if distance < best:
                best, step = distance, (distance + 1e-4) * normal / length
        total += step
        at = np.clip(image + (1 + overshoot) * total, 0, 1)
    return at


@pytest.mark.parametrize("steps", [1, 3, 50])
@pytest.mark.parametrize("low", [0.0, 0.3])
def test_the_authors_form_is_the_authors_loop(steps: int, low: float) -> None:
    dense, images = cases.deep(), cases.images(12, seed=1, low=low, high=1 - low)
    found = cases.attack(f"deepfool:steps={steps}:overshoot=0.05", dense, images)
    for mine, image in zip(found.adversarial, images, strict=True):
        other = authors(dense, image.astype(np.float64), steps, 0.05)
        assert np.allclose(mine, other, atol=2e-4)


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_the_other_form_is_that_of_art(steps: int) -> None:
    pytest.importorskip("art", reason="needs relrob[art]")
    dense, images = cases.deep(2), cases.images(12, seed=2, low=0, high=1)
    mine = cases.attack(f"deepfool:steps={steps}:overshoot=0.02:form=art", dense, images)
    text = f"art:deepfool:max_iter={steps}:epsilon=0.02:batch_size=4"
    theirs = cases.attack(text, dense, images)
    assert (mine.success == theirs.success).all() and (steps < 30 or mine.success.any())
    assert np.allclose(mine.adversarial, theirs.adversarial, atol=1e-3)


def test_no_nearer_than_the_boundary_and_not_far_beyond_it() -> None:
    dense, images = cases.linear(3), cases.images(20, seed=3)
    labels = forward(dense, images).argmax(axis=1)
    found = cases.attack("deepfool:overshoot=0.02", dense, images)
    exact = cases.linear_distance(dense, images, labels)
    assert (cases.norms(found)[found.success] >= exact[found.success] * 0.9999).all()


def test_targets_are_reached_at_the_distance_of_their_own_boundary() -> None:
    dense, images = cases.linear(4, classes=2), cases.images(10, seed=4)
    labels = forward(dense, images).argmax(axis=1)
    found = cases.attack("deepfool", dense, images, targets=1 - labels)
    expected = 1.02 * (cases.linear_distance(dense, images, labels) + 1e-4)
    assert found.success.all() and np.allclose(cases.norms(found), expected, rtol=1e-3)
    deep = cases.deep(1)
    many = cases.attack("deepfool", deep, images, targets=np.full(10, 3))
    assert many.success.all() and (many.found == 3).all()


def test_an_image_that_is_wrong_already_stays_as_it_is() -> None:
    dense, images = cases.deep(), cases.images(6)
    wrong = (forward(dense, images).argmax(axis=1) + 1) % 5
    found = cases.attack("deepfool", dense, images, labels=wrong)
    assert found.success.all() and (found.adversarial == images).all()


@pytest.mark.parametrize("form", ["authors", "art"])
def test_without_gradients_it_says_so(form: str) -> None:
    found = cases.attack(f"deepfool:form={form}", cases.constant(), cases.images(3))
    assert not found.success.any() and (found.adversarial == found.images).all()
    assert found.words == {0: "no signal", 1: "no signal", 2: "no signal"}


def test_fewer_candidates_look_at_fewer_boundaries() -> None:
    dense, images = cases.linear(5, classes=5), cases.images(30, seed=5)
    ranked = np.argsort(-forward(dense, images), axis=1)
    weights = dense.layers[0].weights.astype(np.float64).T
    logits = forward(dense, images)
    here = np.arange(30)
    gap = logits[here, ranked[:, 0]] - logits[here, ranked[:, 1]]
    length = np.linalg.norm(weights[ranked[:, 0]] - weights[ranked[:, 1]], axis=1)
    found = cases.attack("deepfool:candidates=2:steps=1", dense, images)
    assert np.allclose(cases.norms(found), 1.02 * (gap / length + 1e-4), rtol=1e-3)
    assert (found.gradients == 1 + 2 + 1).all()


def test_the_history_ends_at_the_distance_found() -> None:
    found = cases.attack("deepfool", cases.deep(), cases.images(8))
    assert np.isinf(found.history[0]).all()
    assert np.allclose(found.history[-1], cases.norms(found), rtol=1e-4)


class Tied:
    """Logits as coarse as those of a quantised network: always the same, with a slope all the
    same."""

    classes, exact, name = 2, True, "ties"

    def logits(self, images: Floats) -> Floats:
        return np.zeros((len(images), 2), np.float32)

    def pulled(self, images: Floats, seeds: Seeds) -> tuple[Floats, Floats]:
        logits = self.logits(images)
        return logits, seeds(logits)[:, :1] * np.ones_like(images)


def test_a_tie_that_no_step_leaves_is_remarked() -> None:
    made = named("deepfool:steps=3")[1]
    opened = numpy_opened(cases.constant(2), (6, 6, 1))
    victim, images = Victim(opened, 2, Tied()), cases.images(2)
    made.run(victim, images, Goal(np.zeros(2, np.int64)), np.random.default_rng(0))
    assert victim.words == {0: "stopped at a tie of logits", 1: "stopped at a tie of logits"}


def test_an_attack_that_uses_it_inside_remarks_on_no_image() -> None:
    victim, images = Victim(numpy_opened(cases.constant(2), (6, 6, 1)), 2, Tied()), cases.images(2)
    goal = Goal(np.zeros(2, np.int64))
    named("uap-deepfool:passes=1")[1].run(victim, images, goal, np.random.default_rng(0))
    assert victim.words == {}


def test_an_emulation_is_not_believed_but_the_file_asked() -> None:
    dense, images = cases.deep(), cases.images(20)
    alone = cases.attack("deepfool", dense, images, exact=True)
    asked = cases.attack("deepfool", dense, images, exact=False)
    assert (alone.queries == 0).all() and (asked.queries > 0).all()
    assert (alone.adversarial == asked.adversarial).all()


def test_a_bad_parameter_is_refused_in_one_line() -> None:
    for text in ("steps=0", "overshoot=-1", "candidates=1", "form=foolbox", "overshoot=nan"):
        with pytest.raises(UsageError, match=text.partition("=")[0]):
            named(f"deepfool:{text}")


def test_the_same_bytes_again_whatever_the_batch() -> None:
    dense, images = cases.deep(), cases.images(10)
    whole = cases.attack("deepfool", dense, images).adversarial
    assert (whole == cases.attack("deepfool", dense, images).adversarial).all()
    parts: list[Floats] = [
        cases.attack("deepfool", dense, each[None]).adversarial for each in images
    ]
    assert np.allclose(whole, np.concatenate(parts), atol=1e-5)
