"""Bugs for the places of layers in graphs with branches."""

from tests.mutants.planting import Mutant

_TESTS = ("tests/audit/test_branches.py",)
_READERS = ("tests/networks/test_lineage.py",)

MUTANTS = (
    Mutant(
        "matching: a step is told of each branch that it feeds",
        "relrob/audit/matching.py",
        "yield replace(match, told=True) if same else match",
        "yield match",
        _TESTS,
    ),
    Mutant(
        "matching: parents stand next in the list",
        "relrob/audit/ancestry.py",
        "for each in sorted(behind - further))",
        "for each in range(max(number - 1, 0), number))",
        _TESTS,
    ),
    Mutant(
        "places: layers of unknown weights stay in order",
        "relrob/audit/ancestry.py",
        "pairs = [pair for pair in self._alike if free(*pair)]",
        "pairs: list[Pair] = []",
        _TESTS,
    ),
    Mutant(
        "places: graphs that differ tell branches apart",
        "relrob/audit/ancestry.py",
        "if self._misplaced(found):",
        "if len(found) < 0:",
        _TESTS,
    ),
    Mutant(
        "places: only layers in the other direction are elsewhere",
        "relrob/audit/ancestry.py",
        "if self._misplaced(found):",
        "if len(found) > 0:",
        _TESTS,
    ),
    Mutant(
        "places: one activation that differs tells two layers apart",
        "relrob/audit/ancestry.py",
        "first != second and (theirs[one], theirs[other]) == (second, first)",
        "first != second and (theirs[one], theirs[other]) != (first, second)",
        _TESTS,
    ),
    Mutant(
        "places: shared layers are exchanged as they fit each other",
        "relrob/audit/ancestry.py",
        "found = _improved(order, pairs, lambda tried: self._misplaced(tried, fixed))",
        "found = list(order)",
        _TESTS,
    ),
    Mutant(
        "keras: all calls read what the first one gives",
        "relrob/networks/keras/shared.py",
        "layer=_named(feed.layer, feed.call)",
        "layer=_named(feed.layer, 0)",
        _READERS,
    ),
    Mutant(
        "lineage: the output of a layer forgets what it was computed from",
        "relrob/networks/lineage.py",
        "self._put(layer.ancestors | {number}, [out], activation)",
        "self._put(frozenset({number}), [out], activation)",
        _READERS,
    ),
)
