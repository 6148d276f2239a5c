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
        "index, FORMAT, run)",
        "index, 4, run)",
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
        "or not _same(row, stored[at][1])",
        "or False",
        STORE,
    ),
    Mutant(
        "store: the run's seal is not compared",
        "relrob/store/seals.py",
        "if kept != [(run.text(config),)]:",
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
)
