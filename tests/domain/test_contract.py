"""Input contracts as values: what is refused, and that the text of one gives it back."""

from __future__ import annotations

import shlex
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.domain.contract import (
    IDENTITY,
    InputContract,
    constant,
    exactly,
    input_options,
    spelled,
)
from relrob.errors import UsageError

POSITIVE = st.fractions(Fraction(1, 1000), 1000, max_denominator=10**6)
ANY = st.fractions(-1000, 1000, max_denominator=10**4).filter(lambda n: n == 0 or abs(n) > 1e-4)


@given(
    scale=POSITIVE,
    mean=st.lists(ANY, max_size=1) | st.lists(ANY, min_size=3, max_size=3),
    std=st.lists(POSITIVE, max_size=1) | st.lists(POSITIVE, min_size=3, max_size=3),
    bgr=st.booleans(),
)
def test_the_text_of_a_contract_gives_it_back(
    scale: Fraction, mean: list[Fraction], std: list[Fraction], bgr: bool
) -> None:
    contract = InputContract(scale, tuple(mean), tuple(std), bgr)
    words = shlex.split(contract.text())
    given = dict(zip(words[::2], words[1::2], strict=True))
    options = input_options(
        given.get("--input-scale"),
        given.get("--mean"),
        given.get("--std"),
        given.get("--channels"),
    )
    found = options.over(IDENTITY)
    assert found.text() == contract.text()
    assert (found.json() == {}) == found.identity == (contract.text() == "")
    assert (found.scale, found.bgr) == (scale, bgr)
    assert exactly(contract).over(InputContract(Fraction(2))) == contract


@given(number=ANY)
def test_numbers_are_spelled_exactly(number: Fraction) -> None:
    assert Fraction(spelled(number)) == number


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input_scale": "0"}, "input scale 0; accepted: 2^-30 to 2^30"),
        ({"input_scale": "-255"}, "input scale -255"),
        ({"input_scale": "1,2"}, "accepted: one number"),
        ({"input_scale": "1e999"}, "input scale '1e999'"),
        ({"input_scale": "nan"}, "exact numbers"),
        ({"mean": "1/0"}, "exact numbers"),
        ({"mean": ""}, "exact numbers"),
        ({"mean": "1e40"}, "mean"),
        ({"std": "0"}, "std 0"),
        ({"std": "1,2,"}, "exact numbers"),
        ({"mean": "1,2,3", "std": "1,2"}, "3 means and 2 stds"),
        ({"channels": "grb"}, "accepted: rgb, bgr"),
        ({"output": ""}, "the name of an output"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        input_options(**options)
    assert told in str(caught.value)


def test_numbers_of_channels() -> None:
    two = InputContract(mean=(Fraction(1), Fraction(2)))
    with pytest.raises(UsageError, match="2 means for images of 3 channels"):
        two.check(3)
    two.check(2)
    InputContract(std=(Fraction(1),)).check(3)


def test_numbers_of_python_are_texts() -> None:
    assert constant([0.485, Fraction(1, 3)]) == "0.485,1/3"
    assert constant(True) is True
    assert constant("255") == "255"
