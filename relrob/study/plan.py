"""From what the user asked for to a plan: data, images, two networks with their digests, region,
solver, budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relrob.compress.accuracy_loss import accuracy_warnings
from relrob.compress.table import scheme as scheme_entry
from relrob.deciding.choose import check_solver
from relrob.domain.events import Event, Listener, silent
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.errors import UsageError
from relrob.networks.accuracy import as_floats
from relrob.networks.details import runtime_details
from relrob.networks.enclose import enclosure_of, unbounded
from relrob.networks.simulated import nothing_quantised
from relrob.queries.query import Budget
from relrob.regions.extent import check_region
from relrob.registry import load
from relrob.relative.sets import Effective
from relrob.store.configuration import canonical
from relrob.store.header import UNSEALED
from relrob.store.images import spelled
from relrob.store.run_directory import Store
from relrob.study.data import notes, planned
from relrob.study.extents import Extents, before, extents_of
from relrob.study.region import described, region_of
from relrob.study.request import Request
from relrob.study.stages import Stages
from relrob.study.work import Plan
from relrob.system.files import readable, sha256_bytes
from relrob.system.version import VERSION
from relrob_datasets.dataset import Images
from relrob_datasets.select import select

FORMAT = 4  # goes up when the same configuration gives other records


def run_directory(out: Path | None, digest: str) -> Path:
    """The run directory asked for, or relrob-runs/DIGEST in the working directory."""
    return out if out is not None else Path("relrob-runs") / digest[:16]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a request asks: the region, how it is decided, the images `indices` of `data`, what the
    region reaches around them, and the full texts of attacks."""

    region: Region
    budget: Budget
    effective: Effective
    data: Images
    indices: tuple[int, ...]
    extents: Extents
    attacks: tuple[str, ...]


def _check_inputs(*networks: Network) -> None:
    """Refuse certificates of networks that the checker does not feed. Raises UsageError."""
    for network in networks:
        if not network.contract.identity or network.head:
            read = network.contract.text() or "one output for two classes"
            raise UsageError(
                f"certificates of {network.path}, which the checker does not read with {read}",
                "networks that read pixels as they are",
                "leave out --certificates",
            )


def check_request(request: Request, stages: Stages, listener: Listener = silent) -> Asked:
    """Refuse what can be refused before a network is trained, quantised or run. Raises
    RelrobError."""
    region, budget = region_of(request), Budget(request.time_limit)
    effective, attacks = _effective(request, region), _attacks(request, region)
    if request.quantised is None:
        scheme_entry(request.quantise)
    data = stages.images(request, listener)
    region = region_of(request, data.image_shape[2])
    indices = select(data, request.images)
    check_region(region, data.images[indices[0]])
    extents = extents_of(region, data.images, indices)
    if request.reference is not None:
        stages.reference(request, listener)
    return Asked(region, budget, effective, data, indices, extents, attacks)


def _attacks(request: Request, region: Region) -> tuple[str, ...]:
    """The full texts of the attacks asked for. Raises UsageError."""
    if request.attacks is None:
        return ()
    texts: tuple[str, ...] = load("relrob.study.attacks:attacks_of")(request.attacks, region)
    return texts


def refuse_other_order(reference: Network, quantised: Network) -> None:
    """Refuse a quantised reference beside a float network. Raises UsageError."""
    if reference.scheme != "float32" and quantised.scheme == "float32":
        raise UsageError(
            f"reference {reference.path} is quantised and {quantised.path} is not",
            "REFERENCE QUANTISED",
            "the other order",
        )


def _refuse_floats(quantised: Network) -> None:
    """Refuse a file without quantised weights where a quantised network is asked for. float16 is a
    scheme, and so are float32 weights on a grid. Raises UsageError."""
    if nothing_quantised(quantised):
        raise UsageError(
            f"nothing is quantised in {quantised.path}: all its weights are float32",
            "a quantised file as QUANTISED",
            "a float file may be the REFERENCE; `relrob quantise` makes a quantised one",
        )


