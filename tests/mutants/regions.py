"""Bugs for regions."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "ball: beyond the radius",
        "relrob/regions/ball.py",
        "<= region.radius**2",
        "<= 2 * region.radius**2",
        (
            "tests/regions/test_ball.py",
            "tests/bounding/test_ball.py",
            "tests/deciding/test_decide_ball.py",
        ),
    ),
    Mutant(
        "covering check: one manipulation inside is enough",
        "relrob/regions/graph.py",
        "complete &= affordable == (",
        "complete |= affordable == (",
        ("tests/regions/test_ladder.py", "tests/cli/test_ladder.py"),
    ),
    Mutant(
        "large ladders: fewer features are named than fit",
        "relrob/regions/graph.py",
        "rungs.costs[: features + 1]",
        "rungs.costs[: features + 2]",
        ("tests/cli/test_ladder.py",),
    ),
    Mutant(
        "pixels rounded twice",
        "relrob/regions/exact.py",
        (
            "        around,\n"
            "        key=lambda value: (abs(Fraction(float(value)) - exact), int(value.vi"
            "ew(np.uint32)) & 1),"
        ),
        (
            "        (guess,),\n"
            "        key=lambda value: (abs(Fraction(float(value)) - exact), int(value.vi"
            "ew(np.uint32)) & 1),"
        ),
    ),
    Mutant(
        "hull fills the worst first",
        "relrob/regions/hulls.py",
        '    order = np.argsort(-gains / costs[:, None], axis=0, kind="stable")',
        '    order = np.argsort(gains / costs[:, None], axis=0, kind="stable")',
    ),
    Mutant(
        "hull forgets gains' sign",
        "relrob/regions/hulls.py",
        "    gains = np.maximum(gains, 0.0)",
        "    gains = np.abs(gains)",
    ),
    Mutant(
        "hull of half the radius",
        "relrob/regions/hulls.py",
        "    share = np.clip((budget * (1 + TERMS_SLACK) - before) / spent, 0.0, 1.0)",
        "    share = np.clip((budget / 2 - before) / spent, 0.0, 1.0)",
    ),
    Mutant(
        "< for <= at the radius",
        "relrob/regions/knapsack.py",
        "fits = rest >= 0",
        "fits = rest > 0",
    ),
    Mutant(
        "equal costs: one item more fits",
        "relrob/regions/knapsack.py",
        "_of_equal(len(costs), budget // cost)",
        "_of_equal(len(costs), budget // cost + 1)",
    ),
    Mutant(
        "sums up to the radius lost",
        "relrob/regions/knapsack.py",
        "both[both <= budget]",
        "both[both < budget]",
    ),
    Mutant(
        "no clamp at black",
        "relrob/regions/ladder.py",
        "max(pixel - step, 0)",
        "pixel - step",
    ),
    Mutant(
        "no clamp at white",
        "relrob/regions/ladder.py",
        "min(pixel + step, one)",
        "pixel + step",
    ),
    Mutant(
        "one half moves down",
        "relrob/regions/ladder.py",
        "if 2 * pixel > one",
        "if 2 * pixel >= one",
    ),
    Mutant(
        "moved pixels as they were",
        "relrob/regions/ladder.py",
        "moved[self.axes] = self.moved",
        "pass",
    ),
    Mutant(
        "all pixels moved",
        "relrob/regions/ladder.py",
        "bits &= change",
        "bits[:] = change",
    ),
    Mutant(
        "contains: < at the radius",
        "relrob/regions/ladder.py",
        "self.cost(mask) <= self.region.radius",
        "self.cost(mask) < self.region.radius",
    ),
    Mutant(
        "a cost in float",
        "relrob/regions/ladder.py",
        "costs = tuple(sum(",
        "costs = tuple(int(255 * one * 1.0000000001) // 255 - one + sum(",
    ),
    Mutant(
        "a radius in float32",
        "relrob/regions/ladder.py",
        "int(ladder.radius * one)",
        "int(float(np.float32(ladder.radius)) * one)",
    ),
    Mutant(
        "ties of saliency in reverse",
        "relrob/regions/ladder.py",
        "- total), axis)",
        "- total), -axis)",
    ),
    Mutant(
        "ties of saliency in reverse, of small integers",
        "relrob/regions/ladder.py",
        'np.argsort(-from_mean, kind="stable")',
        '(len(pixels) - 1 - np.argsort(-from_mean[::-1], kind="stable"))',
    ),
    Mutant(
        "a middle between two float32 is rounded by its float64",
        "relrob/regions/exact.py",
        "abs(quotient - near) < abs(beyond - quotient)",
        "abs(quotient - near) <= abs(beyond - quotient)",
    ),
    Mutant(
        "only the first block",
        "relrob/regions/ladder.py",
        "range(start, self.count, size)",
        "range(start, min(self.count, size), size)",
    ),
    Mutant(
        "parts: counted short",
        "relrob/regions/part.py",
        "if room < 0:",
        "if room < -(10**9):",
        (
            "tests/deciding/test_auto.py",
            "tests/solvers/test_branch_ladder.py",
            "tests/branching/test_best_first.py",
        ),
    ),
    Mutant(
        "repick: none taken",
        "relrob/regions/search_features.py",
        "taken.update(feature)",
        "pass",
        ("tests/regions/test_search_features.py",),
    ),
    Mutant(
        "repick: equals displace",
        "relrob/regions/search_features.py",
        "away[fresh] > away[start]",
        "away[fresh] >= away[start]",
        ("tests/regions/test_search_features.py",),
    ),
    Mutant(
        "repick: rows before channels",
        "relrob/regions/search_features.py",
        "image.shape), -1, 0)",
        "image.shape), 0, 0)",
        ("tests/regions/test_search_features.py",),
    ),
    Mutant(
        "repick: an image counts once a set",
        "relrob/regions/search_features.py",
        "return np.sort(first)",
        "return np.arange(len(masks))",
        ("tests/regions/test_search_features.py",),
    ),
    Mutant(
        "extent: a region whose radius is the cheapest move is one point",
        "relrob/regions/extent.py",
        "self.cheapest > self.radius",
        "self.cheapest >= self.radius",
        ("tests/regions/test_extent.py",),
    ),
    Mutant(
        "extent: features that surely move cost half of what they can",
        "relrob/regions/extent.py",
        "region.radius >= region.axes * region.step",
        "2 * region.radius >= region.axes * region.step",
        ("tests/regions/test_extent.py",),
    ),
    Mutant(
        "extent: a ball is everything by its nearest corner",
        "relrob/regions/extent.py",
        "max(pixel, 1 - pixel)",
        "min(pixel, 1 - pixel)",
        ("tests/regions/test_extent.py",),
    ),
    Mutant(
        "exact: levels out of 256",
        "relrob/regions/exact.py",
        "== text.strip() else 255",
        "== text.strip() else 256",
        ("tests/study/test_options.py", "tests/regions/test_extent.py"),
    ),
)
