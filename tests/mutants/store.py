"""Bugs for store."""

from tests.mutants.planting import Mutant

STORE = (
    "tests/store/test_run_directory.py",
    "tests/store/test_damage.py",
    "tests/store/test_older.py",
    "tests/store/test_kills.py",
)
MUTANTS = (
    Mutant(
        "store: older rows pass for sealed ones",
        "relrob/store/older.py",
        "formats.get(index, FORMAT)",
        "formats.get(index, 5)",
        STORE,
    ),
    Mutant(
        "store: witnesses against verdicts",
        "relrob/store/older.py",
        "            if wrong:",
        "            if False:",
        STORE,
    ),
    Mutant(
        "store: what is forgotten stays in the seal",
        "relrob/store/run_directory.py",
        "run.changed(seal, -1)",
        "run",
        STORE,
    ),
    Mutant(
        "store: seals are not compared",
        "relrob/store/seals.py",
        "row.seal() == stored[1]",
        "True",
        STORE,
    ),
    Mutant(
        "store: the run's seal is not compared",
        "relrob/store/seals.py",
        "if kept != run.text(config):",
        "if not kept:",
        STORE,
    ),
    Mutant(
        "store: seals without witnesses",
        "relrob/store/seals.py",
        "list(vars(self).values())",
        "[self.record]",
        STORE,
    ),
    Mutant(
        "store: configuration not sealed",
        "relrob/store/seals.py",
        "json.dumps([config, self.rows",
        "json.dumps([self.rows",
        STORE,
    ),
    Mutant(
        "store: an empty file is damage",
        "relrob/store/sqlite_file.py",
        "return not tables and not",
        "return False and not",
        STORE,
    ),
    Mutant(
        "summary: what else the header has is lost",
        "relrob/store/summary.py",
        "            **document,\n",
        "",
        ("tests/store/test_summary_json.py",),
    ),
    Mutant(
        "summary: undecided images count as covered",
        "relrob/store/summarise.py",
        "evaluated = sum(record.evaluated for record in decided)",
        "evaluated = sum(record.evaluated for record in right)",
        ("tests/store/test_summary.py", "tests/store/test_summary_json.py"),
    ),
    Mutant(
        "rates: undecided images count as lost",
        "relrob/store/proportions.py",
        "greatest = (self.part + self.open + self.part_if + self.free, whole)",
        "greatest = (self.part, whole)",
        ("tests/store/test_rates.py",),
    ),
    Mutant(
        "rates: an undecided reference is in R",
        "relrob/store/proportions.py",
        "whole = self.whole + self.part_if + self.free",
        "whole = self.whole + self.part_if + self.rest_if + self.free",
        ("tests/store/test_rates.py",),
    ),
    Mutant(
        "rates: a fooled quantised network cannot be in R_Q",
        "relrob/store/rates.py",
        "            part_if=u.unknown_robust,\n            free=either,",
        "            part_if=u.unknown_robust,\n            rest_if=either,",
        ("tests/store/test_rates.py",),
    ),
    Mutant(
        "rates: points of a robust quantised network transfer",
        "relrob/store/transfers.py",
        "        return 0, 0\n",
        "        return 0, points\n",
        ("tests/store/test_rates.py",),
    ),
    Mutant(
        "rates: runs pass for proofs",
        "relrob/store/grounds.py",
        "Ground.PROVED if proved else Ground.RUN",
        "Ground.PROVED",
        ("tests/store/test_rates.py",),
    ),
)
