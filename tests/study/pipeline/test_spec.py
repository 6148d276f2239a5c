"""Studies of stages as TOML: which stages a file means, and which files are refused."""

from __future__ import annotations

import pytest

from relrob.errors import UsageError
from relrob.study.pipeline.spec import Pipeline, is_pipeline, read_pipeline
from tests.study.pipeline.toy import KINDS, TEXT


def read(text: str = TEXT, profile: str = "") -> Pipeline:
    return read_pipeline("sums", text, profile, KINDS)


def test_lists_make_every_combination_and_inputs_agree_on_their_axes() -> None:
    pipeline = read()
    assert pipeline.groups == ("a", "b", "both")
    assert [stage.described for stage in pipeline.stages if stage.group == "a"] == [
        "a value=10 seed=0",
        "a value=10 seed=1",
        "a value=20 seed=0",
        "a value=20 seed=1",
    ]
    both = [stage for stage in pipeline.stages if stage.group == "both"]
    assert len(both) == 2 * 2 * 2
    for stage in both:
        assert stage.inputs["left"].axes["seed"] == stage.inputs["right"].axes["seed"]
        assert stage.axes == {"factor": stage.options["factor"], **stage.inputs["left"].axes}


def test_across_lets_an_axis_differ() -> None:
    text = TEXT.replace('right = "b"', 'right = "b"\nacross = ["seed"]')
    both = [stage for stage in read(text).stages if stage.group == "both"]
    assert len(both) == 2 * 2 * 2 * 2
    assert {(s.axes["seed"], s.axes["right.seed"]) for s in both} == {
        (0, 0), (0, 1), (1, 0), (1, 1)
    }  # fmt: skip


def test_an_input_of_several_groups_has_the_stages_of_each() -> None:
    text = TEXT.replace('left = "a"', 'left = ["a", "b"]')
    assert len([s for s in read(text).stages if s.group == "both"]) == 2 * (4 + 2)


def test_profiles_stand_for_values_and_the_first_is_taken() -> None:
    assert (read().profile, len(read().stages)) == ("small", 4 + 2 + 8)
    assert len(read(profile="large").stages) == 6 + 3 + 12


def test_a_digest_follows_from_options_and_inputs_alone() -> None:
    renamed = TEXT.replace('"a"', '"other"').replace("Sums", "Other sums")
    assert [s.digest for s in read(renamed).stages] == [s.digest for s in read().stages]
    changed = {s.digest for s in read(TEXT.replace("value = 5", "value = 6")).stages}
    assert changed & {s.digest for s in read().stages} == {
        s.digest for s in read().stages if s.group == "a"
    }


def test_groups_may_stand_in_any_order() -> None:
    head, _, rest = TEXT.partition("[[number]]")
    numbers, _, sums = rest.partition("[[sum]]")
    turned = f"{head}[[sum]]{sums}[[number]]{numbers}"
    assert {s.digest for s in read(turned).stages} == {s.digest for s in read().stages}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title", "titel", "option 'titel'"),
        ("value = 5", 'value = "5"', "b: value = '5'; accepted: a whole number"),
        ("value = 5", "value = true", "b: value = True"),
        ("value = 5", "value = []", "b: value = []"),
        ("value = 5", "speed = 5", "b: option 'speed'; accepted: name, across, value, seed"),
        ('right = "b"', 'right = "c"', "both: group 'c'; accepted:"),
        ('right = "b"', 'right = "both"', "both read each other"),
        ('left = "a"', "", "both: no left"),
        ('name = "b"', 'name = "a"', "two groups with the name a"),
        ('name = "b"', "", "a number without a name"),
        ('"$seeds"', '"$seed"', "a: $seed; accepted: $seeds"),
        ('value = 5\nseed = "$seeds"', "value = 5\nseed = [7, 8]", "no inputs agree"),
        ("[[number]]", "[number]", "study sums"),
        ('left = "a"', 'left = "a"\nacross = "seed"', "across 'seed'"),
    ],
)
def test_a_mistake_is_named_with_its_group(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(UsageError) as caught:
        read(TEXT.replace(old, new, 1) if old != '"$seeds"' else TEXT.replace(old, new))
    assert says in str(caught.value)


def test_an_unknown_profile_and_an_empty_study_are_refused() -> None:
    with pytest.raises(UsageError, match="no profile 'big'; accepted: small, large"):
        read(profile="big")
    with pytest.raises(UsageError, match="without a stage"):
        read('title = "nothing"')


def test_studies_of_stages_are_told_from_grids() -> None:
    assert is_pipeline({"train": []})
    assert not is_pipeline({"grid": []})
