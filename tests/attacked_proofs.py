"""Attacks inside regions that are proved ROBUST, by hand (hours of one core):
`python -m tests.attacked_proofs --record FILE`, which resumes. `--report FILE` writes its tables.

Each region is attacked once: the runs of dynamic range and of int8 have other images. Exit code 1
when an attack found an image in a region that is called ROBUST.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import relrob
from relrob.domain.record import AttackRecord
from relrob.errors import AlarmError
from relrob.store.attack_summary import labels_of

MANY: Final = ("pgd", "apgd-ce", "hopskipjump", "boundary")
ONCE: Final = ("fgsm", "ifgsm", "ifgm", "apgd-t", "deepfool", "ddn", "cw", "jsma", "square")
ATTACKS: Final = (*(f"{name}:restarts=50" for name in MANY), *ONCE)
NETWORKS: Final = ("reference", "quantised")
WANTED: Final = 500
TOGETHER: Final = 5  # images of one call of verify
# Seconds for a verdict, so that a busy machine proves as much as an idle one.
_LIMIT: Final = {"time_limit": 120}
_LADDER: Final = {"radius": 20, "step": "1/4", "counts": False, **_LIMIT}
_BALL: Final = {"region": "linf", "radius": "1/255", **_LIMIT}


@dataclass(frozen=True)
class Run:
    """A pair and its regions: `options` of `relrob.verify`, around `images`."""

    kind: str
    scheme: str
    options: Mapping[str, Any] = field(hash=False)
    images: range

    @property
    def name(self) -> str:
        return f"{self.kind} {self.scheme}"


RUNS: Final = tuple(
    Run(kind, scheme, {**options, "quantise": scheme}, images)
    for scheme, images in (("dynamic", range(100)), ("int8", range(100, 200)))
    for kind, options in (("ladder", _LADDER), ("ball", _BALL))
)


def in_turn(runs: Sequence[Run]) -> Iterator[tuple[Run, range]]:
    """(run, images), a few images of each run after the other, so that every kind has its share."""
    for first in range(0, max(len(run.images) for run in runs), TOGETHER):
        parts = ((run, run.images[first : first + TOGETHER]) for run in runs)
        yield from ((run, part) for run, part in parts if part)


class Record:
    """What was found, a line of JSON an image, in a file: an interrupted run resumes from it. The
    last line of an image counts; a line that a kill cut short does not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self._found: dict[tuple[str, int], dict[str, Any]] = {}
        for line in whole.splitlines():
            self._keep(json.loads(line))

    def _keep(self, line: dict[str, Any]) -> None:
        self._found[line["run"], line["image"]] = line

    def tell(self, line: dict[str, Any]) -> None:
        self._keep(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")

    def line(self, run: str, image: int) -> Mapping[str, Any]:
        """What was found around an image; an alarm where it was not attacked."""
        return self._found.get((run, image), {"alarm": ""})

    def done(self, run: Run, image: int) -> bool:
        """Was the image attacked without an alarm?"""
        return "alarm" not in self.line(run.name, image)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return list(self._found.values())


def attacked(run: Run, images: Sequence[int], attacks: Sequence[str]) -> list[dict[str, Any]]:
    """Lines of the record: images that are proved and attacked, in a run directory of their own.
    After an alarm each image has one of its own."""
    with TemporaryDirectory() as folder:
        try:
            result = relrob.verify(
                **run.options, images=list(images), attacks=list(attacks), out=Path(folder) / "run"
            )
        except AlarmError as alarm:
            if len(images) == 1:
                return [{"run": run.name, "image": images[0], "alarm": str(alarm)}]
            return [line for image in images for line in attacked(run, [image], attacks)]
    return [
        {"run": run.name, "image": each.index, **_found(each, result.attacks.get(each.index, ()))}
        for each in result.records
    ]


def _found(record: Any, found: Sequence[AttackRecord]) -> dict[str, Any]:
    """By network: its verdict, and what attacks found; none of a network that was not attacked."""
    short = dict(zip((each.attack for each in found), _labels(found), strict=True))
    line = dict[str, Any]()
    for name in NETWORKS:
        mine = [each for each in found if each.network == name]
        if mine:
            line[name] = {
                "verdict": getattr(record, f"{name}_verdict"),
                "inside": [short[each.attack] for each in mine if each.inside],
                "blind": [short[each.attack] for each in mine if each.blind],
                "seconds": {short[each.attack]: round(each.seconds, 2) for each in mine},
            }
    return line


def _labels(found: Sequence[AttackRecord]) -> list[str]:
    """The attacks' short names, in their order; both networks were attacked by the same."""
    texts = list(dict.fromkeys(each.attack for each in found))
    short = dict(zip(texts, labels_of(texts), strict=True))
    return [short[each.attack] for each in found]


def alarms(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of what attacks found in regions that are called ROBUST."""
    return [f"{line['run']}: {line['alarm']}" for line in lines if "alarm" in line]


@dataclass
class Tally:
    """Of one attack: regions ROBUST that it was tried in by kind and network, of these those where
    it found an image inside, those where it learnt nothing; and its seconds."""

    regions: dict[tuple[str, str], int] = field(default_factory=dict)
    inside: int = 0
    blind: int = 0
    seconds: float = 0.0


def tallies(lines: Iterable[Mapping[str, Any]]) -> dict[str, Tally]:
    """By attack. The quantised network of a run is named by its scheme."""
    found: dict[str, Tally] = {}
    for line in lines:
        kind, scheme = line["run"].split(" ")
        for name, network in zip(NETWORKS, ("float", scheme), strict=True):
            tried = line.get(name, {"verdict": ""})
            if tried["verdict"] != "ROBUST":
                continue
            for attack, seconds in tried["seconds"].items():
                tally = found.setdefault(attack, Tally())
                tally.regions[kind, network] = tally.regions.get((kind, network), 0) + 1
                tally.inside += attack in tried["inside"]
                tally.blind += attack in tried["blind"]
                tally.seconds += seconds
    return found


def regions_of(by: Mapping[str, Tally]) -> dict[tuple[str, str], int]:
    """Regions that were attacked, by kind and network."""
    kinds = sorted({each for tally in by.values() for each in tally.regions})
    return {each: max(tally.regions.get(each, 0) for tally in by.values()) for each in kinds}


def table_of(by: Mapping[str, Tally]) -> list[str]:
    """A line of Markdown an attack: regions by kind and network, and what was found there."""
    kinds = list(regions_of(by))
    head = ["attack", *(f"{kind}, {network}" for kind, network in kinds), "found inside"]
    table = [[*head, "learnt nothing", "s a region"]]
    for name, tally in by.items():
        each = [f"{tally.regions.get(kind, 0)}" for kind in kinds]
        spent = tally.seconds / sum(tally.regions.values())
        table.append([name, *each, f"{tally.inside}", f"{tally.blind}", f"{spent:.2f}"])
    rows = [f"| {' | '.join(row)} |" for row in table]
    rows[1:1] = [f"|{' --- |' + ' ---: |' * (len(table[0]) - 1)}"]
    return rows


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """The page: regions by kind and network, and what each attack found there."""
    by = tallies(lines)
    regions = sum(regions_of(by).values())
    said = [f"ALARM {each}" for each in alarms(lines)] or ["No alarm."]
    told = [
        "# Attacks inside regions that are proved ROBUST",
        "",
        "`python -m tests.attacked_proofs --record reports/attacked-proofs.jsonl --report "
        "reports/attacked-proofs.md` goes on from",
        "the record and writes this page: MNIST test images, the 784-512-512-10 network in float "
        "and quantised; ladders of radius 20 and step 1/4,",
        "L-infinity balls of 1/255. Each number is of regions that were proved ROBUST and then "
        f"attacked. {', '.join(MANY)} have 50 restarts.",
        "",
        *table_of(by),
        "",
        f"{regions:,} regions of {WANTED:,} wanted, around {len(lines):,} pairs of "
        f"image and file. {' '.join(said)}",
    ]
    return "\n".join(told) + "\n"


def main(
    path: Path,
    page: Path | None,
    runs: Sequence[Run] = RUNS,
    attacks: Sequence[str] = ATTACKS,
) -> int:
    """Attack what the record lacks, a line an image; the page grows with it."""
    record = Record(path)
    for run, images in in_turn(runs):
        left = [image for image in images if not record.done(run, image)]
        for line in attacked(run, left, attacks) if left else ():
            record.tell(line)
            sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()
        if left and page is not None:
            page.write_text(report(record.lines), encoding="utf-8")
    return 1 if alarms(record.lines) else 0


def parser_of(name: str, about: str) -> argparse.ArgumentParser:
    """The options that a record and its page need."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.{name}", description=about)
    parser.add_argument(
        "--record", type=Path, required=True, help="what was found: read to resume, and added to"
    )
    parser.add_argument("--report", type=Path, help="the page of tables to write")
    return parser


if __name__ == "__main__":
    given = parser_of("attacked_proofs", "attack regions that are proved ROBUST").parse_args()
    raise SystemExit(main(given.record, given.report))
