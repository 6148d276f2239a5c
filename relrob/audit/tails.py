"""How much larger may the largest value be on many more images?

Of values with heavy tails, a calibration on a thousand images meets some that are several times
the largest of the few that are seen here. The tail index is Hill's estimate (Hill, A simple general
approach to inference about the tail of a distribution, 1975) from the largest value of each image.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles

# The share of the images with the largest values that it is estimated from, and their number at
# least.
_SHARE: Final = 6
_FEWEST: Final = 5
# A tail with a smaller index is none: that of images and of what layers make of them is about 0.1.
_HEAVY: Final = 0.3
# So many times the images that are seen are what a range was calibrated on, at most.
_MORE: Final = 50


def tail(values: Doubles) -> float:
    """The factor for values (n, d) of n images, 1 where their tails are not heavy, where there are
    fewer than 30 images or where most have no value but 0."""
    count = len(values) // _SHARE
    if count < _FEWEST:
        return 1.0
    largest = np.sort(np.abs(values).max(axis=1))[::-1]
    if not largest[count] > 0:
        return 1.0
    index = float(np.log(largest[:count] / largest[count]).mean())
    return float(_MORE**index) if index >= _HEAVY else 1.0
