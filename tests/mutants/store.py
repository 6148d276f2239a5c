"""Bugs for store."""

from tests.mutants.planting import Mutant

MUTANTS = (
    Mutant(
        "store: older rows pass for sealed ones",
        "relrob/store/older.py",
        "index, FORMAT, run)",
        "index, 4, run)",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: witnesses against verdicts",
        "relrob/store/older.py",
        "            if wrong:",
        "            if False:",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: what is forgotten stays in the seal",
        "relrob/store/run_directory.py",
        "run.changed(seal, -1)",
        "run",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: seals are not compared",
        "relrob/store/seals.py",
        "or not _same(row, stored[at][1])",
        "or False",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: the run's seal is not compared",
        "relrob/store/seals.py",
        "if kept != [(run.text(config),)]:",
        "if not kept:",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: seals without witnesses",
        "relrob/store/seals.py",
        "list(vars(self).values())",
        "[self.record]",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: configuration not sealed",
        "relrob/store/seals.py",
        "json.dumps([config, self.rows",
        "json.dumps([self.rows",
        ("tests/store/test_run_directory.py",),
    ),
    Mutant(
        "store: an empty file is damage",
        "relrob/store/sqlite_file.py",
        "return not tables and not",
        "return False and not",
        ("tests/store/test_run_directory.py",),
    ),
)
