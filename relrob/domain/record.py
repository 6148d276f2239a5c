"""One image of a run: the row that the store keeps and every report reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

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


# The two networks of a pair, in the order in which verdicts, witnesses and counts name them.
NETWORKS: Final = ("reference", "quantised")
# Of a network, by its name: it is fooled by ties alone; it has a tie on the clean image.
TIES: tuple[str, ...] = ("reference", "quantised", "clean reference", "clean quantised")


@dataclass(frozen=True)
class Record:
    """Verdicts, counts and margins of one image. None is an empty field. Of an image that
    was decided, only the numbers of points that were run, proved or checked may depend on a clock,
    by which one way of deciding hands over to the next.

    `points`: size of the region. `*_effective`: number of effective perturbations of that network.
    `transferred`: number of perturbations effective for both; `same_class`: of these, the number
    with the same wrong label. `*_margin`: the smallest margin met. `closest_effective`,
    `closest_transferred`: number of effective perturbations of the reference of least cost, and the
    number of these that transfer. `evaluated`: number of points at which a network was run. Where
    networks were asked one by one, as about balls and lattices, it is the larger number of the two,
    and an image of a ball or lattice that several steps of `auto` ran counts in each. `proved`:
    of points decided for both networks without running either. `clean_regression`: on the
    clean image the reference is right and the quantised network wrong. `thin`: close calls, that is
    points of the reference too close to call in folded arithmetic, which ran on its runtime.
    `disagreements`: number of witnesses that the replay refuted. `spot_checks`: number of proved
    points that were run on the runtime; none spoke against a proof. `ties`: where several outputs
    are the largest and the first of them gives the label, words of `TIES` with ", " between them.
    `reference_proved`, `quantised_proved`: number of points decided for that network without
    running it; None where they have no number, or where an older relrob did not count them.
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
    ties: str = ""
    reference_proved: int | None = None
    quantised_proved: int | None = None


# The reason of a record with two verdicts whose set rests on one witness.
COUNTS_CUT: Final = (
    "counts: the time limit ended them, and the one witness that was found decides the set"
)
RECORD_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))


@dataclass(frozen=True, eq=False)
class WitnessView:
    """The facts that a picture of a witness shows. Images are flat float32 (d,), `shape` (H, W, C).

    `network`: "reference" or "quantised", the one that the witness fools; the labels and margins:
    of the perturbed image on each network; `cost`: the exact L1 change, the text of a fraction;
    `*_scores` (2, classes): outputs of that network on the original and on the perturbed image,
    None in witnesses of an older relrob.
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
    reference_scores: Floats | None = None
    quantised_scores: Floats | None = None


def by_network(
    witnesses: Callable[[int], Iterable[WitnessView]],
) -> Callable[[int], dict[str, WitnessView]]:
    """The witnesses of an image, each under the network that it fools. `witnesses`: index of the
    image to all of them."""
    return lambda index: {view.network: view for view in witnesses(index)}


# Remarks about an image of which an attack learned nothing: no output and no gradient led anywhere,
# there was no image of another label to start from, or it stopped with an error.
NO_SIGNAL: Final = "no signal"
NO_START: Final = "no start"
STOPPED: Final = "stopped with an error"


@dataclass(frozen=True)
class AttackRecord:
    """What one attack found around one image on one network; every success was replayed, alone.

    `attack`: its full text; `network`: "reference" or "quantised". `inside`: is an image that fools
    the network known inside the region? `distance`: of the nearest one found anywhere, in the
    attack's norm, None where there is none; `label`: the network's label of that one, -1 without.
    `on_model`: does the attack's proposal fool the differentiable model? None without a model.
    `transfers`: does the nearest one fool the other network as well? None where there is none.
    `queries`, `gradients`: candidates that were run, passes of the model. `remark`: words such as
    "no signal", or "". `seconds` is no part of what is compared.
    """

    attack: str
    network: str
    inside: bool = False
    distance: float | None = None
    label: int = -1
    on_model: bool | None = None
    transfers: bool | None = None
    queries: int = 0
    gradients: int = 0
    remark: str = ""
    seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if self.found != (self.transfers is not None):
            raise ValueError("a transfer belongs to an image that was found, and to it alone")
        if self.inside and not self.found:
            raise ValueError("what lies inside the region was found")

    @property
    def found(self) -> bool:
        """Was an image that fools the network found anywhere?"""
        return self.distance is not None

    @property
    def blind(self) -> bool:
        """Did it learn nothing, so that nothing follows from its failure?"""
        return not self.found and self.remark.startswith((NO_SIGNAL, NO_START, STOPPED))


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The results of one image of a run.

    `record`; `witnesses`; `seconds`: the time that it took, apart from the record; `certificates`:
    of its ROBUST verdicts, (network, bytes) each, where they were asked for; `attacks`: likewise.
    """

    record: Record
    witnesses: tuple[WitnessView, ...]
    seconds: float
    certificates: tuple[tuple[str, bytes], ...] = ()
    attacks: tuple[AttackRecord, ...] = ()
