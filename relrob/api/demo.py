"""A tour of a minute, as `relrob demo` gives it: an image, its ladder, a witness, a proof and its
certificate. Every number in it is computed as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from relrob.api.explain import explain
from relrob.api.results import VerifyResult
from relrob.api.verify import verify
from relrob.certificates.checking.check import check
from relrob.domain.region import Ladder
from relrob.errors import UsageError
from relrob.regions.ladder import rung_set
from relrob.report.run.sketch import picture, sketch
from relrob.system.files import disk_errors, readable, write_atomic
from relrob.system.temporary import temporary_folder
from relrob_datasets import load

IMAGE: Final = 4
# Radius and step of the ladder that holds a witness, and of the one that is proved.
WIDE: Final = (10, "1/4")
FINE: Final = (5, "1/16")
_FILES: Final = {"demo.onnx": "reference.onnx", "demo.tflite": "quantised.tflite"}
_TEMPORARY: Final = "tour"


@dataclass(frozen=True)
class Step:
    """One stop of the tour: a `title`, the `command` that does the same ("" where none does),
    `sentences`, and a `picture` of letters, or ""."""

    title: str
    command: str
    sentences: tuple[str, ...]
    picture: str = ""

    def json(self) -> dict[str, Any]:
        """The fields."""
        return {**vars(self), "sentences": list(self.sentences)}


@dataclass(frozen=True)
class Tour:
    """The whole tour. `directory`: of its files, None where they were temporary."""

    steps: tuple[Step, ...]
    directory: Path | None

    def json(self) -> dict[str, Any]:
        """The document of `relrob demo --json`."""
        return {
            "directory": None if self.directory is None else readable(self.directory),
            "steps": [each.json() for each in self.steps],
        }


def demo(out: str | Path | None = None) -> Tour:
    """Take the tour. `out`: a new or empty directory for its files; a temporary one by default.
    Needs no network and, on an idle core, some ten seconds. Raises RelrobError."""
    directory = None if out is None else Path(out)
    return Tour(tuple(steps(directory)), directory)


def steps(out: Path | None = None, columns: int = 80) -> Iterator[Step]:
    """The stops, each as soon as it is computed; pictures have at most `columns` columns."""
    with _folder(out) as folder:
        shown = folder if out is not None else Path(_TEMPORARY)
        for packed, name in _FILES.items():
            source = files("relrob.study") / "builtin" / packed
            write_atomic(folder / name, source.read_bytes())
        yield _image()
        yield _ladder()
        wide = _run(folder, "witness", WIDE)
        yield _witness(wide, _command(shown, "witness", WIDE), columns)
        fine = _run(folder, "proof", FINE)
        yield _proof(fine, _command(shown, "proof", FINE))
        yield _certificate(fine, shown)
        yield _end(wide, fine, shown, out is not None)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The directory of the tour. Raises UsageError for one that holds files."""
    if out is None:
        with temporary_folder("relrob-demo-") as folder:
            yield folder
        return
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"{out} has files", "a new or empty directory", "another --out")
    yield out


def _run(folder: Path, name: str, numbers: tuple[int, str]) -> VerifyResult:
    """Both networks on the ladder of that radius and step."""
    radius, step = numbers
    networks = [folder / each for each in _FILES.values()]
    return verify(
        *networks,
        radius=radius,
        step=step,
        images=[IMAGE],
        certificates=True,
        out=folder / name,
    )


def _command(shown: Path, name: str, numbers: tuple[int, str]) -> str:
    """The same as a command line."""
    networks = " ".join(readable(shown / each) for each in _FILES.values())
    return (
        f"relrob verify {networks} --radius {numbers[0]} --step {numbers[1]} --images {IMAGE} "
        f"--certificates --out {readable(shown / name)}"
    )


