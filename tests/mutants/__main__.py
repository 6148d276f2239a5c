"""All planted bugs, by hand (an hour): `python -m tests.mutants`.

Those whose name holds a word: `python -m tests.mutants radius`.

Exit code 1 when one survives.
"""

from __future__ import annotations

import sys

from tests.mutants import MUTANTS, copied, fails, killed


def main(words: list[str]) -> int:
    """Run those whose name holds every word, after the tests passed without any."""
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    survivors = 0
    with copied() as folder:
        if fails(tuple(sorted({test for mutant in chosen for test in mutant.tests})), folder, 3600):
            sys.stderr.write("the tests fail without any planted bug; mend that first\n")
            return 2
        for mutant in chosen:
            dead = killed(mutant, folder)
            survivors += not dead
            sys.stdout.write(f"{'killed  ' if dead else 'SURVIVED'} {mutant.name}\n")
            sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
