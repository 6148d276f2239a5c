"""How several findings make the judgement of one claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relrob.report.study.judgement import Judgement, PaperClaim
from relrob.report.study.stage_rows import Rows


def together(each: Sequence[Judgement], asked: int) -> Judgement:
    """The judgement of a claim about `asked` cases, of which these were judged: reproduced where it
    is in all of them, not reproduced where it is not in one."""
    if Judgement.NOT in each:
        return Judgement.NOT
    whole = len(each) == asked > 0 and all(one is Judgement.REPRODUCED for one in each)
    return Judgement.REPRODUCED if whole else Judgement.OPEN


def about(name: str, claim: PaperClaim, rows: Rows, group: str, least: float) -> PaperClaim:
    """The claim with the network's name before it, judged as `trained` says."""
    found = trained(claim, rows, {group: least})
    return PaperClaim(f"{name}: {found.says}", found.judgement, found.why)


def trained(claim: PaperClaim, rows: Rows, least: Mapping[str, float]) -> PaperClaim:
    """The claim, inconclusive where a network of the groups that it rests on has a clean accuracy
    below the group's `least`: one that is under-trained, of whichever seed, decides nothing."""
    for group, bar in least.items():
        accuracy = min(rows.values(group, "accuracy").values(), default=None)
        if accuracy is not None and accuracy < bar:
            why = f"under-trained: clean accuracy {accuracy:.3f}, below {bar:g}; {claim.why}"
            return PaperClaim(claim.says, Judgement.OPEN, why)
    return claim
