"""Make the report of a study of stages in a folder of its own: README.md with claims, tables and
figures; summary.json and tables.csv with the numbers; records from which all of it is made again;
provenance.json. A note.md in the folder, which is written by hand, goes into README.md.

python -m reports.stages STUDY_DIRECTORY reports/zhao2018
python -m reports.stages --records reports/zhao2018

The study's directory is only read, and need not be finished. The second makes the pages again from
the records that lie in the folder: nothing is trained, attacked or run. No image of CIFAR-10 is
written, neither in figures nor in records.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from relrob.errors import RelrobError, StoreError, UsageError
from relrob.report.study.stage_text import stages_text
from relrob.store.stage_document import Finished
from relrob.study.pipeline.kinds import KINDS
from relrob.study.spec import builtin
from relrob.system.files import sha256_bytes, write_atomic
from relrob.training.architectures import find_architecture
from reports.made import machine, packages, write_figures
from reports.stage_page import page, summary_json
from reports.stage_records import LEFT_OUT, RECORDS, Run, opened, records

# Bytes of a whole report.
LIMIT: Final = 5_000_000
NOTE: Final = "note.md"
PROVENANCE: Final = "provenance.json"
PACKAGES: Final = ("relrob", "numpy", "scipy", "tensorflow", "keras", "matplotlib")
FULL: Final = "full"
_LARGEST: Final = 5


def main(directory: Path, report: Path) -> None:
    """Keep the records of a study's directory in the folder `report`, and make its pages. Raises
    RelrobError."""
    kept = records(directory)
    with opened(kept) as run:
        text = _text(run.index)
        facts = provenance(run, text)
    kept[f"{facts['study']}.toml"] = text.encode()
    kept[PROVENANCE] = (json.dumps(facts, indent=1) + "\n").encode()
    write(report, kept)


def again(report: Path) -> None:
    """Make the pages from the records in the folder. Raises RelrobError."""
    kept: dict[str, bytes] = {}
    for name in (*RECORDS, PROVENANCE):
        kept[name] = _kept(report, name)
    name = f"{json.loads(kept[PROVENANCE])['study']}.toml"
    write(report, {**kept, name: _kept(report, name)})


def _kept(report: Path, name: str) -> bytes:
    """The content of a file of a report. Raises StoreError where there is none."""
    if not (report / name).is_file():
        raise StoreError(f"{report} has no {name}", "a report that was made from a study")
    return (report / name).read_bytes()


def write(report: Path, kept: Mapping[str, bytes]) -> None:
    """Write records and pages, or nothing where they are too large together. Raises
    StoreError."""
    path = report / NOTE
    note = path.read_text(encoding="utf-8") if path.is_file() else ""
    made, drawn = pages(kept, note)
    check_size(report, {**kept, **made, **drawn, NOTE: note.encode()})
    for name, data in {**kept, **made}.items():
        write_atomic(report / name, data)
    write_figures(report, drawn)


def pages(kept: Mapping[str, bytes], note: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """(name to content of the pages, of the figures) from records alone; the same records give the
    same bytes."""
    facts = json.loads(kept[PROVENANCE])
    with opened(kept) as run:
        drawn = run.figures
        made = {
            "README.md": page(run, facts, drawn, note),
            "summary.json": summary_json(run, facts),
            "tables.csv": stages_text(run.index["title"], run.groups, "csv"),
        }
    return {name: text.encode() for name, text in made.items()}, drawn


def check_size(report: Path, files: Mapping[str, bytes]) -> None:
    """Raise StoreError that names the largest files where all are more than LIMIT together."""
    total = sum(map(len, files.values()))
    if total > LIMIT:
        largest = sorted(files, key=lambda name: len(files[name]), reverse=True)[:_LARGEST]
        told = ", ".join(f"{name} {len(files[name]):,}" for name in largest)
        raise StoreError(
            f"{report} would have {total:,} bytes ({told})",
            f"{LIMIT:,} at most",
            "leave out figures or groups",
        )


def provenance(run: Run, text: str) -> dict[str, Any]:
    """What made the numbers. `text`: the study's TOML. The seconds of a stage count in the first
    group that has it."""
    seen: set[str] = set()
    groups: dict[str, dict[str, Any]] = {}
    for entry in run.index["stages"]:
        told = groups.setdefault(
            entry["group"],
            {"kind": entry["kind"], "stages": 0, "done": 0, "images": set(), "minutes": 0.0},
        )
        told["stages"] += 1
        stage = run.stages.get(entry["stage"])
        if stage is None:
            continue
        told["done"] += 1
        told["images"] |= {stage.options["images"]} if "images" in stage.options else set()
        told["minutes"] += 0.0 if entry["stage"] in seen else stage.seconds / 60
        seen.add(entry["stage"])
    for told in groups.values():
        told |= {"images": sorted(told["images"]), "minutes": round(told["minutes"], 1)}
    return {
        "study": run.index["study"],
        "profile": run.index["profile"],
        "sha256": run.index["sha256"],
        "stages": len({entry["stage"] for entry in run.index["stages"]}),
        "finished": len(run.stages),
        "minutes_of_work": round(sum(each.seconds for each in run.stages.values()) / 60, 1),
        "groups": groups,
        "scaled_down": scaled_down(text, run.index["profile"]),
        "made_with": _tools(run.stages),
        "kernels": "Keras on TensorFlow, CPU, float32; each example is judged alone",
        "machine_of_the_report": machine(),
        "packages_of_the_report": packages(PACKAGES),
        "left_out": [*LEFT_OUT],
    }


def _tools(stages: Mapping[str, Finished]) -> list[dict[str, Any]]:
    """What stages were made with (processors that the worker had, its threads), and how many."""
    counts: dict[str, int] = {}
    for each in stages.values():
        key = json.dumps(each.made, sort_keys=True)
        counts[key] = counts.get(key, 0) + 1
    return [{**json.loads(key), "stages": count} for key, count in sorted(counts.items())]


def scaled_down(text: str, profile: str) -> list[dict[str, str]]:
    """What a profile has otherwise than the profile `full` of the study's TOML: its values, and the
    recipes of its networks."""
    study = tomllib.loads(text)
    profiles = study.get("profile", {})
    here, full = profiles.get(profile, {}), profiles.get(FULL)
    if full is None or profile == FULL:
        return []
    found = [
        {"of": name, "here": _told(here.get(name)), "full": _told(full[name])} for name in full
    ]
    for arch, started, dataset, recipe in dict.fromkeys(
        (each["arch"], "start" in each, each["dataset"], each["profile"])
        for each in ({**KINDS["train"].options, **given} for given in study.get("train", ()))
    ):
        network = find_architecture(arch)
        # A group names its recipe, or "$" and the value of the profile that does.
        key = recipe[1:] if recipe.startswith("$") else None
        named = [values.get(key, recipe) for values in (here, full)]
        sides = [network.recipe(name, started, dataset).described for name in named]
        words = f"{'training from given weights' if started else 'training'}, {arch}"
        found.append({"of": words, "here": sides[0], "full": sides[1]})
    return [each for each in found if each["here"] != each["full"] and each["of"] != "recipe"]


def _told(value: Any) -> str:
    """A value of a profile in a cell."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _text(index: Mapping[str, Any]) -> str:
    """The TOML that the study was run with. Raises StoreError where relrob has another one now."""
    text = builtin().get(index["study"], "")
    if sha256_bytes(text.encode()) != index["sha256"]:
        raise StoreError(
            f"the study {index['study']} was run with another text than relrob has of it now",
            "the same text",
            "run it again: stages that are still the same are not made again",
        )
    return text


def command(words: Sequence[str]) -> None:
    """What was typed after `python -m reports.stages`. Raises RelrobError."""
    if len(words) != 2:
        raise UsageError(f"{len(words)} words", "STUDY_DIRECTORY REPORT, or --records REPORT")
    if words[0] == "--records":
        again(Path(words[1]))
    else:
        main(Path(words[0]), Path(words[1]))


if __name__ == "__main__":
    try:
        command(sys.argv[1:])
    except RelrobError as error:
        raise SystemExit(str(error)) from error
