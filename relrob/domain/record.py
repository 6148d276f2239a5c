"""One image of a run: the row that the store keeps and that every report reads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

from relrob.domain.arrays import Floats


class Set(StrEnum):
    """The sets of Duncan et al. 2020, Sec. III, plus `R^mixed`, `unknown` and the misclassified
    images."""

    RQFP = "R_Q^FP"
    RFP = "R^FP"
    RQ = "R_Q"
    R0 = "R^0"
    MIXED = "R^mixed"
    UNKNOWN = "unknown"
    L_IC = "L_ic"


@dataclass(frozen=True)
class Record:
    """Verdicts, counts and margins of one image; `None` is an empty field. Deterministic: no clock
    in it.

    `points`: size of the region; `*_effective`: effective perturbations of that network;
    `transferred`: effective for both; `same_class`: transferred with the same wrong label;
    `*_margin`: smallest margin met; `closest_effective`/`closest_transferred`: effective
    perturbations of the reference of least cost, and how many of them transfer; `evaluated`: points
    at which a network was run, `proved`: points decided for both without running either;
    `clean_regression`: the reference is right and the quantised network wrong with no perturbation
    at all; `thin`: points of the reference that were too close to call by folded arithmetic and
    were re-run on its runtime; `disagreements`: witnesses that the replay refuted; `spot_checks`:
    points of what was proved that were run on the runtime, none of which spoke against it.
    """

    index: int
    label: int
    reference_label: int
    quantised_label: int
    set: Set
    reference_verdict: str = ""
    quantised_verdict: str = ""
    points: int | None = None
    reference_effective: int | None = None
    quantised_effective: int | None = None
    transferred: int | None = None
    same_class: int | None = None
    closest_effective: int | None = None
    closest_transferred: int | None = None
    reference_margin: float | None = None
    quantised_margin: float | None = None
    decided_by: str = ""
    reason: str = ""
    evaluated: int = 0
    proved: int = 0
    thin: int = 0
    disagreements: int = 0
    clean_regression: bool = False
    spot_checks: int = 0


RECORD_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))


@dataclass(frozen=True, eq=False)
class WitnessView:
    """Everything a picture of a witness needs: images are flat float32 (d,), `shape` is (H, W, C).

    `network`: "reference" or "quantised", the one that the witness fools; the two labels and
    margins are of the perturbed image on each network; `cost` is the exact L1 change as a
    fraction's text.
    """

    index: int
    network: str
    label: int
    original: Floats
    perturbed: Floats
    shape: tuple[int, int, int]
    reference_label: int
    quantised_label: int
    reference_margin: float
    quantised_margin: float
    cost: str
    moved: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What one image of a run yields: the record, its witnesses, the seconds it took (kept apart
    from the record), and where they were asked for the certificates of its ROBUST verdicts,
    (network, bytes) each."""

    record: Record
    witnesses: tuple[WitnessView, ...]
    seconds: float
    certificates: tuple[tuple[str, bytes], ...] = ()
