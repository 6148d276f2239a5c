"""Attacks at the radii that `relrob radius` proved, by hand (a quarter of a minute a region):
`python -m tests.attacked_radii DIRECTORY --record FILE`, which resumes; `--report FILE` writes its
tables.

Each network is attacked in the region of its own proved radius. The proposals, shortened to that
radius, run on the runtime that is called directly. A wrong label inside is an alarm (exit code 4),
and so is a witness of the search that does not hold. The point of a wrong label is kept beside the
record.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.attacks.attack import attacked as replayed
from relrob.attacks.attack import generator
from relrob.attacks.goal import Goal
from relrob.domain.arrays import Floats
from relrob.domain.radius import Interval, RadiusRecord
from relrob.domain.record import NO_SIGNAL, NO_START, WitnessView
from relrob.domain.region import Ball, Ladder, Norm
from relrob.errors import AlarmError, RelrobError, UsageError
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import Opened
from relrob.relative.beside import Armed
from relrob.relative.radius import Arms
from relrob.store.attack_summary import labels_of
from relrob.store.radius_reading import RadiusData, open_radius
from relrob.study.attacks import armed_in
from relrob.study.work import opened
from relrob_datasets import load
from relrob_datasets.dataset import Dataset
from tests.attacked_proofs import (
    NETWORKS,
    Record,
    alarms,
    parser_of,
    regions_of,
    table_of,
    tallies,
)
from tests.proved_points import Nested, corners, fed, one_sided, towards, within
from tests.raw_labels import raw_labels

ATTACKS: Final = ("pgd", "apgd-ce", "square", "hopskipjump", "boundary")
RESTARTS: Final = 10
SAMPLES: Final = 200
ALARM: Final = AlarmError.exit_code
_SEEDS: Final = 32  # bits that the index of an image takes in a seed
_DRAWN: Final = {"corners": corners, "one-sided": one_sided}


@dataclass(frozen=True)
class Tried:
    """What is tried at each radius: the texts of attacks, and so many samples of each kind."""

    attacks: tuple[str, ...] = tuple(f"{name}:restarts={RESTARTS}" for name in ATTACKS)
    samples: int = SAMPLES
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Side:
    """A network: as relrob opens it for attacks, and its label of an image by the runtime alone."""

    opened: Opened
    raw: Callable[[Floats], int]


@dataclass(frozen=True, eq=False)
class Search:
    """A finished search for radii, with its images and networks."""

    data: RadiusData
    images: Dataset
    region: Nested
    sides: Mapping[str, Side]
    arms: Arms
    tried: Tried

    @property
    def name(self) -> str:
        """Kind of region and scheme, as `tests.attacked_proofs` names its runs."""
        return f"{self.region.kind} {self.data.summary.header['quantised']['scheme']}"

    @property
    def key(self) -> list[Any]:
        """All that decides what is tried, but for the radii."""
        own = self.tried
        return [self.data.summary.header["run"], list(own.attacks), own.samples, own.seed]


def search_of(data: RadiusData, directory: Path, dataset: str | None, tried: Tried) -> Search:
    """Open the images and the networks of a search. `dataset`: where the images lie, by default
    the name that the search has. Raises RelrobError where a file is not the one of the search."""
    header = data.summary.header
    told = header["dataset"]
    images = load(dataset or told["name"], told["split"])
    _same("data set", images.sha256, told["sha256"])
    sides = {name: _side(name, header[name], directory, images) for name in NETWORKS}
    region = _region(data.config["region"])
    pair = sides["reference"].opened.network, sides["quantised"].opened.network
    arms = armed_in(",".join(tried.attacks), pair, _attackable(region))
    return Search(data, images, region, sides, arms, tried)


def _attackable(region: Nested) -> Nested:
    """The region whose radius and norm attacks take. None searches L1 balls; the L2 ball of the
    same radius holds the L1 ball, and its points are then shortened into that one."""
    return Ball(Norm.L2, region.radius) if region.kind == "l1" else region


def _region(told: Mapping[str, Any]) -> Nested:
    """The largest region."""
    exact = {name: Fraction(text) for name, text in told["exact"].items()}
    if told["kind"] == "ladder":
        return Ladder(exact["radius"], exact["step"], told["features"], told["axes"])
    return Ball(Norm(told["kind"]), exact["radius"])


def _side(role: str, told: Mapping[str, Any], directory: Path, images: Dataset) -> Side:
    """A network of the search; one that relrob made lies in its directory. Raises UsageError where
    the search did not feed it the pixels as they are."""
    if "input" in told:
        raise UsageError(
            f"{told['path']}, which reads pixels in its own way", "files that read them as they are"
        )
    kept = directory / told["path"]
    network = load_network(
        kept if kept.is_file() else told["path"],
        image_shape=images.image_shape,
        classes=images.classes,
        runtime=told["runtime"],
        layout=told.get("layout", "auto"),
    )
    _same(f"{role} network", network.sha256, told["sha256"])
    return Side(opened(network, 1, role), raw_labels(network))


def _same(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise UsageError(f"a {what} of SHA-256 {found[:12]}", f"that of the search, {wanted[:12]}")


@dataclass(eq=False)
class Around:
    """One image of a search under attack, and the alarms that it raised. `folder`: where points
    that raised one are kept."""

    search: Search
    record: RadiusRecord
    folder: Path
    told: list[str] = field(default_factory=list)

    @property
    def image(self) -> NDArray[Any]:
        """As the data set has it."""
        found: NDArray[Any] = self.search.images.images[self.record.index]
        return found

    def line(self) -> dict[str, Any]:
        """The line of the record: witnesses are checked, proved radii attacked."""
        line: dict[str, Any] = {
            "run": self.search.name,
            "image": self.record.index,
            "search": self.search.key,
            "ends": ends(self.record),
            "witnesses": [],
        }
        views = self.search.data.witnesses(self.record.index)
        for name in NETWORKS:
            interval: Interval = getattr(self.record, name)
            self._clean(name)
            if interval.broken is not None:
                self._witness(name, interval, views.get(name))
                line["witnesses"].append(name)
            if interval.proved:
                line[name] = self._attacked(name, interval, interval.proved, list(views.values()))
        return line | ({"alarm": "; ".join(self.told)} if self.told else {})

    def _clean(self, name: str) -> None:
        """Is the label of the image itself that of the search? -1 stands for none."""
        found = self.search.sides[name].raw(fed(self.image))
        wanted = getattr(self.record, f"{name}_label")
        if wanted not in (found, -1):
            self._alarm(
                f"the {name} network gives {found} to the image, and {wanted} in the search"
            )

    def _witness(self, name: str, interval: Interval, view: WitnessView | None) -> None:
        """Is there a witness at most as far as `broken`, of the label that the search says?"""
        broken, base = interval.broken or Fraction(0), fed(self.image)
        what = f"the witness of the {name} network at radius {broken}"
        if view is None:
            self._alarm(f"{what} is missing")
            return
        found = self.search.sides[name].raw(view.perturbed)
        region = self.search.region
        if not np.array_equal(view.original, base):
            self._alarm(f"{what} is of another image")
        if not within(region, self.image, view.perturbed, broken):
            self._alarm(f"{what} is farther away, or no point of such a region")
        if interval.proved and within(region, self.image, view.perturbed, interval.proved):
            self._alarm(f"{what} lies in the region of radius {interval.proved} that is proved")
        if found != interval.label or found == self.record.label:
            self._alarm(f"{what} has the label {found}, and {interval.label} in the search")

    def _attacked(
        self, name: str, interval: Interval, radius: Fraction, views: Sequence[WitnessView]
    ) -> dict[str, Any]:
        """A network's part of the line, as `tests.attacked_proofs.tallies` reads it."""
        region = replace(self.search.region, radius=radius)
        line: dict[str, Any] = {"verdict": "ROBUST", "inside": [], "blind": [], "seconds": {}}
        count = 0
        for by, propose in self._ways(name, region, views).items():
            begin = time.process_time()
            targets, learnt = propose()
            points = towards(region, self.image, targets)
            count += len(points)
            if self._fooled(name, interval, region, by, points):
                line["inside"].append(by)
            elif not learnt:
                line["blind"].append(by)
            line["seconds"][by] = round(time.process_time() - begin, 2)
        return {**line, "points": count}

    def _ways(
        self, name: str, region: Nested, views: Sequence[WitnessView]
    ) -> dict[str, Callable[[], tuple[Floats, bool]]]:
        """By name the functions that give targets (n, d), and whether they learnt anything."""
        tried, base = self.search.tried, fed(self.image)
        seed = (tried.seed << _SEEDS) + self.record.index
        arms = self.search.arms(_attackable(region))
        short = labels_of([armed.text for armed in arms])
        ways: dict[str, Callable[[], tuple[Floats, bool]]] = {
            by: partial(self._proposed, name, armed, seed)
            for by, armed in zip(short, arms, strict=True)
        }
        for by, draw in _DRAWN.items():
            ways[by] = partial(_drawn, draw, generator(seed, by), base, tried.samples)
        if views:
            ways["witnesses"] = lambda: (np.stack([view.perturbed for view in views]), True)
        return ways

    def _proposed(self, name: str, armed: Armed, seed: int) -> tuple[Floats, bool]:
        """The proposal (1, d) of an attack that sees the network as relrob opens it."""
        which, side = NETWORKS.index(name), self.search.sides[name]
        goal, base = Goal(np.array([self.record.label])), fed(self.image)[None, :]
        found = replayed(
            armed.attack, armed.text, side.opened, base, goal, model=armed.models[which], seed=seed
        )
        blind = found.words.get(0, "").startswith((NO_SIGNAL, NO_START))
        return found.adversarial, bool(found.success[0]) or not blind

    def _fooled(
        self, name: str, interval: Interval, region: Nested, by: str, points: Sequence[Floats]
    ) -> bool:
        """Does the network get a point (d,) of the region wrong? Then that is an alarm, and so is a
        point to which relrob's replay gives another label than the runtime."""
        if not points:
            return False
        side, true = self.search.sides[name], self.record.label
        found = [side.raw(point) for point in points]
        if found != labels(side.opened.replayer.outputs(np.stack(points))).tolist():
            self._alarm(f"relrob's replay of the {name} network differs from its runtime ({by})")
        wrong = [at for at, label in enumerate(found) if label != true]
        for at in wrong:
            if not within(region, self.image, points[at], region.radius):
                raise RelrobError(f"a point of {by} outside the region of radius {region.radius}")
        if wrong:
            kept = self._kept(name, by, region, points[wrong[0]], found[wrong[0]])
            self._alarm(
                f"the {name} network gives {found[wrong[0]]} at a point of {by} inside the region "
                f"of radius {region.radius}, which {interval.proved_by} proved {true}: {kept}"
            )
        return bool(wrong)

    def _kept(self, name: str, by: str, region: Nested, point: Floats, label: int) -> Path:
        """The file of a point that raised an alarm."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.record.index:05d}-{name}-{by.replace(':', '_')}.npz"
        np.savez(
            path,
            original=fed(self.image),
            perturbed=point,
            index=self.record.index,
            network=name,
            label=self.record.label,
            found=label,
            radius=str(region.radius),
            attack=by,
        )
        return path

    def _alarm(self, told: str) -> None:
        self.told.append(f"image {self.record.index}: {told}")


def _drawn(draw: Callable[..., Floats], *given: Any) -> tuple[Floats, bool]:
    return draw(*given), True


def ends(record: RadiusRecord) -> dict[str, list[str]]:
    """The radii of both networks as exact text: what a line of the record speaks of."""
    each = {name: getattr(record, name) for name in NETWORKS}
    return {name: [str(found.proved), str(found.broken)] for name, found in each.items()}


def report(lines: Sequence[Mapping[str, Any]], search: Search) -> str:
    """The page: regions by network, and what each attack found at their radius."""
    by = tallies(lines)
    header = search.data.summary.header
    paths = " and ".join(Path(header[name]["path"]).name for name in NETWORKS)
    points = sum(line[name]["points"] for line in lines for name in NETWORKS if name in line)
    checked = sum(len(line["witnesses"]) for line in lines)
    said = [f"ALARM {each}" for each in alarms(lines)] or ["No alarm."]
    told = [
        "# Attacks at radii that are proved",
        "",
        f"`python -m tests.attacked_radii DIRECTORY --record FILE --report FILE` on the search "
        f"{header['run'][:12]} of `relrob radius`",
        f"({header['dataset']['name']}, {paths} on {header['reference']['runtime']} and "
        f"{header['quantised']['runtime']}, {search.region.kind}).",
        "Each network is attacked in the region of the radius that was proved of it, image by "
        f"image: {', '.join(search.tried.attacks)};",
        f"{search.tried.samples} corners, as many one-sided points, the black and the white image; "
        "the witnesses of both networks. All proposals are",
        "shortened to the radius and run on the runtime itself. Seconds are processor time.",
        "",
        *table_of(by),
        "",
        f"{sum(regions_of(by).values()):,} regions around {len(lines):,} images, {points:,} points "
        f"run in them; {checked:,} witnesses checked. {' '.join(said)}",
    ]
    return "\n".join(told) + "\n"


def main(
    directory: Path,
    path: Path,
    page: Path | None = None,
    tried: Tried = Tried(),
    images: int | None = None,
    dataset: str | None = None,
) -> int:
    """Attack what the record lacks, a line an image, of the first `images`. Raises RelrobError."""
    record = Record(path)
    with open_radius(directory) as data:
        search = search_of(data, directory, dataset, tried)
        if any(line["search"] != search.key for line in record.lines):
            raise UsageError(f"{path}, a record of another search or other attacks", "its own file")
        for each in data.summary.asked[:images]:
            known = record.line(search.name, each.index)
            if "alarm" in known or known["ends"] != ends(each):
                record.tell(Around(search, each, path.with_suffix(".alarms")).line())
                sys.stdout.write(f"{json.dumps(record.line(search.name, each.index))}\n")
                sys.stdout.flush()
            if page is not None:
                page.write_text(report(record.lines, search), encoding="utf-8")
    return ALARM if alarms(record.lines) else 0


def _arguments() -> argparse.Namespace:
    parser = parser_of("attacked_radii", "attack regions of radii that are proved")
    parser.add_argument("directory", type=Path, help="of a finished relrob radius")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help="of each attack")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="corners; one-sided points")
    parser.add_argument("--images", type=int, help="attack so many, the first ones")
    parser.add_argument("--dataset", help="where the images lie, if not where the search says")
    parser.add_argument("--seed", type=int, default=0, help="of attacks and samples")
    return parser.parse_args()


def command() -> int:
    """The exit code of what was typed; a mistake is one line."""
    given = _arguments()
    attacks = tuple(f"{name}:restarts={given.restarts}" for name in ATTACKS)
    tried = Tried(attacks, given.samples, given.seed)
    try:
        return main(given.directory, given.record, given.report, tried, given.images, given.dataset)
    except RelrobError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(command())
