"""Bugs for queries."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "spots: labels unread",
        "relrob/queries/spots.py",
        "np.flatnonzero(said != promise.label)",
        "np.flatnonzero(said < -9)",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "spots: margins unread",
        "relrob/queries/spots.py",
        "if found[low] < least -",
        "if found[low] < least - 1e9 -",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "spots: the first part only",
        "relrob/queries/spots.py",
        "if seed * self._parts > PARTS << 32:",
        "if self._parts > 1:",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "spots: the best corner",
        "relrob/queries/spots.py",
        "part.free if gains[g] > 0]",
        "part.free if gains[g] < 0]",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "spots: real numbers as float32 has them",
        "relrob/queries/spots.py",
        "is Arithmetic.REAL:",
        "is None:",
        ("tests/queries/test_spots.py", "tests/queries/test_alarms.py"),
    ),
    Mutant(
        "digest without the label",
        "relrob/queries/query.py",
        ", *self.wanted.described()])",
        "])",
        ("tests/queries/test_query.py",),
    ),
    Mutant(
        "digest without the runtime",
        "relrob/queries/query.py",
        "                opened.network.runtime,\n",
        "",
        ("tests/queries/test_query.py",),
    ),
    Mutant(
        "digest of a ladder's costs alone",
        "relrob/regions/ladder.py",
        'f"{self.region} {self.costs}',
        'f"{self.costs}',
        ("tests/queries/test_query.py",),
    ),
    Mutant(
        "digest of a ball without exact values",
        "relrob/regions/ball.py",
        'f"{self.region} {self.exact}',
        'f"{self.region}',
        ("tests/queries/test_query.py",),
    ),
)
