"""The referee of edited files: each is loaded, decided by several solvers, certified and checked.

It complains of all that contradicts the points that were run.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from relrob.bounding.ladder import LadderBounds
from relrob.certificates.checking.check import check
from relrob.domain.arrays import Bools
from relrob.domain.network import Dense
from relrob.domain.record import ImageResult
from relrob.domain.rounding import layer_error
from relrob.domain.verdict import Status
from relrob.errors import AlarmError, RelrobError
from relrob.networks import first as reading
from relrob.networks.enclose import enclosure_of
from relrob.networks.enclosure import Enclosure
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.networks.probes import probed
from relrob.queries.query import Budget
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from relrob.regions.points import points_of
from relrob.registry import load
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob.testing.edited import Edited
from relrob.testing.plain import Plain
from relrob.testing.records import record_complaints

TWOS: Final = "branch, leaves of 2"
LADDERS: Final = ("bounds", TWOS, "enumerate", "smt", "milp", "branch", TWOS)
BALLS: Final = ("bounds", "branch", "milp", "smt")
COMPLETE: Final = ("auto", "enumerate", "branch", TWOS, "smt", "milp")
SECONDS: Final = 60.0
# Of so many files one is read in a child first, as the command does.
CHILDREN: Final = 16
# Of so many files, all but one are paired with a plain network that bounds settle at once.
EASY: Final = 5


def doubtful(dense: Dense | None, file: Edited) -> Bools:
    """Points that another order of summation may turn: the sums of hidden layers cancel, so that no
    output shows their size."""
    values = file.question.points.astype(np.float64)
    if dense is None or dense.softmax:
        return np.zeros(len(values), np.bool_)
    error = np.zeros_like(values)
    for layer in dense.layers:
        size = np.abs(layer.weights.astype(np.float64))
        error = error @ size + layer_error(layer, np.abs(values) + error, size)
        values = values @ layer.weights.astype(np.float64) + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
    return np.asarray(np.abs(file.margins) <= error[:, file.label] + error.max(axis=1))


@dataclass
class Report:
    """The outcome for one file: `counts` of everything that happened to it, and `complaints`."""

    counts: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


class _Crashes(logging.Handler):
    """A log handler that keeps the last line of each crash of a guarded solver, and its place."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that holds an exception."""
        if record.exc_info and record.exc_info[1] is not None:
            self.seen.append(told(record.exc_info[1]))


