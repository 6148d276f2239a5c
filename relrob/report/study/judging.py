"""How several findings make the judgement of one claim."""

from __future__ import annotations

from collections.abc import Sequence

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
    """The claim with the network's name before it. It is inconclusive where the networks of
    `group`, which it rests on, have a mean clean accuracy below `least`: they are under-trained."""
    says, accuracy = f"{name}: {claim.says}", rows.mean(group, "accuracy")
    if accuracy is not None and accuracy < least:
        why = f"under-trained: clean accuracy {accuracy:.3f}, below {least:g}; {claim.why}"
        return PaperClaim(says, Judgement.OPEN, why)
    return PaperClaim(says, claim.judgement, claim.why)
