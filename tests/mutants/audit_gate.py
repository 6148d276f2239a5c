"""Bugs for the gate of an audit."""

from tests.mutants.planting import Mutant

GATE = ("tests/audit/test_gate.py", "tests/audit/test_headline.py", "tests/report/test_audit.py")
MUTANTS = (
    Mutant(
        "gate: a rule passes by its better bound",
        "relrob/audit/gate.py",
        "passed = True if all(good) else None if any(good) else False",
        "passed = True if any(good) else False",
        GATE,
    ),
    Mutant(
        "gate: undecided images are kept",
        "relrob/audit/gate.py",
        "most = lost | (facts.left | facts.unsure) - known",
        "most = lost",
        GATE,
    ),
    Mutant(
        "gate: images that are undecided for the reference are always in R",
        "relrob/audit/gate.py",
        "fewest = (whole - facts.fooled) | facts.held",
        "fewest = whole",
        GATE,
    ),
    Mutant(
        "gate: a failure is outvoted by what cannot be said",
        "relrob/audit/gate.py",
        "    if any(rule.passed is False for rule in rules):\n        return REFUSED\n",
        "    if all(rule.passed is False for rule in rules):\n        return REFUSED\n",
        GATE,
    ),
    Mutant(
        "gate: gains pay for losses twice",
        "relrob/audit/gate.py",
        "    net = len(lost) - len(won)\n",
        "    net = len(lost) - 2 * len(won)\n",
        GATE,
    ),
    Mutant(
        "gate: a drop is shown at once",
        "relrob/audit/gate.py",
        "        share = wilson(self.low + against, apart)[0] if apart else 0.5\n",
        "        share = (self.low + against) / apart if apart else 0.5\n",
        GATE,
    ),
    Mutant(
        "gate: a baseline excuses errors",
        "relrob/audit/gate.py",
        "return _count(facts.crashed, len(facts.asked))",
        "return _count(_less(facts.crashed, old.crashed if old else None), len(facts.asked))",
        GATE,
    ),
    Mutant(
        "rows: an image that killed its workers has two labels alike",
        "relrob/audit/rows.py",
        'if known[f"{network}_label"] < 0:',
        'if known[f"{network}_label"] < -1:',
        GATE,
    ),
    Mutant(
        "baseline: of another reading of the reference",
        "relrob/audit/baseline.py",
        '    ("reading of the reference", ("reference", "contract")),\n',
        "",
        GATE,
    ),
    Mutant(
        "audit: a known diagnosis spares the robustness",
        "relrob/api/audit.py",
        "known = {*held.allowed, *(old.facts.blocking if old else ())}",
        "known = {*held.allowed}",
        ("tests/cli/test_audit.py",),
    ),
    Mutant(
        "gate: diagnoses that are known fail",
        "relrob/audit/gate.py",
        "known = {*(policy.allowed or ()), *(old.blocking if old else ())}",
        "known = {*(policy.allowed or ())}",
        GATE,
    ),
    Mutant(
        "rows: a witness that fools both networks is a loss",
        "relrob/audit/rows.py",
        "return self.reference_verdict == _UNKNOWN and not shared",
        "return self.reference_verdict == _UNKNOWN",
        GATE,
    ),
    Mutant(
        "sample: the interval is that of the mean",
        "relrob/audit/sample.py",
        "(1 / (4 * (points / 100) ** 2) - 1)",
        "(1 / (4 * (points / 100) ** 2) - 9)",
        ("tests/audit/test_sample.py",),
    ),
    Mutant(
        "baseline: another region passes",
        "relrob/audit/baseline.py",
        '    ("region", ("region",)),\n',
        "",
        ("tests/report/test_audit.py",),
    ),
    Mutant(
        "baseline: images that nobody looked at are mended",
        "relrob/audit/baseline.py",
        "mended = (then - now) & (facts.kept | facts.held)",
        "mended = then - now",
        GATE,
    ),
    Mutant(
        "sarif: what cannot be said is a result",
        "relrob/report/audit/sarif.py",
        'if rule["passed"] is False]',
        'if not rule["passed"]]',
        ("tests/report/test_audit.py",),
    ),
)
