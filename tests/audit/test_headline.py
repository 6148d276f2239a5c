"""The first sentence, and what is new since a baseline."""

from __future__ import annotations

from relrob.audit.baseline import changes
from relrob.audit.facts import facts_of
from relrob.audit.headline import beside, changed_since, headline
from relrob.audit.rows import Row
from tests.audit.made import KEPT, LOST, OPEN, sampled

UNKNOWN = "UNKNOWN"


def test_the_sentence_of_the_contract() -> None:
    verdicts = [KEPT] * 83 + [LOST] + [OPEN] * 2
    rows = [
        sampled(index if verdict is not LOST else 1022, verdict)
        for index, verdict in enumerate(verdicts)
    ]
    assert headline(rows) == (
        "of 86 images where the reference is robust, the quantised network is "
        "proved robust on 83, fooled on 1 (image 1022), 2 undecided"
    )


def test_what_is_run_and_what_is_proved_are_never_in_one_number() -> None:
    """A proved reference and a black box; then a black box beside a black box."""
    mixed = [
        sampled(0, KEPT),
        sampled(1, KEPT, by=("proved", "run")),
        sampled(2, KEPT, by=("proved", "run")),
    ]
    assert "proved robust on 1, right at every point on 2, fooled on 0" in headline(mixed)
    run = [sampled(0, KEPT, by=("run", "run")), sampled(1, LOST, by=("run", ""))]
    told = headline([*mixed, *run])
    assert told.startswith("of 3 images where the reference is robust, ")
    assert "; of 2 images where the reference is right at every point" in told
    assert "fooled on 1 (image 1)" in told


def test_searches_prove_nothing_and_shared_witnesses_lose_nothing() -> None:
    rows = [
        sampled(0, (UNKNOWN, "NOT_ROBUST"), witness=1),  # the reference is right there
        sampled(1, (UNKNOWN, "NOT_ROBUST"), witness=2),  # and wrong here
        sampled(2, (UNKNOWN, UNKNOWN)),
    ]
    assert headline(rows) == (
        "of 2 images where nothing is proved of the reference and a search did not fool it, "
        "the quantised network was fooled on 1 (image 0)"
    )
    facts = facts_of(rows)
    assert (facts.fooled, facts.lost, facts.undecided) == (
        frozenset({0}),
        frozenset(),
        frozenset({0, 1, 2}),
    )


def test_images_on_which_the_reference_fails_are_told_beside() -> None:
    """With the headline's images they are all that were sampled."""
    rows = [
        sampled(0, KEPT),
        sampled(1, LOST),
        sampled(2, OPEN),
        sampled(3, ("NOT_ROBUST", "NOT_ROBUST")),
        sampled(4, (UNKNOWN, "NOT_ROBUST"), witness=2),  # the reference is fooled there as well
        sampled(5, ("", "")),
        Row(6, 1, 2, 2),
    ]
    assert headline(rows).startswith("of 3 images")
    assert beside(rows) == (
        "the reference itself is wrong on 1 unperturbed (image 5) and fooled on 2 (images 3, 4) "
        "of 6"
    )
    assert beside(rows[:3]) == beside([]) == ""


def test_nothing_sampled_and_nothing_robust() -> None:
    assert headline([Row(0, 1, 1, 1)]) == ""
    assert headline([sampled(0, ("NOT_ROBUST", "ROBUST"))]) == (
        "of 1 image, the reference is robust on none"
    )


def test_what_became_of_the_lost_images() -> None:
    then = facts_of([sampled(0, LOST), sampled(1, LOST), sampled(2, KEPT), sampled(3, LOST)])
    now = facts_of([sampled(0, LOST), sampled(1, KEPT), sampled(2, LOST), sampled(3, OPEN)])
    found = changes(now, then)
    assert (found.new, found.mended, found.kept) == ((2,), (1,), (0,))
    assert changed_since(found) == (
        "since the baseline, newly lost: image 2; mended: image 1; lost before and now: image 0"
    )
