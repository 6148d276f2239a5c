"""Squares of an image, which shrink as a search goes on (Andriushchenko et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relrob.domain.arrays import Floats


def side(covered: float, height: int, width: int) -> int:
    """The side in pixels of a square that covers this share of an image, 1 at least.

    >>> side(0.8, 28, 28), side(0.0001, 28, 28)
    (25, 1)
    """
    return max(1, round(float(np.sqrt(covered * height * width))))


def halved(first: float, spent: float, at: Sequence[float]) -> float:
    """The share that a square covers: `first`, halved at each of the shares `at` of a search that
    lie below the share `spent`.

    >>> halved(0.8, 0.003, (0.001, 0.005))
    0.4
    """
    return float(first / 2 ** sum(spent > share for share in at))


def eta(size: int, turned: bool) -> Floats:
    """A bump up beside a bump down (size, size), of length 1: the update of the L2 attack, its
    figure 3. `turned`: left and right, and not one above the other."""
    half = size // 2
    both = np.concatenate([_bump(half, size), -_bump(size - half, size)])
    both /= np.linalg.norm(both)
    return np.asarray(both.T if turned else both, np.float32)


def _bump(height: int, width: int) -> Floats:
    """Rectangles around one centre, each weighing 1/k^2 (height, width), of length 1."""
    found = np.zeros((height, width))
    top, left = height // 2, width // 2
    for k in range(max(top, left) + 1):
        rows = slice(max(top - k, 0), min(top + k + 1, height))
        columns = slice(max(left - k, 0), min(left + k + 1, width))
        found[rows, columns] += 1.0 / (k + 1) ** 2
    length = np.linalg.norm(found)
    return np.asarray(found / length if length else found, np.float32)
