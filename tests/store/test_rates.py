"""Shares with undecided images, against every decision of these: the least and the greatest share,
and the interval that encloses all intervals."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from itertools import combinations, product
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.record import Record, Set
from relrob.store import proportions, transfers
from relrob.store.grounds import Grounds, ground, grounds
from relrob.store.proportions import Proportion, wilson
from relrob.store.summarise import summarise
from tests.make_records import changed, make_header

WHOLES = {"R_Q^FP": "R", "R^FP": "R", "R_Q": "R_NOT", "R^0": "R_NOT", "R^mixed": "R_NOT"}
WORDS = ("ROBUST", "NOT_ROBUST", "UNKNOWN")


def final_sets(reference: str, quantised: str) -> list[str]:
    """Every set that an image with these verdicts can come to, by Duncan et al. 2020, Sec. III."""
    found = []
    for one in WORDS[:2] if reference == "UNKNOWN" else (reference,):
        for two in WORDS[:2] if quantised == "UNKNOWN" else (quantised,):
            if one == "ROBUST":
                found.append("R_Q^FP" if two == "ROBUST" else "R^FP")
            else:
                found += ["R_Q"] if two == "ROBUST" else ["R_Q", "R^0", "R^mixed"]
    return found


@st.composite
def images(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """(reference, quantised, set) of a few images of L_cc."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        verdicts = draw(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)))
        done = "UNKNOWN" not in verdicts
        which = draw(st.sampled_from(final_sets(*verdicts))) if done else "unknown"
        found.append((*verdicts, which))
    return found


def decided(given_: list[tuple[str, str, str]]) -> Iterator[tuple[str, ...]]:
    """The sets of the images, for every decision."""
    return product(*(final_sets(r, q) if s == "unknown" else [s] for r, q, s in given_))


@settings(max_examples=250)
@given(images())
def test_bounds_are_those_of_all_decisions(given_: list[tuple[str, str, str]]) -> None:
    records = [Record(i, 1, 1, 1, Set(s), r, q) for i, (r, q, s) in enumerate(given_)]
    summary = summarise(records, make_header(len(records)), 0.0)
    for name, whole in WHOLES.items():
        inside = {part for part, above in WHOLES.items() if above == whole}
        pairs = {
            (sets.count(name), sum(each in inside for each in sets)) for sets in decided(given_)
        }
        pairs = {(k, n) for k, n in pairs if n}
        share = summary.shares[name]
        if not pairs:
            assert (share.bounds, share.interval, share.value) == (None, None, None)
            continue
        ratios = [k / n for k, n in pairs]
        assert share.bounds == pytest.approx((min(ratios), max(ratios)), abs=1e-6)
        ends = [wilson(k, n) for k, n in pairs]
        assert share.interval == pytest.approx(
            (min(low for low, _ in ends), max(high for _, high in ends)), abs=1e-12
        )
        if share.value is not None:
            assert min(ratios) == max(ratios) == pytest.approx(share.value, abs=1e-6)
    found = summary.json()
    for key, name in (("relative_robustness", "R_Q^FP"), ("adversarial_transfer", "R^0")):
        bounds = summary.shares[name].bounds
        assert found[f"{key}_bounds"] == (None if bounds is None else list(bounds))
        assert found[key] is None or found[f"{key}_bounds"] == [found[key]] * 2
    unsure: dict[str, bool] = {"R": False, "R_NOT": False}
    for reference, _, which in given_:
        for whole, against in (("R", "NOT_ROBUST"), ("R_NOT", "ROBUST")):
            unsure[whole] |= which == "unknown" and reference != against
    assert not (unsure["R"] and found["relative_robustness"] is not None)
    assert not (unsure["R_NOT"] and found["adversarial_transfer"] is not None)


@given(st.tuples(*[st.integers(0, 3)] * 6))
def test_wilsons_ends_move_with_each_image(counts: tuple[int, ...]) -> None:
    """What `Proportion` rests on: another image in the part raises both ends, one outside lowers
    both."""
    k, more = counts[0] * 7, counts[1] * 5
    n = k + more + 1
    for end in (0, 1):
        assert wilson(k + 1, n + 1)[end] >= wilson(k, n)[end] - 1e-12
        assert wilson(k, n + 1)[end] <= wilson(k, n)[end] + 1e-12


POINTS = 3


def masks() -> list[tuple[frozenset[int], ...]]:
    """All (effective for the reference, for the quantised network, of these of least cost)."""
    subsets = [frozenset(s) for n in range(POINTS + 1) for s in combinations(range(POINTS), n)]
    return [
        (one, two, closest)
        for one, two in product(subsets, subsets)
        for closest in (s for s in subsets if s <= one and bool(s) == bool(one))
    ]


