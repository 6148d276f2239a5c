"""How a claim of a paper is judged: reproduced, not reproduced, inconclusive or not run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Judgement(StrEnum):
    """The result for a claim."""

    REPRODUCED = "reproduced"
    NOT = "not reproduced"
    OPEN = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class PaperClaim:
    """A sentence of the paper, the judgement, and the numbers that it rests on."""

    says: str
    judgement: Judgement
    why: str
