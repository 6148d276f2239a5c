"""Bugs for critical radii."""

from typing import Final

from tests.mutants.planting import Mutant

_RADII: Final = "relrob/relative/radii.py"
_MEASURE: Final = "relrob/relative/radius.py"
_TESTS: Final = ("tests/relative/test_radius.py",)
_CURVES: Final = ("tests/report/html/test_radius_page.py",)

MUTANTS = (
    Mutant(
        "radii: a witness in a proved region is no alarm",
        _RADII,
        "elif number <= self.proved:",
        "elif False:",
        _TESTS,
    ),
    Mutant(
        "radii: a proof about a witness is no alarm",
        _RADII,
        "if self.broken <= number:",
        "if False:",
        _TESTS,
    ),
    Mutant(
        "radii: broken at the radius of the region",
        _RADII,
        "distance = min(",
        "distance = max(",
        _TESTS,
    ),
    Mutant(
        "radii: a farther witness replaces a nearer one",
        _RADII,
        "and distance >= self._distance",
        "and distance < 0",
        _TESTS,
    ),
    Mutant(
        "radii: decided with a radius between",
        _RADII,
        "decided = self.broken <= self.proved + 1",
        "decided = self.broken <= self.proved + 2",
        _TESTS,
    ),
    Mutant(
        "radii: what is open counts as proved",
        _RADII,
        "if verdict.status is Status.ROBUST:",
        "if verdict.status is not Status.NOT_ROBUST:",
        _TESTS,
    ),
    Mutant(
        "radius: networks swapped",
        _MEASURE,
        "networks = (setting.reference, setting.quantised)",
        "networks = (setting.quantised, setting.reference)",
        _TESTS,
    ),
    Mutant(
        "radius: images that the quantised network gets wrong are left out",
        _MEASURE,
        "if said[0] != label:",
        "if said[1] != label:",
        _TESTS,
    ),
    Mutant(
        "radius: no witness is lent",
        _MEASURE,
        "quantised.lend(reference.witness)",
        "quantised.lend(None)",
        _TESTS,
    ),
    Mutant(
        "radius: no attack in a proved region",
        _MEASURE,
        "    if radii.proved > 0:",
        "    if radii.proved < 0:",
        _TESTS,
    ),
    Mutant(
        "radius: bounds of a network that has none",
        _MEASURE,
        "return (FIRST, asked) if bounded else (asked,)",
        "return (FIRST, asked)",
        _TESTS,
    ),
    Mutant(
        "radius: the curve counts what is undecided as proved",
        "relrob/report/html/curves.py",
        "each.proved is not None and each.proved >= radius",
        "each.broken is None or each.broken > radius",
        _CURVES,
    ),
)
