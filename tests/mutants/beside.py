"""Bugs for attacks beside proofs."""

from tests.mutants.planting import Mutant

_BESIDE = ("tests/relative/test_beside.py",)
_STORE = ("tests/store/test_attack_rows.py",)
_RUNS = ("tests/study/test_attacks.py",)
_AUDIT = ("tests/audit/test_attacks.py",)

MUTANTS = (
    Mutant(
        "beside: an image inside a robust region is no alarm",
        "relrob/relative/beside.py",
        "inside is not None and image.verdicts[which].status is Status.ROBUST",
        "inside is not None and image.verdicts[which].status is Status.UNKNOWN",
        _BESIDE,
    ),
    Mutant(
        "beside: the alarm looks at the reference's verdict",
        "relrob/relative/beside.py",
        "and image.verdicts[which].status",
        "and image.verdicts[0].status",
        _BESIDE,
    ),
    Mutant(
        "beside: any proposal lies inside",
        "relrob/relative/beside.py",
        "point = image.points.near(proposal)",
        "point = proposal",
        _BESIDE,
    ),
    Mutant(
        "beside: a point inside need not fool",
        "relrob/relative/beside.py",
        "None if point is None or _said(opened, point) == image.label else point",
        "point",
        _BESIDE,
    ),
    Mutant(
        "beside: transfers to itself",
        "relrob/relative/beside.py",
        "_said(networks[1 - which], nearest)",
        "_said(networks[which], nearest)",
        _BESIDE,
    ),
    Mutant(
        "beside: one stream of random numbers for all images",
        "relrob/relative/beside.py",
        "(seed << _SEEDS) + image.index",
        "seed << _SEEDS",
        _BESIDE,
    ),
    Mutant(
        "beside: a radius above the region's",
        "relrob/study/attacks.py",
        "found if Fraction(found) <= radius else nextafter(found, 0.0)",
        "nextafter(found, 2.0 + found)",
        _RUNS,
    ),
    Mutant(
        "beside: a typed radius is replaced",
        "relrob/study/attacks.py",
        "radius not in typed and",
        "",
        _RUNS,
    ),
    Mutant(
        "beside: attacks are no part of the configuration",
        "relrob/study/plan.py",
        "            if asked.attacks\n            else {}",
        "            if False\n            else {}",
        _RUNS,
    ),
    Mutant(
        "beside: seals do not hold attacks",
        "relrob/store/seals.py",
        "told = values[:-1] if self.attacks is None else values",
        "told = values[:-1]",
        _STORE,
    ),
    Mutant(
        "beside: the digest does not hold attacks",
        "relrob/store/run_directory.py",
        "*([found] if found else [])",
        "",
        _STORE,
    ),
    Mutant(
        "beside: a robust beside an image inside is summed up",
        "relrob/store/summarise.py",
        'if each.inside and getattr(record, f"{each.network}_verdict") == Status.ROBUST:',
        "if False:",
        _STORE,
    ),
    Mutant(
        "beside: an attack that beat the reference too is new",
        "relrob/audit/facts.py",
        "row.quantised_attacked and row.reference_attacked == NOTHING",
        "row.quantised_attacked",
        _AUDIT,
    ),
    Mutant(
        "beside: attacks on the reference are those on the quantised network",
        "relrob/audit/rows.py",
        "if each.network == network and not each.blind]",
        "if not each.blind]",
        _AUDIT,
    ),
)
