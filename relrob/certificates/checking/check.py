"""The check of one certificate: its seal, its region, its network and every part of its proof.

The ladder is built from exact fractions (`ladder`). Bound leaves are derived in ball arithmetic
(`derive`). Run leaves are run on the named runtime (`running`). The network's file is read by the
checker's own readers (`reading`). The report lists all that was checked.
Source: docs/certificates.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from relrob.certificates.checking import ball
from relrob.certificates.checking.arb import PRECISION
from relrob.certificates.checking.deployed import NoRulesError, read_deployed
from relrob.certificates.checking.derive import Derivation
from relrob.certificates.checking.entries import InvalidError, keys, number, read_slopes
from relrob.certificates.checking.ladder import Leaf, Rebuilt, leaves_of, subsets
from relrob.certificates.checking.named import LARGEST, Trial, network_of
from relrob.certificates.checking.running import Runner, runner
from relrob.certificates.form import BEFORE, FORMAT, canonical, chain, seal
from relrob.domain.network import Network
from relrob.errors import CertificateError
from relrob.system.files import read_regular

SAMPLE: Final = 64
MOST_POINTS: Final = 10_000_000
# So many points of a certificate's run leaves are run without being asked for.
WHOLE: Final = 20_000
_KEYS: Final = ("format", "role", "network", "region", "image", "label", "seal")
_CHAIN: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

Status = Literal["valid", "sampled", "invalid"]


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    `status`: "valid" (every part derived again or run again), "sampled" (some run parts were not
    all run) or "invalid". `verified`: the findings in words. `failure`: the reason of "invalid",
    else "". Of `parts` in all, `run_parts` rest on runs of `points` points; `points_run` points
    were run again, and `sampled_parts` were not run whole.
    """

    path: str
    status: Status
    verified: tuple[str, ...]
    failure: str = ""
    parts: int = 0
    run_parts: int = 0
    sampled_parts: int = 0
    points: int = 0
    points_run: int = 0

    @property
    def valid(self) -> bool:
        """Was every part re-derived or run again?"""
        return self.status == "valid"


@dataclass
class _Counts:
    """The counts of a report."""

    parts: int = 0
    run_parts: int = 0
    sampled_parts: int = 0
    points: int = 0
    points_run: int = 0


