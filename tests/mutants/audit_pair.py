"""Bugs for the comparison of a pair by runs."""

from tests.mutants.planting import Mutant

PAIR = ("tests/audit/test_pair.py",)
LABELS = ("tests/audit/test_classes.py",)
LOGITS = ("tests/audit/test_kinship.py",)

MUTANTS = (
    Mutant(
        "McNemar: one side",
        "relrob/audit/exact.py",
        "2 * below / (1 << n)",
        "below / (1 << n)",
        ("tests/audit/test_exact.py",),
    ),
    Mutant(
        "McNemar: the middle is left out",
        "relrob/audit/exact.py",
        "range(min(lost, gained) + 1)",
        "range(min(lost, gained))",
        ("tests/audit/test_exact.py",),
    ),
    Mutant(
        "classes: a half confirms itself",
        "relrob/audit/classes.py",
        "slice(1 - half, None, 2)",
        "slice(half, None, 2)",
        LABELS,
    ),
    Mutant(
        "classes: put back the wrong way",
        "relrob/audit/classes.py",
        "rows[np.argsort(columns)]",
        "columns[np.argsort(rows)]",
        LABELS,
    ),
    Mutant(
        "classes: one label beside one class of images",
        "relrob/audit/classes.py",
        "and share >= ONE and most(beside)[1] <= SPREAD",
        "and share >= ONE",
        LABELS,
    ),
    Mutant(
        "noise: the step of one network clips both",
        "relrob/audit/kinship.py",
        "    least = _grid(outputs) / 2 or 1e-37",
        "    least = 1 / 64",
        LOGITS,
    ),
    Mutant(
        "noise: against the logits, not against their differences",
        "relrob/audit/kinship.py",
        "(logits - logits[rows, labels][:, None] for logits in both)",
        "(logits for logits in both)",
        LOGITS,
    ),
    Mutant(
        "noise: a drift of the slope is no trace of training",
        "relrob/audit/kinship.py",
        "(self.noise >= DRIFTED and drifted)",
        "False",
        LOGITS,
    ),
    Mutant(
        "readings: a reading may raise the loss",
        "relrob/audit/inputs.py",
        "        and each.loss <= min(",
        "        and 0 <= min(",
        PAIR,
    ),
    Mutant(
        "readings: the channels stay",
        "relrob/audit/reading.py",
        "(False, True) if _channels(network, order) == 3",
        "(False,) if _channels(network, order) == 3",
        PAIR,
    ),
    Mutant(
        "readings: pixels put in the inverse order",
        "relrob/audit/reading.py",
        "index[now] = wanted",
        "index[wanted] = now",
        PAIR,
    ),
    Mutant(
        "readings: what differs more is as good",
        "relrob/audit/inputs.py",
        "each for each in good if each.reading.changes(now) == fewest",
        "each for each in good",
        PAIR,
    ),
    Mutant(
        "pair: ties anywhere",
        "relrob/audit/pair.py",
        "(top[:, 0] == top[:, 1]) & (given >= 0)",
        "(top[:, 0] == top[:, 0]) & (given >= 0)",
        PAIR,
    ),
    Mutant(
        "pair: gains are regressions",
        "relrob/audit/pair_report.py",
        "(self.quantised.labels == self._truth) & self.differs",
        "(self.quantised.labels != self._truth) & self.differs",
        PAIR,
    ),
    Mutant(
        "pair: an untrained reference beside its cause",
        "relrob/audit/faults_by_runs.py",
        "if truth is None or len(truth) < _FEWEST or others:",
        "if truth is None or len(truth) < _FEWEST:",
        PAIR,
    ),
    Mutant(
        "pair: candidates beside what was found",
        "relrob/audit/pair.py",
        "if near and not found else ()",
        "if near else ()",
        PAIR,
    ),
    Mutant(
        "pair: a reading must calm the first images as it calms all",
        "relrob/audit/inputs.py",
        "most = min(_UNSURE * aim.calmer, 1.0) * loss",
        "most = aim.calmer / 4 * loss",
        PAIR,
    ),
    Mutant(
        "pair: an option for both is said to be for one",
        "relrob/audit/misread.py",
        "len(sides) == 2 or read_so",
        "len(sides) == 2",
        PAIR,
    ),
    Mutant(
        "pair: an option for one is said to be for both",
        "relrob/audit/misread.py",
        "len(sides) == 2 or read_so",
        "len(sides) == 2 or words[0] in VALUES",
        PAIR,
    ),
    Mutant(
        "pair: one label for most images has an order of classes",
        "relrob/audit/classes.py",
        "if share - chance < SKILL * (1 - chance):",
        "if chance > 1:",
        ("tests/audit/test_classes.py",),
    ),
    Mutant(
        "pair: two classes that moved are always swapped",
        "relrob/audit/classes.py",
        " and self.moved[0] == self.moved[1][::-1]",
        "",
        ("tests/audit/test_classes.py",),
    ),
)
