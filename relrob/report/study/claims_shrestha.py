"""The claims of Shrestha and Großmann 2024 (Sec. 5, observations 1 to 4), judged by our rows.

Each network is compared with the full-precision one of the same training seed. A claim about all
widths is reproduced where it is for each, and not reproduced where it is not for one. The paper's
own Table 6 does not bear out every such claim at every width, so each width is also judged by
itself, in the direction that the table has there.
"""

from __future__ import annotations

from typing import Any, Final

from relrob.report.study.effects import LEAST, Effect, apart, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import (
    MNIST_BAR,
    Bar,
    about,
    cifar_bar,
    trained,
    whole,
)
from relrob.report.study.sampled import ratio
from relrob.report.study.shrestha_table import ACCURACY, Direction, direction
from relrob.report.study.stage_rows import Figures, Rows
from relrob.store.proportions import wilson

# Adversarial accuracy that counts as none (of 90 images in which none is right, the upper end of
# Wilson's interval is 0.041), and as none for the Boundary attack (the paper's largest is 0.080).
_NONE: Final = 0.05
_BOUNDARY_NONE: Final = 0.08
# Unrecognisable images of a 1-bit network in the paper; a third of the share counts as none.
_LOST: Final = {"mnist": 0.06, "cifar": 0.09}
# A distance has shrunk where less than this share of it is left.
_SHRUNK: Final = 0.5
# Two accuracies, and two distances as a share, that are about the same.
_CLOSE: Final = 0.05
_CLOSE_SHARE: Final = 0.10
# Unrecognisable images that decide something, and the share that "all" of them may miss.
_SOME: Final = 10
_ALL: Final = 0.95
# ResNet20's accuracy is in a figure of the paper; He et al. 2016 have 91.25 % (Table 6).
_TRAINED: Final = {"mnist": MNIST_BAR, "cifar": cifar_bar(0.9125)}
NETS: Final = (("mnist", "Mnist A"), ("cifar", "ResNet20"))
# (attack, column, what a network of more has): claims about every width.
_WIDER: Final = (
    ("23. FGSM", "fgsm", ACCURACY, "keep more accuracy than FP"),
    ("24. UAP", "uap", ACCURACY, "keep more accuracy than FP"),
    ("25. JSMA", "jsma", ACCURACY, "keep more accuracy than FP"),
    ("26. JSMA", "jsma", "l2", "need a larger L2 than FP"),
    ("26. JSMA", "jsma-l0", "l0", "need a larger L0 than FP"),
    ("27. CW", "cw", "l2", "need a larger L2 than FP"),
    ("27b. CW", "cw", ACCURACY, "keep more accuracy than FP"),
    ("30. Boundary attack", "boundary", "l2", "need a larger L2 than FP"),
)


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 23 to 33, for each network that the study has rows of."""
    found: list[PaperClaim] = []
    for net, name in NETS:
        if f"{net}-fgsm" not in rows.groups:
            continue
        dense = [Bar(f"{net}-fp", _TRAINED[net])]
        every = [*dense, _narrow(net)]
        for title, attack, metric, words in _WIDER:
            says = f"{title}: quantised nets {words}"
            each = _differences(rows, net, attack, metric)
            claim = whole(says, [(w, e, _judged(e, +1)) for w, e in each])
            found.append(about(name, claim, rows, every))
            for width, shown in each:
                told = direction(name, attack, metric, int(_bits(width)))
                if told is not None:
                    claim = _as_there(rows, net, (title, attack, metric), width, shown, told)
                    found.append(about(name, claim, rows, [*dense, _narrow(net, width)]))
        for claim in _others(rows, net):
            found.append(about(name, claim, rows, every))
    bars = [Bar(f"{net}-fp", least) for net, least in _TRAINED.items()]
    return [*found, *(trained(claim, rows, bars) for claim in _between(rows))]


def _narrow(net: str, width: str | None = None) -> Bar:
    """The quantised networks, of one width or of all."""
    axes: dict[str, Any] = {} if width is None else {"compress": width}
    return Bar(f"{net}-quantised", dense=f"{net}-fp", axes=axes)


def _others(rows: Rows, net: str) -> list[PaperClaim]:
    """Claims 28, 29, 31 and 32."""
    found = []
    if net == "cifar":
        says = "28. CW leaves the quantised nets no accuracy"
        found.append(_little(rows, net, "cw", _NONE, says))
    says = "29. the Boundary attack leaves no net accuracy"
    found.append(_little(rows, net, "boundary", _BOUNDARY_NONE, says))
    found += [_unrecognisable(rows, net), _in_top_2(rows, net)]
    return [*found, _iterations(rows)] if net == "mnist" else found


def _widths(rows: Rows, group: str) -> list[str]:
    return [str(width) for width in rows.axis(group, "compress")]


def _bits(width: str) -> str:
    """ "dorefa:1" -> "1"."""
    return width.rpartition(":")[2]


def _judged(found: Effect | None, sign: int, margin: float = 0.0) -> Judgement:
    return Judgement.OPEN if found is None else found.judged(sign, margin)


def _differences(rows: Rows, net: str, attack: str, metric: str) -> list[tuple[str, Effect | None]]:
    """(width, a figure on the quantised network less that on the full-precision one)."""
    group = f"{net}-{attack}"
    full = rows.sampled(group, metric, compress=None)
    return [
        (width, effect(rows.sampled(group, metric, compress=width), full))
        for width in _widths(rows, group)
    ]


def _as_there(
    rows: Rows,
    net: str,
    claim: tuple[str, str, str],
    width: str,
    found: Effect | None,
    told: Direction,
) -> PaperClaim:
    """One width, in the direction of the paper's own table. `claim`: (title, attack, column)."""
    title, attack, metric = claim
    words = {1: "larger than", -1: "smaller than", 0: "about the same as"}[told.sign]
    what = "accuracy" if metric == ACCURACY else "L2"
    bits = "1 bit" if _bits(width) == "1" else f"{_bits(width)} bits"
    says = f"{title}, {bits}: {what} is {words} FP's (there {told.here:g} and {told.full:g})"
    if found is None:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    if told.sign:
        return PaperClaim(says, found.judged(told.sign), found.text)
    mean = rows.mean(f"{net}-{attack}", metric, compress=None) or 0.0
    most = _CLOSE if metric == ACCURACY else _CLOSE_SHARE * mean
    return PaperClaim(f"{says}, within {most:.2g}", found.near(most), found.text)