def check(
    path: Path,
    network: Path | None = None,
    run: bool = False,
    first: Trial | None = None,
) -> Report:
    """Check one certificate. `network`: its network's file, found beside it when not given; `run`:
    run every point of leaves that rest on runs, also of the large ones; `first`: tries the
    network's file, once its digest is right, before it is read here. None where the caller has run
    that file before: one that crashes its reader ends the process.

    Raises CertificateError when the file is no certificate or the network's file is not found;
    NetworkError; all that `first` raises.
    """
    data, content = _read(path)
    said, counts = list[str](), _Counts()
    try:
        if canonical(content) != data or seal(content) != content.get("seal"):
            raise InvalidError("the seal does not fit: the file was changed after it was written")
        region = content.get("region")
        around = isinstance(region, dict) and region.get("kind") in ball.KINDS
        keys(content, (*_KEYS, *(("proof",) if around else ("gap", "leaves"))), "the certificate")
        if type(content["label"]) is not int or content["role"] not in ("reference", "quantised"):
            raise InvalidError(
                "a label that is no number, or a role that is neither reference nor quantised"
            )
        said.append("the seal: SHA-256 of the canonical content")
        if around:
            counts.parts = ball.prove(
                content, *network_of(path, content, network, said, first), said
            )
            return Report(str(path), "valid", tuple(said), parts=counts.parts)
        ladder = Rebuilt(content)
        said.append(ladder.words)
        opened, held = network_of(path, content, network, said, first)
        leaves = leaves_of(content["leaves"], ladder)
        counts.parts = len(leaves)
        said.append(
            "the partition: every point of the region is in exactly one of the leaves, "
            f"{len(leaves)} in number"
        )
        _prove(_Asked(content, ladder, opened, held, run), leaves, counts, said)
    except (InvalidError, NoRulesError) as error:
        return Report(str(path), "invalid", tuple(said), str(error), **vars(counts))
    return Report(
        str(path), "sampled" if counts.sampled_parts else "valid", tuple(said), **vars(counts)
    )


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a certificate and its content."""
    try:
        data = read_regular(path, LARGEST)
        content = json.loads(data.decode("ascii"), parse_constant=_refuse)
        json.dumps(content, allow_nan=False)
    except OSError as error:
        raise CertificateError(
            f"cannot read {path}: {error.strerror or error}", "a certificate file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CertificateError(
            f"{path} is no certificate: {error}", "JSON that relrob wrote", "copy it again"
        ) from error
    if not isinstance(content, dict) or content.get("format") not in (FORMAT, BEFORE):
        raise CertificateError(f"{path} is no certificate of this version", FORMAT)
    return data, content


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number")


@dataclass(frozen=True, eq=False)
class _Asked:
    """A certificate about a ladder, its network and its bytes; `run`: whether all points are to be
    run."""

    content: dict[str, Any]
    ladder: Rebuilt
    network: Network
    data: bytes
    run: bool


def _prove(asked: _Asked, leaves: list[Leaf], counts: _Counts, said: list[str]) -> None:
    """Check every leaf; each finding is appended to `said`."""
    content, network = asked.content, asked.network
    bounds, runs = ([leaf for leaf in leaves if leaf.kind == kind] for kind in ("bound", "run"))
    gap = content["gap"]
    if type(gap) is not float or not (isfinite(gap) and gap >= 0) or (gap != 0 and not bounds):
        raise InvalidError("a gap that is no number of at least 0, or of no use")
    for leaf in runs:
        _check_run(leaf, content["label"], network.classes)
    if bounds:
        derivation = Derivation(read_deployed(network, asked.data), content["label"])
        if not derivation.accepts(gap):
            raise InvalidError(f"a gap of {gap}, where this network needs {float(derivation.gap)}")
        margins = [_bound(leaf, asked.ladder, derivation) for leaf in bounds]
        said.append(
            f"leaves by bounds: {len(bounds)}, derived again in ball arithmetic of {PRECISION} "
            "bits from the file's weights, for"
            f" {network.arithmetic.value} on {network.runtime}: label {content['label']} leads by "
            f"{min(margins):.6g} or more,"
            f" {gap:.6g} is needed"
        )
    if runs:
        _run_all(asked, runs, counts, said)


def _run_all(asked: _Asked, runs: list[Leaf], counts: _Counts, said: list[str]) -> None:
    """Leaves that were run: all points of small ones, and of the others where that is asked for,
    else 64 of them."""
    opened, room = runner(asked.network, asked.data), WHOLE
    counts.run_parts = len(runs)
    for leaf in runs:
        points = leaf.entry["points"]
        whole = asked.run or points <= max(room, SAMPLE)
        tried = _run(leaf, asked, opened, whole)
        room -= tried if whole else 0
        counts.points += points
        counts.points_run += tried
        counts.sampled_parts += not whole
    if asked.run:
        how = "all run again, with the outputs that were recorded"
    elif counts.sampled_parts:
        how = f"{counts.sampled_parts} of them not all run again (--run does that)"
    else:
        how = (
            "all run again, but not compared with the outputs that were recorded (--run does that)"
        )
    said.append(
        f"leaves by runs: {len(runs)}, of {counts.points:,} points in all, on "
        f"{asked.network.runtime}, one image at a time: {how};"
        f" {counts.points_run:,} give label {asked.content['label']} here"
    )


def _bound(leaf: Leaf, ladder: Rebuilt, derivation: Derivation) -> float:
    """A bound leaf: its margin, derived again, is at least the claimed one, and that is enough."""
    entry = keys(leaf.entry, ("margin", "slopes"), "a bound")
    claimed = number(entry["margin"], "a margin")
    slopes = read_slopes(entry["slopes"])
    region, _ = ladder.part(leaf.path)
    derived = derivation.margin(region, slopes)
    if not (derived > derivation.gap and derived >= claimed and derivation.gap <= claimed):
        raise InvalidError(
            f"the leaf {leaf.path} claims a margin of {claimed}, and {float(derived)} follows"
        )
    return float(derived)


def _check_run(leaf: Leaf, label: int, classes: int) -> None:
    """A run leaf is well formed, and its claims are enough, whether or not its points are run."""
    entry = keys(leaf.entry, ("points", "margin", "chain"), "a run")
    claimed = number(entry["margin"], "a margin")
    # A tie goes to the first of the largest outputs.
    if claimed < 0 or (claimed == 0 and label == classes - 1):
        raise InvalidError(
            f"the leaf {leaf.path} claims a margin of {claimed}, with which another label can win"
        )
    if type(entry["points"]) is not int or not 0 < entry["points"] <= MOST_POINTS:
        raise InvalidError(f"a run of {entry['points']} points")
    if not isinstance(entry["chain"], str) or not _CHAIN.fullmatch(entry["chain"]):
        raise InvalidError(f"the leaf {leaf.path} has a chain that is not 64 hexadecimal digits")


def _run(leaf: Leaf, asked: _Asked, opened: Runner, every: bool) -> int:
    """A leaf that was run: its points are counted and listed again, and all or 64 of them run
    again."""
    entry, label = leaf.entry, asked.content["label"]
    claimed = float(entry["margin"])
    region, _ = asked.ladder.part(leaf.path)
    masks = []
    for mask in subsets(region.costs, region.room):
        masks.append(mask)
        if len(masks) > entry["points"]:
            break
    if len(masks) != entry["points"]:
        raise InvalidError(f"the leaf {leaf.path} does not have {entry['points']} points")
    if not every:
        seed = int.from_bytes(
            hashlib.sha256(json.dumps([asked.content["seal"], leaf.path]).encode()).digest()
        )
        chosen = np.random.default_rng(seed).choice(len(masks), SAMPLE, replace=False)
        masks = [masks[at] for at in sorted(chosen.tolist())]
    seen = opened.outputs(masks, region, label)
    runtime = asked.network.runtime
    if any(said != label for said, _ in seen) or min(margin for _, margin in seen) < claimed:
        raise InvalidError(
            f"a point of the leaf {leaf.path} is wrong on {runtime}, or closer than {claimed}"
        )
    if asked.run and (
        min(margin for _, margin in seen) != claimed or chain(leaf.path, seen) != entry["chain"]
    ):
        raise InvalidError(
            f"the points of the leaf {leaf.path} run right here, but not with the outputs that "
            "were recorded"
        )
    return len(seen)
