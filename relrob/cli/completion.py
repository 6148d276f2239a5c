"""What the shell offers at Tab: words of the registry, names of data sets and studies, and files
wherever a file may stand.

`eval "$(_RELROB_COMPLETE=bash_source relrob)"` turns it on; likewise zsh_source and fish_source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from relrob.attacks.table import ATTACKS
from relrob.compress.table import QUANTISERS
from relrob.domain.presets import PRESETS
from relrob.domain.region import KINDS
from relrob.registry import EVALUATORS, SOLVERS, Entry, load

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

EFFECTIVE: Final = ("closest", "all", "farthest")
GRIDS: Final = ("exact", "8bit")
LAYOUTS: Final = ("auto", "hwc", "chw")
SPLITS: Final = ("test", "train")
FORMATS: Final = ("markdown", "csv", "latex", "json")
LABELS: Final = ("given", "reference")
CHANNELS: Final = ("rgb", "bgr")
RERUNS: Final = ("never", "unknown", "always")


def _starting(names: Iterable[str], start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(start)]


def words(*names: str) -> Completer:
    """These words."""
    return lambda context, parameter, start: _starting(names, start)


def path(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Files, by the shell's own completion."""
    return [CompletionItem(start, type="file")]


def _or_files(names: Iterable[str], start: str) -> list[CompletionItem]:
    """Names, and files by the shell; where names match, bash shows them alone, so that files are
    listed here too."""
    found = _starting(names, start)
    here = [each.name for each in Path().iterdir() if each.is_file()] if found else []
    # The shell's own completion comes first: bash forgets what stood before it.
    shell = CompletionItem(start, type="file")
    return [shell, *found, *_starting(sorted(here), start)]


def datasets(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Names of data sets, and files."""
    return _or_files((each.name for each in load("relrob_datasets.manifest:MANIFESTS")), start)


def dataset_names(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Names of data sets alone."""
    return _starting((each.name for each in load("relrob_datasets.manifest:MANIFESTS")), start)


def studies(context: click.Context, parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Names of the studies that come with relrob, and files."""
    folder = package_files("relrob.study") / "builtin"
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return _or_files(sorted(name.removesuffix(".toml") for name in names), start)


def architectures(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Names of the architectures that relrob trains."""
    known = load("relrob.training.architectures:ARCHITECTURES")
    return _starting((each.name for each in known), start)


regions: Final = words(*KINDS, *(preset.name for preset in PRESETS))
solvers: Final = words("auto", *(entry.typed for entry in SOLVERS))
runtimes: Final = words(*(entry.name for entry in EVALUATORS))


def _listed(table: tuple[Entry, ...]) -> Completer:
    """Names of a table behind those that stand there, with commas."""

    def complete(
        context: click.Context, parameter: click.Parameter, start: str
    ) -> list[CompletionItem]:
        before, comma, last = start.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{entry.name}")
            for entry in table
            if entry.name.startswith(last)
        ]

    return complete


runtime_list: Final = _listed(EVALUATORS)
attacks: Final = _listed(ATTACKS)
attack_names: Final = words(*(entry.name for entry in ATTACKS))
schemes: Final = words(*(entry.example or entry.name for entry in QUANTISERS))