def _little(rows: Rows, net: str, attack: str, most: float, says: str) -> PaperClaim:
    """Adversarial accuracy is at most `most` on every network."""
    group = f"{net}-{attack}"
    names = ([] if attack == "cw" else [None]) + list(_widths(rows, group))
    each = []
    for width in names:
        values = rows.sampled(group, ACCURACY, compress=width)
        found = effect(values, dict.fromkeys(values, 0.0))
        picked = rows.picked(group, compress=width)
        right = sum(row.get("samples", 0) - row.get("success", 0) for row in picked)
        judged = _at_most(found, right, sum(row.get("samples", 0) for row in picked), most)
        each.append((width or "FP", found, judged))
    return whole(f"{says} (at most {most:g})", each)


def _at_most(found: Effect | None, part: int, images: int, most: float) -> Judgement:
    """Is a share surely at most `most`? A bootstrap of runs without a case cannot tell how many
    images that took; Wilson's interval of all images can."""
    if found is None or found.clusters < LEAST or not images:
        return Judgement.OPEN
    low, high = wilson(part, images)
    if found.low > most or low > most:
        return Judgement.NOT
    return Judgement.REPRODUCED if max(found.high, high) <= most else Judgement.OPEN


def _unrecognisable(rows: Rows, net: str) -> PaperClaim:
    """Claim 31."""
    group, most = f"{net}-boundary", _LOST[net] / 3
    says = (
        "31. the Boundary attack makes unrecognisable images of quantised nets alone "
        f"(there {100 * _LOST[net]:.0f} % at 1 bit; FP: below {100 * most:.0f} %)"
    )
    full = rows.sampled(group, "unrecognisable", compress=None)
    one = rows.sampled(group, "unrecognisable", compress="dorefa:1")
    zero, more = effect(full, dict.fromkeys(full, 0.0)), effect(one, full)
    lost, images = _lost(rows, group, None)
    none = _at_most(zero, lost, images, most)
    return whole(says, [("1 bit less FP", more, _judged(more, +1)), ("FP", zero, none)])


