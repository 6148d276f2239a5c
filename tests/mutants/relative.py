"""Bugs for relative."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "networks swapped",
        "relrob/relative/classify.py",
        "= (setting.reference, setting.quantised)",
        "= (setting.quantised, setting.reference)",
    ),
    Mutant(
        "closest decides farthest",
        "relrob/relative/sets.py",
        "Effective.FARTHEST: transfer.farthest",
        "Effective.FARTHEST: transfer.closest",
    ),
    Mutant(
        "misclassified images kept",
        "relrob/relative/classify.py",
        "if said[0] != label:",
        "if said[1] != label:",
    ),
    Mutant(
        "some is all",
        "relrob/relative/sets.py",
        "share.transferred == share.effective",
        "share.transferred > 0",
    ),
    Mutant(
        "tree: the cheapest is the farthest",
        "relrob/relative/search.py",
        "int(costs.argmax())",
        "int(costs.argmin())",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: a fooled quantised network is robust",
        "relrob/relative/search.py",
        "return Set.RFP if fooled",
        "return Set.RFP if False",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "tree: refuted labels kept",
        "relrob/relative/search.py",
        "self._said[number][at] = self._right",
        "return None",
        ("tests/relative/test_search.py",),
    ),
    Mutant(
        "ties: a tie is one whatever is clearer",
        "relrob/deciding/replay.py",
        "witness.margin == 0 and not clearer",
        "witness.margin == 0",
        ("tests/relative/test_ties.py",),
    ),
    Mutant(
        "ties: networks swapped",
        "relrob/relative/classify.py",
        "*(bool(tied(out)[0]) for out in clean)",
        "*(bool(tied(out)[0]) for out in reversed(clean))",
        ("tests/relative/test_ties.py",),
    ),
    Mutant(
        "counts: ended unsaid",
        "relrob/judging/tally.py",
        "cut=counted and not self.finished",
        "cut=False",
        ("tests/relative/test_classify.py",),
    ),
)
