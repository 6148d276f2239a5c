"""Features that the paper's code picks on colour images: against a scan of all pixels at every
pick, and the images themselves."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.domain.region import Ladder, Search
from relrob.errors import RegionError
from relrob.networks.open import Opened
from relrob.regions.extent import check_region
from relrob.regions.search_features import groups_of, repicked
from relrob.relative.search import SearchSetting, classify_search
from relrob.relative.sets import Effective
from relrob.study.region import described, region_of
from relrob.study.request import Request
from tests.cli_case import Case, relrob_command
from tests.relative.test_search import slow_search
from tests.support import numpy_opened, random_dense, rounded

SHAPE = (4, 4, 3)


def scanned(pixels: list[int], size: int) -> list[list[int]]:
    """The rule read aloud: every pick looks at every pixel in turn."""
    mean, taken, features = Fraction(sum(pixels), len(pixels)), set[int](), list[list[int]]()
    while len(features) < len(pixels) // size:
        feature: list[int] = []
        while len(feature) < size:
            held: int | None = None
            for axis, pixel in enumerate(pixels):
                if axis in feature:
                    continue
                if held is None or (
                    abs(pixel - mean) > abs(pixels[held] - mean) and axis not in taken
                ):
                    held = axis
            assert held is not None
            feature.append(held)
        features.append(feature)
        taken |= set(feature)
    return features


@given(
    st.lists(st.integers(0, 255) | st.integers(0, 2), min_size=1, max_size=40), st.integers(1, 6)
)
def test_features_are_those_of_a_scan_at_every_pick(pixels: list[int], size: int) -> None:
    assert repicked(pixels, size) == scanned(pixels, size)


def test_the_first_pixels_come_again_where_they_are_far_from_the_mean() -> None:
    assert repicked([250, 40, 0, 0, 0, 1], 2) == [[0, 2], [0, 3], [0, 4]]
    assert repicked([250, 251, 0, 0, 100, 101], 2) == [[1, 0], [0, 1], [0, 1]]
    assert repicked([100, 0, 250, 101, 0, 251], 2) == [[5, 2], [1, 4], [0, 1]]


def image_of(seed: int) -> Any:
    """A picture whose corner is bright in one channel: pixels are picked again, or nearly all
    are."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 140, size=SHAPE, dtype=np.uint8)
    image[0, : 1 + seed % 3, 0] = 255 - rng.integers(0, 2)
    return image


class Overlapping:
    """Features of an image by the rule above, moved and paid for one pixel at a time."""

    def __init__(self, region: Search, image: Any) -> None:
        self.region, self.denominator = Ladder(region.radius, region.step, None, region.axes), 1
        height, width, channels = image.shape
        places = [(h, w, c) for c in range(channels) for h in range(height) for w in range(width)]
        found = scanned([int(image[place]) for place in places], region.axes)
        self.sets = [[places[axis] for axis in feature] for feature in found]
        self.features, self._image, self._step = len(found), image, region.step

    def _moved(self, mask: Any) -> dict[tuple[int, int, int], Fraction]:
        values = {}
        for place in {place for g in np.flatnonzero(mask) for place in self.sets[g]}:
            pixel = Fraction(int(self._image[place]), 255)
            down = pixel > Fraction(1, 2)
            values[place] = (
                max(pixel - self._step, Fraction(0))
                if down
                else min(pixel + self._step, Fraction(1))
            )
        return values

    def images(self, masks: Any) -> Any:
        out = np.repeat(
            (self._image / np.float32(255)).astype(np.float32)[None], len(masks), axis=0
        )
        for row, mask in zip(out, masks, strict=True):
            for place, value in self._moved(mask).items():
                row[place] = np.float32(float(value))
        return out.reshape(len(masks), -1)

    def cost(self, mask: Any) -> Fraction:
        pairs = self._moved(mask).items()
        return sum(
            (abs(value - Fraction(int(self._image[place]), 255)) for place, value in pairs),
            Fraction(0),
        )


