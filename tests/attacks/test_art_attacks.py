"""ART's attacks through our protocol: they break what can be broken, draw from our seed alone, and
count what they ask."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from relrob.attacks.parameters import named
from relrob.attacks.table import ATTACKS
from relrob.attacks.universal import Universal
from relrob.errors import UsageError
from tests import attack_cases as cases
from tests.make_networks import forward
from tests.support import random_dense

EVERY = tuple(entry.name for entry in ATTACKS if entry.extra == "art")
QUICK = {
    "art:bim": "max_iter=10",
    "art:pgd": "max_iter=10:num_random_init=1",
    "art:jsma": "theta=1",
    "art:cw": "initial_const=10:binary_search_steps=3",
    "art:elastic-net": "initial_const=50:max_iter=20:binary_search_steps=1:learning_rate=0.1",
    "art:boundary": "max_iter=5",
    "art:hopskipjump": "max_iter=2",
    "art:square": "max_iter=50:eps=0.5",
}
UNTARGETED = {"art:deepfool", "art:uap", "art:square"}


@pytest.fixture(autouse=True)
def art() -> None:
    pytest.importorskip("art", reason="needs relrob[art]")


def numpy_state() -> tuple[bytes, int]:
    """The state of NumPy's global generator."""
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tobytes(), int(state["pos"])


def quick(name: str) -> str:
    return f"{name}:{QUICK[name]}" if name in QUICK else name


@pytest.mark.parametrize("name", EVERY)
def test_each_breaks_what_can_be_broken_from_one_seed(name: str) -> None:
    dense, images = cases.linear(1, classes=3), cases.images(6)
    held, held_too = random.getstate(), numpy_state()
    one, two = (cases.attack(quick(name), dense, images, seed=3) for _ in range(2))
    assert one.success.mean() > 0.5
    assert np.array_equal(one.adversarial, two.adversarial)
    assert random.getstate() == held and numpy_state() == held_too
    entry = next(each for each in ATTACKS if each.name == name)
    assert entry.universal is isinstance(named(name)[1], Universal)
    asked = one.gradients if entry.needs == "gradients" else one.queries
    idle = one.queries if entry.needs == "gradients" else one.gradients
    assert (asked > 0).all() and not idle.any()


@pytest.mark.parametrize("name", EVERY)
def test_none_finds_what_is_not_there(name: str) -> None:
    found = cases.attack(quick(name), cases.constant(), cases.images(2))
    assert not found.success.any()
    if name in ("art:boundary", "art:hopskipjump"):
        assert found.words == {0: "no start", 1: "no start"}
        assert (found.adversarial == found.images).all()


@pytest.mark.parametrize("name", sorted(set(EVERY) - UNTARGETED))
def test_targets_are_aimed_at(name: str) -> None:
    dense, images = cases.linear(1, classes=3), cases.images(4)
    targets = (forward(dense, images).argmax(axis=1) + 1) % 3
    found = cases.attack(quick(name), dense, images, targets=targets)
    assert found.success.mean() >= 0.5


@pytest.mark.parametrize("name", sorted(UNTARGETED))
def test_targets_are_refused_where_there_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="target"):
        cases.attack(quick(name), cases.deep(), cases.images(2), targets=np.array([1, 1]))


def test_random_starts_follow_the_seed() -> None:
    dense, images = cases.deep(1), cases.images(4)
    for name in ("art:boundary", "art:hopskipjump", "art:square"):
        one, two = (cases.attack(quick(name), dense, images, seed=seed) for seed in (0, 1))
        assert (one.adversarial != two.adversarial).any()


def test_the_text_names_all_parameters_and_refuses_others() -> None:
    text, _ = named("art:deepfool:max_iter=5")
    assert text == "art:deepfool:max_iter=5:epsilon=1e-06:nb_grads=10:batch_size=1"
    assert named(text)[0] == text
    assert named("art:pgd:norm=l2")[0].startswith("art:pgd:norm=l2:")
    with pytest.raises(UsageError, match="max_iter, epsilon"):
        named("art:deepfool:steps=5")
    with pytest.raises(UsageError, match="art:square"):
        named("art:foolbox")
    for text in ("art:deepfool:max_iter=0", "art:fgsm:eps=-1", "art:hopskipjump:norm=l1"):
        with pytest.raises(UsageError, match=text.split(":")[2].partition("=")[0]):
            named(text)


def test_what_art_refuses_is_one_line() -> None:
    with pytest.raises(UsageError, match="ART refuses"):
        cases.attack("art:jsma:gamma=2", cases.deep(), cases.images(1))
    oblong = random_dense(0, (8, 3))
    with pytest.raises(UsageError, match="ART refuses"):
        cases.attack("art:square", oblong, np.full((1, 8), 0.5, np.float32))


def test_without_art_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "art"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("relrob.attacks.art_attacks", "relrob.attacks.art_estimator"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "art", None)
    with pytest.raises(UsageError, match=r"pip install 'relrob\[art\]'"):
        named("art:fgsm")


def test_no_other_attack_imports_art_or_tensorflow() -> None:
    code = (
        "import sys; from relrob.attacks.parameters import named\n"
        "from relrob.attacks.table import ATTACKS\n"
        "[named(each.name) for each in ATTACKS if not each.extra]\n"
        "print(*{'art', 'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