def _lost(rows: Rows, group: str, width: str | None) -> tuple[int, int]:
    """(unrecognisable successes, successes) of all runs."""
    picked = [r for r in rows.picked(group, compress=width) if r.get("unrecognisable") is not None]
    successes = sum(int(row.get("success", 0)) for row in picked)
    return sum(round(r["unrecognisable"] * r.get("success", 0)) for r in picked), successes


def _in_top_2(rows: Rows, net: str) -> PaperClaim:
    """Observation 1.2."""
    group = f"{net}-boundary"
    says = "31. of all unrecognisable images at 1 bit the true class is in the top 2"
    lost, _ = _lost(rows, group, "dorefa:1")
    picked = rows.picked(group, compress="dorefa:1")
    top = sum(int(row.get("unrecognisable_in_top_2") or 0) for row in picked)
    if lost < _SOME:
        few = f"{lost} unrecognisable images" if picked else "no rows"
        return PaperClaim(says, Judgement.OPEN, few)
    why = f"{top} of {lost}"
    if top == lost:
        return PaperClaim(says, Judgement.REPRODUCED, why)
    surely = wilson(top, lost)[1] < _ALL
    return PaperClaim(says, Judgement.NOT if surely else Judgement.OPEN, why)


def _iterations(rows: Rows) -> PaperClaim:
    """Claim 32: what is left of the L2 distance of 15 iterations."""
    says = (
        "32. more iterations shrink the Boundary attack's L2 on FP (200) and not on 1 bit (1,000), "
        f"to less than {_SHRUNK:g} of it"
    )
    parts = []
    for width, group in ((None, "mnist-boundary-200"), ("dorefa:1", "mnist-boundary-1000")):
        before = rows.sampled("mnist-boundary-15", "l2", compress=width)
        after = rows.sampled(group, "l2", compress=width)
        shares: Figures = {
            key: ratio(after[key], before[key])
            for key in after
            if key in before and before[key].value
        }
        parts.append(effect(shares, dict.fromkeys(shares, 0.0)))
    full, one = parts
    return whole(
        says,
        [
            ("share left, FP", full, _judged(full, -1, -_SHRUNK)),
            ("1 bit", one, _judged(one, +1, _SHRUNK)),
        ],
    )


def _between(rows: Rows) -> list[PaperClaim]:
    """Claim 33: MNIST networks keep more accuracy than CIFAR-10's, at the paper's parameters. The
    networks have no seed or image in common."""
    found = []
    for attack, words in (
        ("fgsm-small", "FGSM, eps 0.1 against 0.025"),
        ("uap", "UAP"),
        ("cw", "CW"),
        ("jsma", "JSMA"),
    ):
        mnist, cifar = (f"{net}-{attack}" for net, _ in NETS)
        if mnist not in rows.groups or cifar not in rows.groups:
            continue
        sides = [rows.sampled(group, ACCURACY, compress=None) for group in (mnist, cifar)]
        says = f"33. MNIST nets are more robust than CIFAR-10 nets: {words}"
        shared = apart(*sides)
        if shared is None:
            found.append(PaperClaim(says, Judgement.OPEN, "no rows of both"))
            continue
        found.append(PaperClaim(says, shared.judged(+1), f"FP: {shared.text}"))
    return found
