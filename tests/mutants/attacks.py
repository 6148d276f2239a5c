"""Bugs for attacks."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "greedy beyond the radius",
        "relrob/attacks/greedy.py",
        (
            "        options = [int(g) for g in np.flatnonzero(~mask) if spent + rungs.co"
            "sts[g] <= rungs.budget]"
        ),
        ("        options = [int(g) for g in np.flatnonzero(~mask) if spent <= rungs.budget]"),
    ),
    Mutant(
        "tree: the last maximum",
        "relrob/attacks/tree_search.py",
        "            self.children or (),",
        "            (self.children or ())[::-1],",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: rewards of the child alone",
        "relrob/attacks/tree_search.py",
        "node.visits + 1, node.parent",
        "node.visits + 1, None",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: walks on when wrong",
        "relrob/attacks/tree_search.py",
        "going[~(wrong | beyond)]",
        "going[~beyond]",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: in the order of steps",
        "relrob/attacks/tree_search.py",
        "for each in seen]), axis=1)[order]",
        "for each in seen]), axis=1)",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: rewards of any rollout",
        "relrob/attacks/tree_search.py",
        "rewards[going[at]] =",
        "rewards[going[0]] =",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: strict looks beyond",
        "relrob/attacks/tree_search.py",
        "looked = ~beyond if",
        "looked = ~(beyond & False) if",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: children after the end",
        "relrob/attacks/tree_search.py",
        "alive = int(ends[0]) if len(ends)",
        "alive = len(free) if len(ends)",
        ("tests/relative/test_search.py",),
    ),
)