def _image() -> Step:
    data = load("mnist", "test")
    image, label = data.images[IMAGE], int(data.labels[IMAGE])
    said = (
        f"This is image {IMAGE} of the MNIST test images, a {label}. A small network was trained "
        "on other images and then quantised to 8-bit weights. Which small changes of the image "
        "fool the one, which the other?"
    )
    scale = 255 if image.dtype.kind == "u" else 1
    return Step("An image", "", (said,), picture(image.reshape(28, 28) / scale))


def _ladder() -> Step:
    data = load("mnist", "test")
    radius, step = WIDE
    region = Ladder(Fraction(radius), Fraction(step), 20, 10)
    rungs = rung_set(region, data.images[IMAGE])
    told = (
        "Nobody can try every image, so a verdict names a set of images and speaks of all of it. "
        "The complete ladder takes the 200 pixels farthest from the mean in 20 features of 10. A "
        f"manipulation moves the pixels of one feature by {step} (1 is black to white).",
        f"All ways to combine them within radius {radius} make {rungs.count:,} images. They are "
        "counted exactly, with fractions.",
    )
    return Step("Its ladder", "", told)


def _witness(run: VerifyResult, command: str, columns: int) -> Step:
    """What that ladder holds; the sketch of a witness where there is one."""
    found = explain(run.directory, IMAGE)
    drawn = next((sketch(view, columns) for view in found.witnesses), "")
    told = [found.headline]
    for title, sentences in found.parts:
        if title.startswith("Verdict on the "):
            told.append(f"{title.removeprefix('Verdict on ').capitalize()}: {sentences[0]}")
    told += [each for title, each in _firsts(found.parts) if title.startswith("Set ")]
    return Step("A witness", command, tuple(told), drawn)


def _firsts(parts: tuple[tuple[str, tuple[str, ...]], ...]) -> Iterator[tuple[str, str]]:
    """Each title with its first sentence."""
    for title, sentences in parts:
        yield title, sentences[0]


def _proof(run: VerifyResult, command: str) -> Step:
    found, record = explain(run.directory, IMAGE), run.records[0]
    told = [found.headline]
    told += [
        f"{title.removeprefix('Verdict on ').capitalize()}: {each}"
        for title, each in _firsts(found.parts)
        if title.startswith("Verdict on ")
    ]
    if record.points is not None:
        told.append(
            f"Of {record.points:,} images {record.evaluated:,} were run on a network in all; "
            "bounds on whole sets of images settle the others at once, and count every rounding."
        )
    return Step("A proof", command, tuple(told))


def _certificate(run: VerifyResult, shown: Path) -> Step:
    """The certificates of the run, checked."""
    paths = sorted((run.directory / "certificates").glob("*.json"))
    told = [
        "A proof need not be believed. Its certificate is checked by code that shares nothing "
        "with the solvers, in other arithmetic."
    ]
    for path in paths:
        report = check(path)
        told.append(f"{path.name}: {report.status}, {report.parts} part(s) derived again or run.")
    if not paths:
        told.append("This run has no ROBUST verdict, so there is no certificate.")
    place = readable(shown / "proof" / "certificates")
    return Step("Its certificate", f"relrob check {place}/*.json" if paths else "", tuple(told))


def _end(wide: VerifyResult, fine: VerifyResult, shown: Path, kept: bool) -> Step:
    sets = [
        f"radius {numbers[0]}, step {numbers[1]}: {run.records[0].set}"
        for run, numbers in ((wide, WIDE), (fine, FINE))
    ]
    told = [f"The verdicts are about these two sets of images and no other ({'; '.join(sets)})."]
    where = (
        f"The files are in {readable(shown)}."
        if kept
        else (f"The files were temporary; relrob demo --out {_TEMPORARY} keeps them there.")
    )
    told.append(f"{where} The command above tells all that is known of the image.")
    told.append(
        "Next: relrob verify MODEL.onnx MODEL.tflite --dataset IMAGES.npz --radius 10 --step 1/8 "
        "asks the same of networks of your own, relrob audit whether one may be shipped."
    )
    return Step(
        "What it means", f"relrob explain {readable(shown / 'witness')} {IMAGE}", tuple(told)
    )
