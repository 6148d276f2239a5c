"""Why an image of a run has its verdicts, as `relrob explain` tells it."""

from __future__ import annotations

from pathlib import Path

from relrob.errors import UsageError
from relrob.registry import load
from relrob.report.run.explain import Explanation, explanation
from relrob.store.images import spelled
from relrob.store.run_directory import FILE, Store
from relrob.store.study_directory import INDEX, read_index, read_runs
from relrob.system.files import check_writable, readable, write_atomic


def explain(run: str | Path, image: int | str, *, picture: str | Path | None = None) -> Explanation:
    """The explanation of one image of a finished or interrupted run.

    `run`: a directory of `relrob verify`, or of `relrob audit`, whose run it holds. `image`: its
    index in the data set. `picture`: a .png to write, of the witness: the quantised network's
    where it has one. Raises RelrobError.
    """
    directory, index = run_in(Path(run)), index_of(image)
    path = None if picture is None else Path(picture)
    if path is not None:
        if path.suffix.lower() != ".png":
            raise UsageError(f"picture {path}", "a file name that ends in .png")
        check_writable(path)
    header = read_runs([directory])[0].summary.header
    with Store.read(directory) as store:
        done = store.done()
        if index not in done:
            held = spelled(sorted(done))[:200] if done else "none"
            raise UsageError(f"image {index}, which {directory} does not hold", f"one of {held}")
        record = store.records([index])[0]
        witnesses = store.witnesses(index)
        attacks = store.attacks(index).get(index, ())
    if path is not None:
        if not witnesses:
            raise UsageError(f"a picture of image {index}, which has no witness", "no --picture")
        write_atomic(path, load("relrob.report.run.picture:witness_png")(witnesses[0]))
    files = [readable(each) for each in files_of(directory, index)]
    written = [] if path is None else [readable(path)]
    return explanation(header, record, witnesses, attacks, [*files, *written])


def run_in(directory: Path) -> Path:
    """The run directory itself, or the one in an audit's directory. Raises UsageError for a study,
    which holds several."""
    if not (directory / FILE).is_file():
        if (directory / "run" / FILE).is_file():
            return directory / "run"
        if (directory / INDEX).is_file():
            cells = read_index(directory)["cells"]
            held = ", ".join(str(directory / cell["directory"]) for cell in cells[:3])
            raise UsageError(
                f"{directory} is a study of {len(cells)} runs", "the directory of one run", held
            )
    return directory


def index_of(image: int | str) -> int:
    """The index of an image, as typed. Raises UsageError."""
    text = str(image)
    if isinstance(image, bool) or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError(f"image {image!r}", "the index of an image, such as 3")
    return int(text)


def files_of(directory: Path, index: int) -> list[Path]:
    """Files of the run about one image: witnesses, their pictures, certificates."""
    folders = ("witnesses", "certificates")
    return sorted(each for name in folders for each in directory.glob(f"{name}/{index:05d}-*"))