@st.composite
def counted(draw: st.DrawFn) -> list[Record]:
    """Records around three points, some counted, some with verdicts alone, some with neither."""
    records = []
    for index in range(draw(st.integers(1, 3))):
        one, two, closest = draw(st.sampled_from(masks()))
        known = [draw(st.sampled_from((True, True, False))) for _ in range(2)]
        verdicts = [
            ("NOT_ROBUST" if each else "ROBUST") if know or (each and draw(st.booleans())) else ""
            for each, know in zip((one, two), known, strict=True)
        ]
        record = Record(
            index, 1, 1, 1, Set.UNKNOWN, verdicts[0] or "UNKNOWN", verdicts[1] or "UNKNOWN", POINTS
        )
        effective = [
            len(each) if know else None for each, know in zip((one, two), known, strict=True)
        ]
        record = changed(record, reference_effective=effective[0], quantised_effective=effective[1])
        if all(known):
            record = changed(
                record,
                transferred=len(one & two),
                closest_effective=len(closest),
                closest_transferred=len(closest & two),
            )
        records.append(record)
    return records


def fits(record: Record, mask: tuple[frozenset[int], ...]) -> bool:
    """Does the record admit these points?"""
    one, two, closest = mask
    verdicts = (record.reference_verdict, record.quantised_verdict)
    return all(
        verdict == "UNKNOWN" or (verdict == "NOT_ROBUST") == bool(each)
        for verdict, each in zip(verdicts, (one, two), strict=True)
    ) and all(
        value is None or value == found
        for value, found in (
            (record.reference_effective, len(one)),
            (record.quantised_effective, len(two)),
            (record.transferred, len(one & two)),
            (record.closest_effective, len(closest)),
            (record.closest_transferred, len(closest & two)),
        )
    )


@settings(max_examples=150)
@given(counted())
def test_shares_over_points_are_those_of_all_counts(records: list[Record]) -> None:
    for share, place in ((transfers.over_points, 0), (transfers.of_closest, 2)):
        found = share(records)
        each = [
            {(len(m[place] & m[1]), len(m[place])) for m in masks() if fits(r, m)} for r in records
        ]
        sums = {(sum(t for t, _ in some), sum(e for _, e in some)) for some in product(*each)}
        ratios = [t / e for t, e in sums if e]
        if found.bounds is None:
            assert found.value is None
            uncounted = [r for r in records if r.reference_verdict != "ROBUST"]
            assert not ratios or all(r.transferred is None for r in uncounted)
            continue
        assert found.bounds == pytest.approx((min(ratios), max(ratios)), abs=1e-6)
        if found.value is not None:
            assert found.bounds == (found.value, found.value)


def test_what_has_no_number_of_points_is_not_counted() -> None:
    """A ball beside a counted image: nothing is known of the share."""
    fooled = Record(0, 1, 1, 1, Set.R0, "NOT_ROBUST", "NOT_ROBUST", 9, 2, 2, 2, 2, 1, 1)
    ball = Record(1, 1, 1, 1, Set.UNKNOWN, "UNKNOWN", "UNKNOWN")
    assert transfers.over_points([fooled]) == transfers.PointShare(1.0, (1.0, 1.0))
    assert transfers.over_points([fooled, ball]) == transfers.PointShare(None, None)
    assert transfers.over_points([ball]) == transfers.PointShare(None, None)


def test_robust_images_are_told_apart_by_what_that_rests_on() -> None:
    base = Record(0, 1, 1, 1, Set.RQFP, "ROBUST", "ROBUST", 100, decided_by="bounds,branch")
    both = changed(base, reference_proved=90, quantised_proved=0)
    assert (ground(both, "reference"), ground(both, "quantised")) == ("proved", "run")
    search = changed(base, decided_by="search,search")
    assert (ground(search, "reference"), ground(search, "quantised")) == ("searched", "searched")
    ball = changed(base, points=None)
    assert ground(ball, "quantised") == "proved"
    older = changed(base, decided_by="enumerate")
    assert {ground(older, name) for name in ("reference", "quantised")} == {"run"}
    assert ground(changed(base, evaluated=100), "quantised") == "run"
    assert ground(base, "quantised") == "proved"
    assert grounds([both, both, ball, search], "quantised") == Grounds(1, 2, 1)


@pytest.mark.parametrize("module", [proportions])
def test_the_examples_in_docstrings_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
    with pytest.raises(ValueError, match="not a proportion"):
        Proportion(part=-1)
