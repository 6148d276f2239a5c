"""McNemar's exact test: did a change make more images wrong than right?"""

from __future__ import annotations


def mcnemar(lost: int, gained: int) -> float:
    """The two-sided p-value of McNemar's exact test, for `lost` images that one of two classifiers
    alone has right, and `gained` images that the other alone has right.

    It is min(1, 2 P(X <= min(lost, gained))) for X binomial with n = lost + gained and p = 1/2
    (McNemar 1947), from whole numbers, rounded once.

    >>> mcnemar(9, 1), mcnemar(0, 0)
    (0.021484375, 1.0)
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"{lost} and {gained} are no counts")
    n, ways, below = lost + gained, 1, 0
    for k in range(min(lost, gained) + 1):
        below += ways
        ways = ways * (n - k) // (k + 1)
    return min(1.0, 2 * below / (1 << n))
