"""The points of a region around one image, chosen by the kind of the region.

Both sets of points answer alike where a witness is replayed (`at`, `cost`, `moved_by`), where an
attack's image is placed (`contains`, `near`) and where a record is made (`base`, `region`, `count`,
`joint`). Hot code is typed by the set itself; `joint`, which is True of a ladder alone, tells type
checkers which one it is.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from relrob.domain.region import Ladder, Region, Search
from relrob.regions.ball import BallSet, ball_set
from relrob.regions.ladder import RungSet, rung_set

Points = RungSet | BallSet


def points_of(region: Region, image: NDArray[Any]) -> Points:
    """The points around an image (any shape, uint8 levels or float32 in [0,1]); of a search, the
    ladder of all features.

    Raises RegionError where a ladder has more features than the image.
    """
    if isinstance(region, Search):
        return rung_set(region.ladder, image)
    return rung_set(region, image) if isinstance(region, Ladder) else ball_set(region, image)
