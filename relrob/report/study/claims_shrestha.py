"""The claims of Shrestha and Großmann 2024 (Sec. 5, observations 1 to 4), judged by our rows.

Each network is compared with the full-precision one of the same training seed and sample of
images. A claim about all widths is reproduced where it is for each, and not reproduced where it is
not for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from relrob.report.study.effects import Effect, effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.judging import about, together, trained
from relrob.report.study.stage_rows import Rows

# Adversarial accuracy that counts as none, and as none for the Boundary attack (the paper's own
# largest is 0.080).
_NONE: Final = 0.02
_BOUNDARY_NONE: Final = 0.08
# Shares of images, below which "never" is meant.
_NEVER: Final = 0.005
# A distance has shrunk where less than this share of it is left.
_SHRUNK: Final = 0.5
# Clean accuracy of a full-precision network, below which it is under-trained.
_TRAINED: Final = {"mnist": 0.985, "cifar": 0.75}
NETS: Final = (("mnist", "Mnist A"), ("cifar", "ResNet20"))


def claims(rows: Rows) -> list[PaperClaim]:
    """Claims 23 to 33, for each network that the study has rows of."""
    found: list[PaperClaim] = []
    for key, name in NETS:
        if f"{key}-fgsm" in rows.groups:
            found += [
                about(name, claim, rows, f"{key}-fp", _TRAINED[key]) for claim in _of_net(rows, key)
            ]
    bars = {f"{key}-fp": least for key, least in _TRAINED.items()}
    return [*found, *(trained(claim, rows, bars) for claim in _between(rows))]


def _of_net(rows: Rows, net: str) -> list[PaperClaim]:
    accuracy = "adversarial_accuracy"
    return [
        _wider(rows, net, "fgsm", accuracy, "23. FGSM: quantised nets keep more accuracy than FP"),
        _wider(rows, net, "uap", accuracy, "24. UAP: quantised nets keep more accuracy than FP"),
        _wider(rows, net, "jsma", accuracy, "25. JSMA: quantised nets keep more accuracy than FP"),
        _wider(rows, net, "jsma", "l2", "26. JSMA needs a larger L2 on quantised nets than on FP"),
        _wider(
            rows, net, "jsma-l0", "l0", "26. JSMA needs a larger L0 on quantised nets than on FP"
        ),
        _wider(rows, net, "cw", "l2", "27. CW needs a larger L2 on quantised nets than on FP"),
        _wider(rows, net, "cw", accuracy, "27b. CW: quantised nets keep more accuracy than FP"),
        *(
            [_little(rows, net, "cw", _NONE, "28. CW leaves the quantised nets no accuracy")]
            if net == "cifar"
            else []
        ),
        _little(
            rows, net, "boundary", _BOUNDARY_NONE, "29. the Boundary attack leaves no net accuracy"
        ),
        _wider(
            rows,
            net,
            "boundary",
            "l2",
            "30. the Boundary attack needs a larger L2 on quantised nets",
        ),
        _unrecognisable(rows, net),
        *([_iterations(rows)] if net == "mnist" else []),
    ]


def _widths(rows: Rows, group: str) -> list[str]:
    return [str(width) for width in rows.axis(group, "compress")]


def _wider(rows: Rows, net: str, attack: str, metric: str, says: str) -> PaperClaim:
    """A metric is larger on each quantised network than on the full-precision one."""
    group = f"{net}-{attack}"
    full = rows.values(group, metric, compress=None)
    effects = [
        (width, effect(rows.values(group, metric, compress=width), full))
        for width in _widths(rows, group)
    ]
    return _all(says, effects, lambda found: found.judged(+1))


def _all(
    says: str,
    effects: Sequence[tuple[str, Effect | None]],
    judged: Callable[[Effect], Judgement],
) -> PaperClaim:
    """One claim about several widths."""
    known = [(width, found) for width, found in effects if found is not None]
    if not known:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    each = [judged(found) for _, found in known]
    why = "; ".join(
        f"{width}: {found.text} ({judgement.value})"
        for (width, found), judgement in zip(known, each, strict=True)
    )
    return PaperClaim(says, together(each, len(effects)), why)


def _little(rows: Rows, net: str, attack: str, most: float, says: str) -> PaperClaim:
    """Adversarial accuracy is at most `most` on every network."""
    group = f"{net}-{attack}"
    names = ([] if attack == "cw" else [None]) + list(_widths(rows, group))
    effects = []
    for width in names:
        values = rows.values(group, "adversarial_accuracy", compress=width)
        effects.append((width or "FP", effect(values, dict.fromkeys(values, 0.0))))
    return _all(f"{says} (at most {most:g})", effects, lambda found: found.judged(-1, -most))


def _unrecognisable(rows: Rows, net: str) -> PaperClaim:
    """Claim 31."""
    group = f"{net}-boundary"
    says = "31. the Boundary attack makes unrecognisable images of quantised nets alone (6 to 9 %)"
    full = rows.values(group, "unrecognisable", compress=None)
    one = rows.values(group, "unrecognisable", compress="dorefa:1")
    zero = effect(full, dict.fromkeys(full, 0.0))
    more = effect(one, full)
    if zero is None or more is None:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    each = [more.judged(+1), zero.judged(-1, -_NEVER)]
    why = f"1 bit less FP: {more.text}; FP: {zero.text}"
    return PaperClaim(says, together(each, 2), why)


def _iterations(rows: Rows) -> PaperClaim:
    """Claim 32: what is left of the L2 distance of 15 iterations."""
    says = (
        "32. more iterations shrink the Boundary attack's L2 on FP (200) and not on 1 bit (1,000)"
    )
    parts = []
    for width, group in ((None, "mnist-boundary-200"), ("dorefa:1", "mnist-boundary-1000")):
        before = rows.values("mnist-boundary-15", "l2", compress=width)
        after = rows.values(group, "l2", compress=width)
        shares = {key: after[key] / before[key] for key in after if before.get(key)}
        parts.append(effect(shares, dict.fromkeys(shares, 0.0)))
    full, one = parts
    if full is None or one is None:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    each = [full.judged(-1, -_SHRUNK), one.judged(+1, _SHRUNK)]
    why = f"share left, FP: {full.text}; 1 bit: {one.text}; shrunk means below {_SHRUNK:g}"
    return PaperClaim(says, together(each, 2), why)


def _between(rows: Rows) -> list[PaperClaim]:
    """Claim 33: MNIST networks keep more accuracy than CIFAR-10's, at the paper's parameters."""
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
        sides = [
            rows.values(group, "adversarial_accuracy", compress=None) for group in (mnist, cifar)
        ]
        says = f"33. MNIST nets are more robust than CIFAR-10 nets: {words}"
        shared = effect(*sides)
        if shared is None:
            found.append(PaperClaim(says, Judgement.OPEN, "no rows of both"))
            continue
        found.append(PaperClaim(says, shared.judged(+1), f"FP: {shared.text}"))
    return found