def told(error: BaseException) -> str:
    """An exception in one line, with the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}{place}"


def normalised(reason: str) -> str:
    """A reason without names, numbers and paths, so that equal ones are counted together."""
    text = re.sub(r"/\S+", "FILE", " ".join(reason.split()))
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", text)
    text = re.sub(r"\((?:-?[\d.]+(?:, ?)?)+\)", "(N)", text)
    return re.sub(r"-?\d[\d.,e+-]*", "N", text)[:110]


def solver(name: str) -> str | Solver[RungSet]:
    """The solver of that name; branching may bound parts of two points."""
    made: str | Solver[RungSet] = (
        load("relrob_solvers.branch_ladder:Branch")(leaf=2) if name == TWOS else name
    )
    return made


def judged(file: Edited, folder: Path, turn: int) -> Report:
    """Decide one file by `auto` and another solver in turn; its certificates are checked. Its
    runtime has taken it already."""
    report = Report()
    path = folder / f"file{file.suffix}"
    path.write_bytes(file.data)
    crashes = _Crashes()
    logging.getLogger("relrob").addHandler(crashes)
    try:
        with np.errstate(all="ignore"):
            _Judge(report, file, path, crashes, turn).run()
    except RelrobError as error:
        report.counts[f"refused: {normalised(str(error))}"] += 1
    except Exception as error:
        report.complaints.append(f"traceback at load: {told(error)}")
    finally:
        logging.getLogger("relrob").removeHandler(crashes)
    return report


class _Judge:
    """One file, before several solvers."""

    def __init__(
        self, report: Report, file: Edited, path: Path, crashes: _Crashes, turn: int
    ) -> None:
        self._report, self._file, self._path, self._crashes, self._turn = (
            report,
            file,
            path,
            crashes,
            turn,
        )
        self._counts = report.counts
        self._easy = turn % EASY != 0

    def run(self) -> None:
        """Raises RelrobError where relrob does not take the file."""
        file = self._file
        network = load_network(
            self._path,
            image_shape=file.shape,
            classes=file.classes,
            runtime=None if file.runtime == "default" else file.runtime,
        )
        network = probed(network, file.question.image[None])
        opened = Opened(network, open_network(network), open_network(network, batch=1))
        enclosure = enclosure_of(network)
        modelled = enclosure is not None and not network.black_box
        why = network.black_box or ("" if modelled else "no reason given")
        self._counts["modelled" if modelled else f"black box: {normalised(why)}"] += 1
        if network.conversion:
            self._counts[f"conversion: {normalised(network.conversion)}"] += 1
        if file.plain and file.edits:
            self._counts["plain edits"] += 1
            self._counts["plain edits, modelled"] += modelled
        # No verdict on it is right or wrong.
        if file.unsteady:
            self._counts["unsteady"] += 1
            if modelled:
                self._report.complaints.append(
                    "modelled, although its runtime gives another answer when asked again"
                )
            return
        if file.runtime == "default" and file.close:
            self._counts["a point too near a tie for two runtimes"] += 1
            return
        plain = Plain.of(self._path.parent, file.shape, file.classes, file.label, self._easy)
        self._clean(opened)
        if (
            modelled
            and enclosure is not None
            and (network.dense is None or not network.dense.softmax)
        ):
            self._bounds(enclosure)
        first = self._turn % 2 == 0
        pair = (opened, plain.opened) if first else (plain.opened, opened)
        here, there = file.wrong, plain.wrong(file.question.points)
        roles = (here, there) if first else (there, here)
        others = LADDERS if file.question.region.kind == "ladder" else BALLS
        for name in ("auto", others[self._turn // 2 % len(others)]):
            self._solve(name, pair, roles, modelled)

    def _clean(self, opened: Opened) -> None:
        """Does relrob's own evaluator give the runtime's labels, in batches and alone?"""
        file = self._file
        for how, evaluator in (("alone", opened.replayer), ("in batches", opened.evaluator)):
            rows = evaluator.outputs(file.question.points)
            said = np.where(np.isnan(rows).any(axis=1), -1, rows.argmax(axis=1))
            off = said != file.said
            near = np.abs(file.margins) <= 1e-5 * max(
                1.0, float(np.abs(rows[np.isfinite(rows)]).max(initial=0))
            )
            near |= doubtful(opened.network.dense, file)
            if (off & ~near).any():
                self._report.complaints.append(
                    f"{how}, relrob gives other labels on {int(off.sum())} points"
                )
            elif off.any():
                self._counts[f"near ties that differ {how}"] += 1

    def _bounds(self, enclosure: Enclosure) -> None:
        """Do the bounds of the whole ladder hold for every point whose outputs are not cut off?"""
        file = self._file
        rungs = points_of(file.question.region, file.question.image)
        if enclosure.probabilities or rungs.joint is False:
            return
        last, rows = enclosure.layers[-1], file.rows
        # Float32 rounds.
        ends = [
            end + side * 1e-6 * (1 + abs(end)) for end, side in ((last.floor, 1), (last.cap, -1))
        ]
        inside = ((rows > ends[0]) & (rows < ends[1]) & np.isfinite(rows)).all(axis=1)
        low = float(LadderBounds(enclosure, rungs, file.label).margins(whole(rungs)).low.min())
        under = file.margins[inside] < low - 1e-6 * (1 + abs(low))
        self._counts["bounds of a ladder"] += 1
        if under.any():
            least = float(file.margins[inside].min())
            self._report.complaints.append(
                f"bounds: {int(under.sum())} points below {low:.6g}, the least at {least:.6g}"
            )

    def _solve(
        self,
        name: str,
        pair: tuple[Opened, Opened],
        wrong: tuple[np.ndarray, np.ndarray],
        modelled: bool,
    ) -> None:
        """One solver on the pair."""
        file, question = self._file, self._file.question
        self._crashes.seen.clear()
        counts = self._turn // 7 % 2 == 0
        try:
            setting = Setting(
                *pair,
                question.region,
                solver(name),
                Budget(SECONDS),
                Effective.CLOSEST,
                counts,
                certify=True,
            )
            result = classify(setting, 0, question.image, file.label)
        except RelrobError as error:
            ball = "" if question.region.kind == "ladder" else ", in a ball"
            why = normalised(str(error)) if modelled else "a black box" + ball
            self._counts[f"{name} refused: {why}"] += 1
            if isinstance(error, AlarmError):
                self._report.complaints.append(f"{name}: alarm: {normalised(str(error))}")
            return
        except Exception as error:
            self._report.complaints.append(f"{name}: traceback: {told(error)}")
            return
        self._counts[f"{question.region.kind} by {name}"] += 1
        found = [
            f"{name}: {each}"
            for each in record_complaints(result, file.question, wrong, name in COMPLETE)
        ]
        self._report.complaints += [
            f"{each} [{'; '.join(self._crashes.seen)}]" if "stopped" in each else each
            for each in found
        ]
        mine = "reference" if pair[0].network.path == str(self._path) else "quantised"
        status = getattr(result.record, f"{mine}_verdict") or "not asked"
        self._counts[f"verdict {status}, {'modelled' if modelled else 'black box'}"] += 1
        proved = self._certificates(name, result, wrong)
        if (
            file.plain
            and file.edits
            and modelled
            and name == "auto"
            and status == Status.ROBUST.value
        ):
            self._counts["plain edits, ROBUST"] += 1
            self._counts["plain edits, ROBUST with a valid certificate"] += mine in proved

    def _certificates(
        self, name: str, result: ImageResult, wrong: tuple[np.ndarray, np.ndarray]
    ) -> set[str]:
        """Check each that was written, plainly and with every run again. The roles of those that
        are valid."""
        valid = set()
        for role, data in result.certificates:
            path = self._path.parent / "certificate.json"
            path.write_bytes(data)
            ours = ("reference" if self._turn % 2 == 0 else "quantised") == role
            if not ours and (self._easy or name != "auto"):
                continue
            facts = (
                self._path.parent,
                self._file.shape,
                self._file.classes,
                self._file.label,
                self._easy,
            )
            network = self._path if ours else Plain.path(*facts)
            bad = int(wrong[role == "quantised"].sum())
            for run in (False, True) if b'"run":' in data or self._turn % 8 == 0 else (False,):
                how = "check --run" if run else "check"
                first = None if self._turn % CHILDREN else reading.try_network
                try:
                    said = check(path, network, run, first)
                except RelrobError as error:
                    self._report.complaints.append(
                        f"{name}: {how} cannot read what relrob wrote: {normalised(str(error))}"
                    )
                    continue
                except Exception as error:
                    self._report.complaints.append(f"{name}: {how}: traceback: {told(error)}")
                    continue
                self._counts[f"{how}: {said.status}"] += 1
                if said.status != "invalid" and bad:
                    self._report.complaints.append(
                        f"{name}: {how} calls a certificate {said.status}, and {bad} points are "
                        "wrong"
                    )
                elif run and said.status == "sampled":
                    self._report.complaints.append(f"{name}: {how} runs only some of the points")
                elif said.status == "invalid" and not bad:
                    self._report.complaints.append(
                        f"{name}: {how} refuses relrob's certificate: {normalised(said.failure)}"
                    )
                if said.valid:
                    valid.add(role)
        return valid