def region_at(seed: int, **more: Any) -> Search:
    radius, step = [("6", "1/2"), ("20/3", "1"), ("1", "1/8"), ("3", "1/4")][seed % 4]
    return Search(
        Fraction(radius),
        Fraction(step),
        axes=5,
        rollouts=2,
        evaluations=150,
        seed=4,
        repick=True,
        **more,
    )


@pytest.mark.parametrize("seed", range(12))
def test_groups_make_the_images_and_the_costs_of_the_rule(seed: int) -> None:
    region, image = region_at(seed), image_of(seed)
    groups, expected = groups_of(region, image), Overlapping(region, image)
    assert groups.features == expected.features
    masks = np.random.default_rng(seed).random((60, groups.features)) < 0.3
    assert np.array_equal(groups.everything.images(groups.parts(masks)), expected.images(masks))
    costs = [expected.cost(mask) for mask in masks]
    assert [groups.cost(mask) for mask in masks] == costs
    assert [Fraction(int(units), groups.denominator) for units in groups.cost_units(masks)] == costs
    assert Fraction(groups.budget, groups.denominator) == region.radius
    images = [image.tobytes() for image in expected.images(masks)]
    assert groups.distinct(masks).tolist() == [
        at for at in range(60) if images[at] not in images[:at]
    ]


def test_pixels_are_picked_again_in_these_pictures() -> None:
    sets = [Overlapping(region_at(seed), image_of(seed)).sets for seed in range(12)]
    assert sum(len(set(chain(*each))) < 5 * len(each) for each in sets) > 6
    assert groups_of(replace(region_at(0), repick=False), image_of(0)).belongs is None


@pytest.mark.parametrize("strict", [False, True])
def test_a_search_over_overlapping_features_is_the_slow_one(strict: bool) -> None:
    """Against one image at a time, both networks asked for each image of the search."""
    effective = 0
    for seed in range(40):
        dense, image, region = (
            random_dense(seed, (48, 9, 4)),
            image_of(seed),
            region_at(seed, strict=strict),
        )
        networks = numpy_opened(dense, SHAPE), numpy_opened(rounded(dense, 3), SHAPE)
        world: Any = Overlapping(region, image)

        def said(opened: Opened, features: Any, world: Any = world) -> int:
            mask = np.isin(np.arange(world.features), list(features))
            return int(opened.replayer.outputs(world.images(mask[None]))[0].argmax())

        right = said(networks[0], ())
        sets, _ = slow_search(networks[0], world, right, 2, 150, strict, (4, seed))
        images = {
            world.images(np.isin(np.arange(world.features), list(f))[None]).tobytes(): f
            for f in reversed(sets)
        }
        wrong = [[f for f in images.values() if said(opened, f) != right] for opened in networks]
        record = classify_search(
            SearchSetting(networks, region, Effective.ALL), seed, image, right
        ).record
        assert record.points == len(images)
        assert (record.reference_effective, record.quantised_effective) == (
            len(wrong[0]),
            len(wrong[1]),
        )
        assert record.transferred == len([f for f in wrong[0] if f in wrong[1]])
        effective += len(wrong[0])
    assert effective > 20


def test_images_of_one_channel_are_refused_and_the_summary_says_what_was_picked() -> None:
    asked = Request(radius="2", step="1/4", region="search", repick=True)
    region = region_of(asked, 3)
    assert described(region)["repick"] is True
    assert "repick" not in described(region_of(replace(asked, repick=False), 3))
    check_region(region, np.zeros((8, 8, 3), np.uint8))
    for grey in (np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8)):
        with pytest.raises(RegionError, match="leave out --repick"):
            check_region(region, grey)


def test_the_command_refuses_grey_images(tmp_path: Any, case: Case) -> None:
    options = case.arguments("--region", "search", "--repick", "--out", str(tmp_path / "run"))
    del options[options.index("--features") : options.index("--features") + 2]
    done = relrob_command(options, tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("leave out --repick")
    assert len(done.stderr.splitlines()) == 1
