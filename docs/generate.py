"""The generated parts of README.md and docs/: run by cog (`make docs`), checked by CI (`make
lint`)."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import relrob
from relrob.api.attacks import attacks as known_attacks
from relrob.audit.rules import RULES
from relrob.cli.main import COMMANDS, group
from relrob.compress.table import QUANTISERS
from relrob.domain.presets import PRESETS
from relrob.registry import EVALUATORS, Entry, load, solvers
from relrob.report.run.table import table_markdown
from relrob.store.summary import Summary
from relrob.training.architectures import ARCHITECTURES

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "reports" / "quickstart"
# Of a sentence, which ends neither in the middle of a name nor at the dot of an abbreviation.
END = re.compile(r"(?<!\bSec)(?<!\bet al)[.?!](?= [^a-z]|$)")


def results() -> str:
    """The two tables of the committed quickstart run."""
    blocks = table_markdown(_quickstart()).split("\n\n")
    return "\n\n".join(block for block in blocks if block.startswith("|"))


def measured() -> str:
    """One sentence about the committed quickstart run."""
    summary = _quickstart()
    made = json.loads((QUICKSTART / "provenance.json").read_text(encoding="utf-8"))
    points = summary.points
    return (
        f"`{made['command']}` on {summary.header.dataset.images} images: "
        f"{points.covered:,} perturbed images decided for both networks, "
        f"{points.evaluated:,} of them run and {points.proved:,} proved, "
        f"{made['seconds_of_work']:.0f} s of work."
    )


def _quickstart() -> Summary:
    return Summary.of(json.loads((QUICKSTART / "summary.json").read_text(encoding="utf-8")))


def table(entries: tuple[Entry, ...]) -> str:
    """A registry as a Markdown table."""
    rows = [f"| `{entry.typed}` | {entry.summary} |" for entry in entries]
    return "\n".join(["| name | what it is |", "| --- | --- |", *rows])


def registries() -> str:
    """Solvers, runtimes and schemes."""
    parts = (
        ("Solvers of ladders", solvers("ladder")),
        ("Solvers of balls and lattices", solvers("linf")),
        ("Runtimes", EVALUATORS),
        ("Quantisation schemes", QUANTISERS),
    )
    return "\n\n".join(f"### {title}\n\n{table(entries)}" for title, entries in parts)


def attacks() -> str:
    """The attacks with their parameters."""
    rows = []
    for each in known_attacks():
        told = " ".join(f"{key}={value}" for key, value in each.parameters.items())
        shown = f"`{told}`" if told else f"`relrob[{each.extra}]`" if each.extra else ""
        rows.append(f"| `{each.name}` | {each.summary} | {each.needs} | {each.norm} | {shown} |")
    head = ["| attack | is | needs | keeps small | parameters |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def presets() -> str:
    """Regions by name."""
    rows = [f"| `{preset.name}` | {preset.summary} |" for preset in PRESETS]
    return "\n".join(["| `--region` | is |", "| --- | --- |", *rows])


def networks() -> str:
    """The networks that are trained here."""
    rows = [
        f"| `{each.name}` | {each.summary} | {each.quick.described} | {each.full.described} |"
        for each in ARCHITECTURES
    ]
    return "\n".join(["| `--arch` | is | quick | full |", "| --- | --- | --- | --- |", *rows])


def commands() -> str:
    """The commands, each with a link to its options."""
    rows = [
        f"| [`relrob {name}`](docs/cli.md#relrob-{name}) | {summary.rstrip('.')} |"
        for name, (_, summary) in COMMANDS.items()
    ]
    return "\n".join(["| command | does |", "| --- | --- |", *rows])


def reference() -> str:
    """The help of every command."""
    parts = [_help(group, "relrob")]
    for name in COMMANDS:
        command: click.Command = load(COMMANDS[name][0])
        parts.append(_help(command, f"relrob {name}"))
        if isinstance(command, click.Group):
            parts += [_help(each, f"relrob {name} {sub}") for sub, each in command.commands.items()]
    return "\n\n".join(parts)


def python() -> str:
    """The functions of `relrob`, with their signatures and what they say of themselves."""
    parts = []
    for name in relrob.__all__:
        found = getattr(relrob, name)
        function = load(found.DOOR) if isinstance(found, ModuleType) else found
        if not inspect.isroutine(function):
            continue
        words = inspect.cleandoc(inspect.getdoc(function) or "")
        parts.append(f"## relrob.{name}\n\n```text\n{_call(name, function)}\n```\n\n{words}")
    return "\n\n".join(parts)


def _call(name: str, function: Any) -> str:
    """The call of a function with its parameters, one a line."""
    signature = inspect.signature(function)
    shown, named = (
        list[str](),
        any(each.kind is each.VAR_POSITIONAL for each in signature.parameters.values()),
    )
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not named:
            shown.append("*")
            named = True
        shown.append(_parameter(each))
    returned = str(signature.return_annotation)
    return "\n".join([f"{name}(", *(f"    {each}," for each in shown), f") -> {returned}"])


def _parameter(each: inspect.Parameter) -> str:
    """A parameter with its type and default, as it stands in the code."""
    stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
    told = f"{stars}{each.name}: {each.annotation}"
    if each.default is each.empty:
        return told
    default = each.default.__name__ if inspect.isroutine(each.default) else repr(each.default)
    return f"{told} = {default}"


def _help(command: click.Command, path: str) -> str:
    settings = {**group.context_settings, "max_content_width": 100}
    context = click.Context(command, info_name=path, terminal_width=100, **settings)
    return f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```"


def policy_rules() -> str:
    """The rules of a policy, with the thresholds of the default one."""
    rows = [
        "| `allowed-diagnoses` | none | blocking diagnoses that pass; any other fails | |",
        *(
            f"| `{rule.id}` | {rule.default} | {'at most' if rule.most else 'at least'}: "
            f"{rule.measures.replace('|', chr(92) + '|')} | {rule.of} |"
            for rule in RULES
        ),
    ]
    head = ["| rule and option | default | asks | a share is of |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def rooms() -> str:
    """Every package of the library and its modules, each in the first sentence of its text."""
    parts = []
    for folder in sorted((ROOT / "relrob").glob("*/__init__.py")):
        parts.append(_room(folder.parent, "relrob"))
    parts.append(_room(ROOT / "solvers" / "relrob_solvers", ""))
    parts.append(_room(ROOT / "datasets" / "relrob_datasets", ""))
    return "\n\n".join(parts)


def _room(folder: Path, above: str) -> str:
    """A package as a heading, a sentence and a list of modules."""
    name = f"{above}/{folder.name}".lstrip("/")
    lines = [f"### {name}/", "", _sentence(folder / "__init__.py"), ""]
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py":
            lines.append(f"- `{path.relative_to(folder).as_posix()}`: {_sentence(path)}")
    return "\n".join(lines)


def _sentence(path: Path) -> str:
    """The first sentence of the first paragraph of a module's docstring."""
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    text = " ".join(words.partition("\n\n")[0].split())
    end = END.search(text)
    return text[: end.end()] if end else text.rstrip(":") + "."
