"""An attack as it is asked for, and a universal perturbation that is fitted on other images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relrob.attacks import craft
from relrob.attacks.attack import generator
from relrob.attacks.craft import Asked, crafted
from relrob.attacks.goal import Goal
from relrob.attacks.universal import Universal
from relrob.attacks.victim import Victim
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from tests.support import numpy_opened, random_dense

SHAPE = (4, 5, 1)
OPENED = numpy_opened(random_dense(1, (20, 12, 4)), SHAPE)
IMAGES = np.random.default_rng(3).random((60, 20), dtype=np.float32)
TRUTH = labels(OPENED.evaluator.outputs(IMAGES))


def test_the_text_has_every_parameter() -> None:
    assert Asked.of("fgsm", eps="1/4").text == Asked.of("fgsm:eps=0.25").text == "fgsm:eps=0.25"
    assert Asked.of("fgsm").needs == "gradients"
    assert Asked.of("sgd-uap").universal and not Asked.of("fgsm").universal


@pytest.mark.parametrize(
    ("text", "parameters", "words"),
    [
        ("nosuch", {}, "attack 'nosuch'"),
        ("fgsm:eps=0.1", {"eps": 0.2}, "with eps twice"),
        ("fgsm:eps=0.1:eps=0.1", {}, "with eps twice"),
        ("fgsm", {"steps": 3}, "no parameter 'steps'"),
        ("fgsm", {"eps": "big"}, "eps 'big'"),
        ("fgsm:0.1", {}, "'0.1' in attack"),
    ],
)
def test_parameters_are_typed_or_refused(text: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Asked.of(text, **parameters)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(UsageError, match="seed -1"):
        Asked.of("fgsm", -1)


def test_a_network_without_gradients_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = numpy_opened(random_dense(1, (20, 12, 4)), SHAPE)
    monkeypatch.setattr(craft, "gradients_of", lambda network: None)
    assert Asked.of("boundary").model(hidden.network) is None
    with pytest.raises(UsageError, match="fgsm needs gradients"):
        Asked.of("fgsm").model(hidden.network)


def test_fgsm_is_the_formula() -> None:
    found = crafted(Asked.of("fgsm:eps=0.1"), OPENED, IMAGES, Goal(TRUTH))
    dense = OPENED.network.dense
    assert dense is not None and found.fitted is None
    first, second = (layer.weights.astype(float) for layer in dense.layers)
    for at in range(len(IMAGES)):
        hidden = IMAGES[at] @ first + dense.layers[0].bias
        logits = np.maximum(hidden, 0) @ second + dense.layers[1].bias
        slope = np.exp(logits - logits.max())
        slope /= slope.sum()
        slope[TRUTH[at]] -= 1
        gradient = first @ ((second @ slope) * (hidden > 0))
        expected = np.clip(IMAGES[at] + 0.1 * np.sign(gradient), 0, 1)
        assert found.attacked.adversarial[at] == pytest.approx(expected, abs=1e-6)
    assert found.agreement == 1 and found.model is not None and found.model.exact


def test_a_perturbation_fitted_on_other_images_is_added_to_these() -> None:
    asked, others = Asked.of("sgd-uap:eps=0.2:epochs=3:batch=20", 5), IMAGES[:30]
    goal, fit = Goal(TRUTH[30:]), (others, Goal(TRUTH[:30]))
    found = crafted(asked, OPENED, IMAGES[30:], goal, fit)
    attack, model = asked.attack, asked.model(OPENED.network)
    assert isinstance(attack, Universal) and found.fitted is not None
    again = attack.fit(Victim(OPENED, 30, model), *fit, generator(5, asked.text)).perturbation
    assert found.fitted.perturbation.tobytes() == again.tobytes()
    expected = np.clip(IMAGES[30:] + again, 0, 1)
    assert found.attacked.adversarial.tobytes() == expected.tobytes()
    assert found.attacked.gradients.sum() == 0
    own = crafted(asked, OPENED, IMAGES[30:], goal)
    assert own.fitted is not None
    assert own.fitted.perturbation.tobytes() != again.tobytes()
    assert own.attacked.gradients.sum() > 0
