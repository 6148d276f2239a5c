"""Changes of training images, against numpy, counts and TensorFlow's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.registry import load
from tests import make_networks

RNG = np.random.default_rng(0)
IMAGES = RNG.random((400, 8, 8, 3), dtype=np.float32)


def augmented(words: tuple[str, ...], step: int = 1, neutral: tuple[float, ...] = (0.0,)) -> Any:
    make_networks.keras()
    changed = load("relrob.training.augment:augmented")
    return np.asarray(changed(IMAGES, words, np.array([7, step], np.int32), neutral))


def test_a_step_draws_the_same_changes_again_and_another_others() -> None:
    words = ("crop", "flip", "colours", "cutout")
    np.testing.assert_array_equal(augmented(words), augmented(words))
    assert not np.array_equal(augmented(words), augmented(words, 2))
    np.testing.assert_array_equal(augmented(()), IMAGES)


def test_half_of_the_images_are_flipped() -> None:
    found = augmented(("flip",))
    kept = (found == IMAGES).all(axis=(1, 2, 3))
    turned = (found == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ turned).all() and 150 < turned.sum() < 250


def test_crops_are_windows_of_the_padded_image_all_81_alike() -> None:
    found = augmented(("crop",))
    around = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)))
    seen = set()
    for image, padded in zip(found, around, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), (0, 1))
        same = (windows.transpose(0, 1, 3, 4, 2) == image).all(axis=(2, 3, 4))
        assert same.sum() >= 1
        seen.add(tuple(int(n) for n in np.argwhere(same)[0]))
    assert len(seen) > 70 and {row for row, _ in seen} == set(range(9)) == {c for _, c in seen}


def test_cutout_takes_half_the_side_around_a_pixel() -> None:
    found = augmented(("cutout",), neutral=(0.25, 0.5, 0.75))
    holes = (found != IMAGES).all(axis=3)
    np.testing.assert_array_equal(
        found[holes], np.broadcast_to([0.25, 0.5, 0.75], (holes.sum(), 3))
    )
    np.testing.assert_array_equal(found[~holes], IMAGES[~holes])
    sizes = {(int(each.any(1).sum()), int(each.any(0).sum())) for each in holes}
    assert max(sizes) == (4, 4) and min(min(size) for size in sizes) == 2
    assert all(each.sum() == each.any(1).sum() * each.any(0).sum() for each in holes)


def test_colours_change_within_their_bounds() -> None:
    found = augmented(("colours",))
    assert found.min() >= 0 and found.max() <= 1
    moved = np.abs(found - IMAGES).max(axis=(1, 2, 3))
    assert (moved > 0.01).mean() > 0.95
    assert np.ptp(found.mean(axis=(1, 2, 3)) - IMAGES.mean(axis=(1, 2, 3))) < 0.5


def test_mixup_is_a_mean_of_two_images() -> None:
    make_networks.keras()
    labels = np.arange(400)
    seed = np.array([1, 5], np.int32)
    mixed, others, share = (
        each.numpy() for each in load("relrob.training.augment:mixed")(IMAGES, labels, seed)
    )
    assert sorted(others) == list(labels) and 0 <= share <= 1
    expected = share * IMAGES + (1 - share) * IMAGES[others]
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    shares = [
        float(load("relrob.training.augment:mixed")(IMAGES[:2], labels[:2], [1, step])[2])
        for step in range(200)
    ]
    assert 0.42 < np.mean(shares) < 0.58 and min(shares) < 0.1 and max(shares) > 0.9
