"""How many images an audit looks at closely, which ones, and how long it may spend on each; images
evenly apart for what needs no chance."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from relrob.errors import UsageError

_Z: Final = NormalDist().inv_cdf(0.975)
POINTS: Final = 10.0  # half the width of the interval, in percentage points
SHARE: Final = 0.8  # of the time of an audit that goes into robustness
LEAST: Final = 0.1  # seconds, below which no solver does anything
WEIGHED: Final = 64  # images whose activations are held against the ranges of a file


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly apart: data sets may be sorted by class.

    >>> spread(10, 4), spread(2, 4)
    ([0, 3, 6, 9], [0, 1])
    """
    found: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist()
    return found


def images_for(points: float, all_images: int) -> int:
    """The least number of images whose 95 % interval is at most +-`points` percentage points wide,
    whatever the share that is measured on them.

    The Wilson interval of k of n is widest at k = n / 2, where half of it is z / (2 sqrt(n + z^2)).
    So n = z^2 (1 / (4 x^2) - 1), rounded up, for x = points / 100; no more than there are. Source:
    Wilson 1927; docs/audit.md, "The sample".

    >>> images_for(10, 10_000), images_for(5, 10_000), images_for(5, 200)
    (93, 381, 200)

    Raises UsageError unless 0.1 <= points < 50.
    """
    if not 0.1 <= points < 50:
        raise UsageError(f"an interval of +-{points:g} points", "0.1 to 49", "--interval 10")
    wanted = _Z * _Z * (1 / (4 * (points / 100) ** 2) - 1)
    return max(1, min(all_images, math.ceil(wanted)))


def sample(count: int, all_images: int, seed: int) -> tuple[int, ...]:
    """`count` different indices below `all_images`, ascending, drawn by `seed`; a larger sample of
    the same seed holds a smaller one.

    >>> set(sample(3, 100, 0)) < set(sample(5, 100, 0))
    True
    """
    drawn = np.random.default_rng(seed).permutation(all_images)[:count]
    return tuple(sorted(int(index) for index in drawn))


def seconds_each(seconds: float, cores: int, images: int) -> float:
    """The time limit of an image and network: `SHARE` of the time x cores / (2 x images), rounded
    down to three digits.

    >>> seconds_each(300, 2, 100)
    2.4
    """
    each = SHARE * seconds * cores / (2 * max(images, 1))
    scale = 10.0 ** (2 - math.floor(math.log10(each)))
    return max(LEAST, math.floor(each * scale + 1e-9) / scale)


def seconds_of(text: str) -> float:
    """A length of time as typed: "5m", "90s", "1h", or seconds.

    >>> seconds_of("5m"), seconds_of("90")
    (300.0, 90.0)

    Raises UsageError.
    """
    words = text.strip().lower()
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(words[-1:], 0.0)
    try:
        found = float(words[:-1] if factor else words) * (factor or 1.0)
    except ValueError:
        found = math.nan
    if not 1 <= found <= 1e7:
        raise UsageError(f"time {text!r}", "1s to 2000h, such as 90s, 5m or 1h", "--time 5m")
    return found
