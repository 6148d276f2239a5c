"""The public conformance suite on balls, lattices and fixed point: our solvers pass it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from relrob import registry
from relrob.domain.region import Lattice, Norm
from relrob.domain.verdict import Status
from relrob.errors import UsageError
from relrob.testing.asked import TWOS, asked
from relrob.testing.ball_suite import (
    ball_bound_complaints,
    ball_complaints,
    ball_order_complaints,
    ball_record_complaints,
)
from relrob.testing.balls import BallCase, ball_over_reals, random_ball_case
from relrob.testing.files import quantised_files
from relrob.testing.fixed import code_of, coded_ball, labels_of, lively_network
from relrob.testing.questions import inside, measured, room_of
from relrob_solvers.bounds_ball import Around
from tests import naive

REGIONS = ("linf", "l1", "l2", "l0", "lattice")
CLASSES = [*asked().balls]


def cases(seed: int, count: int, folder: Path) -> list[BallCase]:
    return [random_ball_case(seed, number, folder) for number in range(count)]


@pytest.mark.parametrize("name", CLASSES)
def test_our_solvers_pass(name: str, tmp_path: Path) -> None:
    solver, answers = asked().balls[name], Counter[str]()
    for number in range(70):
        case = random_ball_case(7, number, tmp_path)
        assert not [*ball_complaints(solver, case, answers)], number
        if number % 5 == 0:
            assert not [*ball_order_complaints(solver, case)], number
    assert answers[Status.NOT_ROBUST]
    assert bool(answers[Status.ROBUST]) == (name != "Searched")  # which proves nothing


def test_our_solvers_pass_over_the_reals(tmp_path: Path) -> None:
    for number in range(42):
        case = ball_over_reals(random_ball_case(8, number, tmp_path))
        told = [each for solver in asked().balls.values() for each in ball_complaints(solver, case)]
        assert not told, number


def test_bounds_and_records_pass(tmp_path: Path) -> None:
    for number in range(70):
        case = random_ball_case(9, number, tmp_path)
        assert not [
            each for opened in case.problem.networks for each in ball_bound_complaints(opened, case)
        ]
        assert not [*ball_record_complaints(case, number)]


def test_quantised_files_pass(tmp_path: Path) -> None:
    kinds = (("dynamic", "xnnpack"), ("int8", "builtin"))
    files = quantised_files(tmp_path, kinds=kinds, shape=(2, 2, 1)) + quantised_files(
        tmp_path, kinds=kinds
    )
    seen: Counter[bool] = Counter()
    for number in range(7, 7 + 8 * 16, 8):
        case = random_ball_case(3, number, tmp_path, files)
        assert case.name.startswith("file")
        for solver in (None, Around()):
            assert not [*ball_complaints(solver, case)], number
        seen[bool(case.wrong(1).any())] += 1
    assert set(seen) == {True, False}


def test_every_solver_class_of_the_tables_is_asked() -> None:
    targets = {entry.target.partition(":")[2] for entry in registry.SOLVERS}
    assert set(asked().classes) == {"auto", *targets}
    assert TWOS in asked().ladders
    assert set(asked(["smt"]).balls) == {"Integer", "Reals"} and set(asked(["smt"]).ladders) == {
        "Smt"
    }
    assert set(asked(["Phases"]).balls) == {"Phases"} and not asked(["Phases"]).ladders
    with pytest.raises(UsageError, match="nonsense"):
        asked(["auto", "nonsense"])


def test_cases_are_of_all_kinds_and_come_again(tmp_path: Path) -> None:
    found: Counter[tuple[str, str, bool]] = Counter()
    for number in range(420):
        case = random_ball_case(11, number, tmp_path)
        name, region = case.name.split()
        found.update(
            (name, region, bool(case.wrong(which).any())) for which in range(len(case.said))
        )
        if number < 30:
            again = random_ball_case(11, number, tmp_path)
            assert np.array_equal(case.question.points, again.question.points)
            assert case.problem.points.region == again.problem.points.region
            assert all(
                np.array_equal(one, two) for one, two in zip(case.said, again.said, strict=True)
            )
    wanted = {("steps", norm) for norm in REGIONS[:3]} | {("float", "lattice"), ("ties", "lattice")}
    wanted |= {(name, region) for name in ("fixed", "wide") for region in REGIONS} - {
        ("wide", "lattice")
    }
    assert {(name, region, wrong) for name, region in wanted for wrong in (True, False)} <= set(
        found
    )


def test_points_are_those_of_the_region_by_another_count(tmp_path: Path) -> None:
    """Balls of float32 steps against every float32 nearby; each listed point is one by the exact
    rule."""
    seen: Counter[str] = Counter()
    for number in range(0, 70):
        case = random_ball_case(13, number, tmp_path)
        region, points = case.problem.points.region, case.question.points
        if isinstance(region, Lattice):
            continue
        assert all(inside(point, points[0], region) for point in points[:40])
        if not case.question.every or len(points[0]) > 3:
            continue
        sides = []
        for value in points[0]:
            bits = int(np.float32(value).view(np.uint32))
            near = np.arange(bits - 24, bits + 25, dtype=np.uint32).view(np.float32)
            sides.append(
                [
                    each
                    for each in near
                    if abs(float(each) - float(value)) <= float(region.radius) * 1.001
                ]
            )
        if np.prod([len(side) for side in sides]) < 4000:
            every = {
                point
                for point in product(*sides)
                if inside(np.array(point, np.float32), points[0], region)
            }
            assert every == {tuple(point) for point in points}
            seen[region.kind] += 1
    assert set(seen) == {"linf", "l1", "l2"}


def test_lattices_have_the_points_of_the_naive_referee(tmp_path: Path) -> None:
    for number in range(2, 40, 7):
        case = random_ball_case(14, number, tmp_path)
        region, asked_of = case.problem.points.region, case.question
        assert isinstance(region, Lattice)
        moved = asked_of.points != asked_of.points[0]
        pixels, step = naive.exact_pixels(asked_of.image), region.step
        for point, where in zip(asked_of.points, moved, strict=True):
            total = Fraction(0)
            for pixel, value in ((pixels[i], point[i]) for i in np.flatnonzero(where)):
                targets = [
                    min(max(pixel + k * step, Fraction(0)), Fraction(1)) for k in range(-300, 301)
                ]
                total += min(
                    abs(each - pixel) for each in targets if naive.to_float32(each) == value
                )
            assert total <= region.radius
        assert case.problem.points.contains(asked_of.points[-1])


def test_codes_of_fixed_point_balls_are_all_that_random_images_have() -> None:
    for seed in range(24):
        rng, network = np.random.default_rng(seed), lively_network(seed)
        base = rng.random(network.inputs, dtype=np.float32)
        norm = list(Norm)[seed % 4]
        ball, points = coded_ball(
            rng, network, base, int(labels_of(network, base[None, :])[0]), norm
        )
        known = {tuple(code_of(network, value) for value in point) for point in points}
        assert len(known) == len(points)
        assert all(measured(point, base, norm) <= room_of(ball) for point in points)
        reach = 1.0 if norm is Norm.L0 else float(ball.radius)
        for _ in range(300):
            moves = rng.uniform(-reach, reach, network.inputs) * (rng.random(network.inputs) < 0.7)
            image = np.clip(base + moves, 0, 1).astype(np.float32)
            if inside(image, base, ball):
                assert tuple(code_of(network, value) for value in image) in known
