"""How several findings make the judgement of one claim, and which networks may carry one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from relrob.report.study.effects import Effect
from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.stage_rows import Rows

# A compressed network is trained where it keeps this share of what the dense network of its seed
# gets right beyond chance. The paper's own that loses most keeps 0.83 (Matachana et al. 2020,
# Table 1: SFP, 79.51 of 94.02 %, where chance is 10 %).
KEPT: Final = 0.8
# MNIST, where the quick profile trains on all images: 0.991 to 0.994 were measured (LeNet5 99.37 to
# 99.42 %, Mnist A 99.17 %), so 0.985 is an error half as large again as the largest of them.
MNIST_BAR: Final = 0.985
_CHANCE: Final = 0.1
_SHARE: Final = 0.75


def cifar_bar(published: float) -> float:
    """The clean accuracy (a share) below which a dense network of the quick profile is
    under-trained, from that of the paper's network: three quarters of what this one gets right
    beyond chance.

    Fewer images alone explain a part. The error of an image classifier falls with the number of its
    training images to a power of 0.3 to 0.6 (Hestness et al. 2017 measure 0.31 for ImageNet; 0.6 is
    taken). So 18,334 images in place of 50,000 make it up to 1.83 times as large: CifarNet 0.743
    for 0.859, ResNet-18 0.891 for 0.940. The bars, 0.669 and 0.730, leave 7 and 16 points more for
    fewer channels and epochs.

    >>> round(cifar_bar(0.8593), 3), round(cifar_bar(0.9402), 3)
    (0.669, 0.73)
    """
    return _CHANCE + _SHARE * (published - _CHANCE)


@dataclass(frozen=True)
class Bar:
    """The networks of a group that a claim rests on, those with the `axes`. `least`: the clean
    accuracy of a trained one; for compressed networks, None with the group `dense` of the networks
    that they are compared with, seed by seed."""

    group: str
    least: float | None = None
    dense: str = ""
    axes: Mapping[str, Any] = field(default_factory=dict)

    def broken(self, rows: Rows) -> str:
        """What is wrong with a network, "" where nothing is."""
        clean: dict[Any, float] = {}
        for row in _measured(rows, self.dense, {}) if self.dense else ():
            clean[row.get("seed")] = min(row["accuracy"], clean.get(row.get("seed"), 1.0))
        for row in _measured(rows, self.group, self.axes):
            bar = self.least
            if bar is None:
                dense = clean.get(row.get("seed"))
                bar = 0.0 if dense is None else _CHANCE + KEPT * (dense - _CHANCE)
            if row["accuracy"] < bar:
                return f"{self.group}: clean accuracy {row['accuracy']:.3f}, below {bar:.3f}"
        return ""


def _measured(rows: Rows, group: str, axes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a group with these axes that have an accuracy, each network by itself."""
    return [row for row in rows.picked(group, **axes) if row.get("accuracy") is not None]


def together(each: Sequence[Judgement], asked: int) -> Judgement:
    """The judgement of a claim about `asked` cases, of which these were judged: reproduced where it
    is in all of them, not reproduced where it is not in one."""
    if Judgement.NOT in each:
        return Judgement.NOT
    whole = len(each) == asked > 0 and all(one is Judgement.REPRODUCED for one in each)
    return Judgement.REPRODUCED if whole else Judgement.OPEN


def whole(says: str, each: Sequence[tuple[str, Effect | None, Judgement]]) -> PaperClaim:
    """One claim about several cases, each with its name, effect and judgement; a case without an
    effect leaves the claim open."""
    known = [(name, found, judged) for name, found, judged in each if found is not None]
    if not known:
        return PaperClaim(says, Judgement.OPEN, "no rows")
    why = "; ".join(f"{name}: {found.text} ({judged.value})" for name, found, judged in known)
    return PaperClaim(says, together([judged for _, _, judged in known], len(each)), why)


def about(name: str, claim: PaperClaim, rows: Rows, bars: Sequence[Bar]) -> PaperClaim:
    """The claim with the network's name before it, judged as `trained` says."""
    found = trained(claim, rows, bars)
    return PaperClaim(f"{name}: {found.says}", found.judgement, found.why)


def trained(claim: PaperClaim, rows: Rows, bars: Sequence[Bar]) -> PaperClaim:
    """The claim, inconclusive where a network that it rests on is under-trained: one, of whichever
    seed, decides nothing."""
    for bar in bars:
        broken = bar.broken(rows)
        if broken:
            return PaperClaim(claim.says, Judgement.OPEN, f"under-trained ({broken}); {claim.why}")
    return claim
