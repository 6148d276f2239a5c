"""The checks that an audit makes before it looks at robustness: the pair on all images, its
weights, its runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.judge import diagnose
from relrob.audit.pair import compare_pair
from relrob.audit.pair_report import PairReport
from relrob.audit.runtime_faults import runtime_faults
from relrob.audit.runtime_report import RuntimeReport
from relrob.audit.runtimes import compare
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import weights_on
from relrob.domain.events import Event, Listener
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.study.plan import refuse_other_order
from relrob.study.region import described, region_of
from relrob.study.request import Request
from relrob.study.stages import Stages
from relrob.system.files import readable
from relrob.system.processors import processors
from relrob_datasets.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Subject:
    """What an audit is about."""

    request: Request
    data: Dataset
    reference: Network
    quantised: Network
    region: Region
    labelled: bool

    def json(self) -> dict[str, Any]:
        """The keys dataset, reference, quantised and region of audit.json."""
        data, typed = self.data, self.request
        return {
            "dataset": {
                "name": data.name,
                "split": data.split,
                "images": len(data),
                "sha256": data.sha256,
                "labels": "given" if self.labelled else "reference",
            },
            "reference": _network(self.reference, str(typed.reference)),
            "quantised": _network(self.quantised, str(typed.quantised)),
            "region": described(self.region),
        }


def _network(network: Network, typed: str) -> dict[str, Any]:
    """A network in audit.json."""
    return {
        "path": readable(typed),
        "sha256": network.sha256,
        "format": network.format,
        "scheme": network.scheme,
        "runtime": network.runtime,
        "arithmetic": network.arithmetic.value,
        "contract": network.contract.text(),
        "layout": network.layout.value,
        **({"black_box": network.black_box} if network.black_box else {"modelled": True}),
    }


def subject_of(request: Request, stages: Stages, listener: Listener) -> Subject:
    """Read the images and both networks. Raises RelrobError."""
    data = stages.data(request, listener)
    region = region_of(request, data.image_shape[2])
    # TensorFlow, which reads Keras files, takes seconds to begin.
    listener(Event("note", f"reading {request.reference} and {request.quantised}"))
    reference = stages.reference(request, listener)
    quantised = stages.quantised(request, listener)
    refuse_other_order(reference, quantised)
    labelled = data.reading.labels != "reference"
    return Subject(request, data, reference, quantised, region, labelled)


@dataclass(frozen=True, eq=False)
class Checked:
    """What the checks found."""

    pair: PairReport
    weights: WeightReport
    diagnoses: tuple[Diagnosis, ...]
    runtimes: RuntimeReport

    @property
    def blocking(self) -> tuple[str, ...]:
        """Names of blocking diagnoses."""
        return tuple(sorted({found.id for found in self.diagnoses if found.blocking}))

    @property
    def apart(self) -> tuple[int, int] | None:
        """(labels that differ, images) of the two runtimes that differ most."""
        worst = self.runtimes.worst
        return None if worst is None else (worst.differing, worst.images)

    def json(self) -> dict[str, Any]:
        """The keys pair, weights and runtimes of audit.json."""
        listed = [found.json() for found in self.diagnoses]
        apart = None if self.apart is None else list(self.apart)
        return {
            "pair": {**self.pair.json(), "diagnosis": listed},
            "weights": self.weights.json(),
            "runtimes": {**self.runtimes.json(), "most_differing": apart},
        }


def check(subject: Subject, listener: Listener) -> Checked:
    """All checks; each fault is told when it is found. Raises RelrobError."""
    reference, quantised, data = subject.reference, subject.quantised, subject.data
    pair = compare_pair(reference, quantised, data, listener, processors())
    weights = weights_on(reference, quantised, data)
    diagnoses = diagnose(pair, weights)
    for found in diagnoses:
        listener(Event("note", f"{found.id}: {found.sentence}"))
    runtimes = compare(quantised, data, (), listener, memory=subject.request.memory)
    return Checked(
        pair, weights, (*diagnoses, *runtime_faults(runtimes, quantised.runtime)), runtimes
    )


def runtimes_sentence(report: RuntimeReport) -> str:
    """The two runtimes that differ most, and the accuracy of each, in words: each beside those that
    ran the same images."""
    told, worst = f"runtimes: {report.sentence}", report.worst
    if worst is None or not worst.differing:
        return told
    shares = dict[str, list[str]]()
    for run in report.runs:
        if run.accuracy is not None:
            which = f"{'a sample of ' if run.sampled else ''}{run.images:,}"
            shares.setdefault(which, []).append(f"{run.name} {100 * run.accuracy:.2f}%")
    right = [f"{', '.join(each)} of {which}" for which, each in shares.items()]
    return f"{told}; right: {'; '.join(right)}" if right else told