def make_plan(
    request: Request,
    listener: Listener = silent,
    out: Path | None = None,
    stages: Stages | None = None,
    check: Callable[..., None] = Store.check,
    nested: bool = False,
) -> Plan:
    """Check everything, load or train and quantise the networks, measure their clean accuracy.
    Raises RelrobError.

    `out`: the run directory; one that cannot be used is refused before the work. Nothing is written
    to it. `stages`: what several runs share, this one among them. `check`: that of its store,
    called with a directory, and then with the configuration too. `nested`: the region is only the
    largest of those that are asked about, so nothing is said about its reach.
    """
    check(out if out is not None else Path("relrob-runs/new"))
    stages = stages or Stages([request])
    asked = check_request(request, stages, listener)
    region, budget, effective, indices = asked.region, asked.budget, asked.effective, asked.indices
    reference = stages.reference(request, listener)
    quantised = stages.quantised(request, listener)
    refuse_other_order(reference, quantised)
    _refuse_floats(quantised)
    if request.certificates:
        _check_inputs(reference, quantised)
    check_solver(request.solver, region, (reference, quantised))
    if request.certificates:
        _check_certificates(region, (reference, quantised), listener)
    header = {
        **_header(request, region, asked.data, indices, reference, quantised),
        "effective_rule": effective.value,
    }
    config = {
        "format": FORMAT,
        "dataset": {
            **{key: header["dataset"][key] for key in ("name", "split", "sha256")},
            **asked.data.reading.identity(),
        },
        "region": header["region"],
        **{key: _identity(header[key]) for key in ("reference", "quantised")},
        "solver": request.solver,
        "time_limit": budget.seconds,
        "effective": effective.value,
        "counts": request.counts,
        **({"certificates": True} if request.certificates else {}),
        **(
            {"attacks": {"each": list(asked.attacks), "seed": request.seed}}
            if asked.attacks
            else {}
        ),
    }
    config_digest = sha256_bytes(canonical(config).encode())
    check(run_directory(out, config_digest), config)
    reach = [] if nested else [before(region, asked.data.images, indices), *asked.extents.notes()]
    for words in reach:
        listener(Event("note", words))
    for name in ("reference", "quantised"):
        header[name]["accuracy"] = stages.accuracy(name, request, listener)
    first, second = (header[name]["accuracy"] for name in ("reference", "quantised"))
    lost = accuracy_warnings(first, second, own=request.labels == "reference")
    header |= {**({"warnings": lost} if lost else {})}
    header |= {} if nested else asked.extents.json()
    if asked.attacks:
        compared = load("relrob.study.attacks:COMPARED")
        images = as_floats(asked.data.images[list(indices[:compared])])
        header["attacks"] = load("relrob.study.attacks:header_of")(
            asked.attacks, request.seed, (reference, quantised), images
        )
    header = {"relrob": VERSION, "run": config_digest, **header}
    read_as, labels = planned(request, asked.data, stages.data(request, listener))
    return Plan(
        dataset=request.dataset,
        split=request.split,
        read_as=read_as,
        labels=labels,
        indices=indices,
        reference=reference,
        quantised=quantised,
        region=region,
        solver=request.solver,
        budget=budget,
        effective=effective,
        counts=request.counts,
        certificates=request.certificates,
        header=header,
        config=config,
        attacks=asked.attacks,
        seed=request.seed,
    )


def _check_certificates(
    region: Region, networks: tuple[Network, Network], listener: Listener
) -> None:
    """Refuse certificates where no proof can rest on bounds, and name the network of which there
    are none. Raises UsageError."""
    boxes = [each for each in networks if enclosure_of(each) is None]
    # On a ladder the points of a black box are run beside the bounds of the other network.
    if len(boxes) == len(networks):
        raise UsageError(
            f"--certificates has no effect: no bounds for {unbounded(boxes[0])}",
            "networks that have bounds: float MLPs, dense .tflite files, fixed point",
            "leave out --certificates",
        )
    for box in () if region.joint else boxes:
        listener(Event("note", f"no certificates for {unbounded(box)}"))


def _header(
    request: Request,
    region: Region,
    data: Images,
    indices: tuple[int, ...],
    reference: Network,
    quantised: Network,
) -> dict[str, Any]:
    """The first keys of the summary JSON, but for the accuracies."""
    networks = {}
    for name, network in (("reference", reference), ("quantised", quantised)):
        networks[name] = {
            "path": _shown_path(request, name, network),
            "sha256": network.sha256,
            "scheme": network.scheme,
            "runtime": network.runtime,
            "arithmetic": network.arithmetic.value,
            "runtime_details": runtime_details(network),
            **({"black_box": network.black_box} if network.black_box else {"modelled": True}),
            **({"conversion": network.conversion} if network.conversion else {}),
            **({"layout": network.layout.value} if request.layout != "auto" else {}),
            **_input(network),
        }
    del networks["reference"]["scheme"]
    read = data.reading.json()
    told = [*read.get("notes", ()), *notes(request, data)]
    read |= {"notes": told} if told else {}
    return {
        "dataset": {
            "name": data.name,
            "split": data.split,
            "images": len(indices),
            "indices": spelled(indices),
            "sha256": data.sha256,
            **read,
        },
        **networks,
        "region": described(region),
        "arithmetic": reference.arithmetic.value,
    }


def _input(network: Network) -> dict[str, Any]:
    """The contract, and where it was read, as entries of the summary; none for the identity."""
    told: dict[str, Any] = {} if network.contract.identity else {"input": network.contract.json()}
    if network.head:
        told["head"] = network.head
    return told | ({"input_from": network.contract_from} if network.contract_from else {})


def _effective(request: Request, region: Region) -> Effective:
    """The rule asked for, or that of the region: the paper's search keeps the farthest one. Raises
    UsageError."""
    if request.effective is None:
        return Effective.FARTHEST if region.kind == "search" else Effective.CLOSEST
    try:
        return Effective(request.effective)
    except ValueError as error:
        raise UsageError(f"effective {request.effective!r}", ", ".join(Effective)) from error


def _identity(described: dict[str, Any]) -> dict[str, Any]:
    """What makes a network the same network, wherever its file lies and whatever is known of it."""
    return {key: value for key, value in described.items() if key not in UNSEALED}


def _shown_path(request: Request, name: str, network: Network) -> str:
    """The path as the user typed it; for a network that relrob made, the name of its copy in the
    run directory."""
    typed = request.reference if name == "reference" else request.quantised
    return readable(typed) if typed is not None else f"{name}{Path(network.path).suffix}"
