"""Where the numbers come from: digests, versions, kernels, arithmetic, seeds, the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relrob.report.html.parts import Notes, Section, Terms
from relrob.report.html.run_data import RunData
from relrob.report.run.wording import facts, notes
from relrob.store.header import RegionHeader


def section(run: RunData) -> Section:
    """Facts in words, what to know of them, and texts to copy."""
    summary = run.summary
    return Section(
        "provenance",
        "Provenance",
        "With these files, versions and seeds the command gives the same verdicts again.",
        (
            Terms(tuple(facts(summary))),
            Notes(tuple(notes(summary, timed=False))),
            Terms(tuple(_digests(run)), code=True),
        ),
    )


def _digests(run: RunData) -> list[tuple[str, str]]:
    header, config = run.summary.header, run.config
    document = header.json()
    told = [("command", run.evidence.command)] if run.evidence.command else []
    told += [
        ("relrob", header.relrob),
        ("run", header.run),
        ("data set", header.dataset.sha256),
        ("images", str(document["dataset"].get("indices", "")) or "not recorded"),
    ]
    for name in ("reference", "quantised"):
        told += network_lines(name, document[name])
    told += [
        ("region", region_text(header.region)),
        ("solver", str(config.get("solver", "not recorded"))),
        ("time limit", f"{config.get('time_limit', 0):g} s an image and network"),
    ]
    seeds = [("region", header.region.seed)]
    if run.summary.attacks is not None:
        seeds.append(("attacks", run.summary.attacks.seed))
    words = ", ".join(f"{name} {seed}" for name, seed in seeds if seed is not None)
    return [*told, ("seeds", words or "nothing was drawn")]


def network_lines(name: str, network: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A network's digest, and who runs it with which kernels."""
    runs = [network.get(key, "") for key in ("runtime", "runtime_details", "arithmetic")]
    return [
        (f"{name} file", f"{network.get('path', '')}  sha256 {network.get('sha256', '')}"),
        (f"{name} runs on", "; ".join(str(each) for each in runs if each) or "not recorded"),
    ]


def region_text(region: RegionHeader) -> str:
    """The region with its exact numbers."""
    fields = ("radius", "step", "features", "axes")
    told = [f"{name} {getattr(region, name)}" for name in fields if getattr(region, name)]
    return ", ".join([region.kind, *told])
