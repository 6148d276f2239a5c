"""A policy: which rules an audit asks, with which thresholds. `policy.toml` in and out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from relrob.audit.diagnosis import IDS
from relrob.audit.rules import DIAGNOSES, OFF, RULES, Threshold, rule_of, threshold_of
from relrob.errors import UsageError
from relrob.system.toml import toml_tables, toml_text

_TABLES: Final = ("rules", "judge")
_KEY: Final = re.compile(r"""^\s*["']?([\w-]+)["']?\s*=""")
_TABLE: Final = re.compile(r"^\s*\[\s*([\w-]+)\s*\]")


@dataclass(frozen=True)
class Policy:
    """Thresholds by rule, in the order of `RULES`; rules that are off are left out.

    `allowed`: blocking diagnoses that pass, None where none is asked about. `population`: shares
    are judged by their 95 % interval, for all images like these, not for these alone. `path`: of
    the file, "" for the default policy; `lines`: of its keys, from 1.
    """

    thresholds: tuple[tuple[str, Threshold], ...]
    allowed: tuple[str, ...] | None = ()
    population: bool = False
    path: str = ""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def threshold(self, name: str) -> Threshold | None:
        """That of a rule, None where it is off."""
        return dict(self.thresholds).get(name)


def default_policy() -> Policy:
    """The policy without a file."""
    return _built({rule.id: rule.default for rule in RULES})


def _built(given: Mapping[str, object]) -> Policy:
    found = [(rule.id, threshold_of(rule, given[rule.id])) for rule in RULES if rule.id in given]
    return Policy(tuple((name, each) for name, each in found if each is not None))


def changed(policy: Policy, options: Mapping[str, object], allowed: Sequence[str] = ()) -> Policy:
    """The policy with thresholds that the command line gives. Raises UsageError."""
    kept: dict[str, object] = {name: each.text() for name, each in policy.thresholds}
    for name, value in options.items():
        kept[rule_of(name).id] = value
    also = _diagnoses(list(allowed))
    both = None if policy.allowed is None else tuple(sorted({*policy.allowed, *also}))
    return replace(policy, thresholds=_built(kept).thresholds, allowed=both)


def asked(policy: str | Path | Policy | None, options: dict[str, Any]) -> Policy:
    """The policy with the rules among `options`, which are taken out of them: `max_lost`, and
    `allow`, names of diagnoses. Raises UsageError, StoreError."""
    rules = {rule.id: options.pop(rule.id.replace("-", "_"), None) for rule in RULES}
    given = {name: value for name, value in rules.items() if value is not None}
    allowed = tuple(options.pop("allow", ()))
    if policy is None:
        policy = default_policy()
    elif not isinstance(policy, Policy):
        policy = read_policy(Path(policy))
    return changed(policy, given, allowed) if given or allowed else policy


def text_of(options: Mapping[str, Any]) -> str:
    """The policy that an audit with these options holds, as TOML. Raises UsageError for options
    that are none of a policy, StoreError."""
    given = dict(options)
    text = policy_text(asked(given.pop("policy", None), given))
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"{names} {'has' if len(given) == 1 else 'have'} no effect with --print-policy",
            "--policy, --allow and the rules",
            f"leave out {names}",
        )
    return text


def read_policy(path: Path) -> Policy:
    """The policy of a file; rules that it does not name keep their default. Raises UsageError,
    StoreError."""
    text = toml_text(path)
    document = toml_tables(str(path), text, "a policy", "relrob audit --print-policy")
    return policy_of(document, str(path), lines_of(text))


def policy_of(
    document: Mapping[str, Any], path: str = "", lines: Mapping[str, int] | None = None
) -> Policy:
    """The policy of a TOML document. Raises UsageError for a key, a table or a value that is
    none."""
    _known(document, _TABLES, f"{path or 'policy'} has")
    for name in _TABLES:
        if not isinstance(document.get(name, {}), Mapping):
            raise UsageError(f"{name} in {path or 'the policy'} is no table", f"[{name}]")
    rules, judge = dict(document.get("rules", {})), dict(document.get("judge", {}))
    _known(rules, (DIAGNOSES, *(rule.id for rule in RULES)), f"{path or 'policy'} [rules] has")
    _known(judge, ("population",), f"{path or 'policy'} [judge] has")
    population = judge.get("population", False)
    if not isinstance(population, bool):
        raise UsageError(f"population = {population!r}", "true or false")
    listed = rules.pop(DIAGNOSES, [])
    allowed = None if listed == OFF else _diagnoses(listed)
    made = _built({rule.id: rule.default for rule in RULES} | rules)
    return replace(made, allowed=allowed, population=population, path=path, lines=dict(lines or {}))


def _known(given: Mapping[str, Any], accepted: Sequence[str], where: str) -> None:
    """Raise UsageError for the first key that is not accepted."""
    for name in given:
        if name not in accepted:
            near = get_close_matches(name, accepted, 1)
            raise UsageError(f"{where} {name!r}", ", ".join(accepted), *near)


def _diagnoses(listed: Any) -> tuple[str, ...]:
    """Names of diagnoses. Raises UsageError."""
    if not isinstance(listed, list):
        raise UsageError(f"{DIAGNOSES} = {listed!r}", f'a list of diagnoses, or "{OFF}"')
    for name in listed:
        if name not in IDS:
            raise UsageError(f"diagnosis {name!r}", ", ".join(IDS))
    return tuple(sorted(set(listed)))


def lines_of(text: str) -> dict[str, int]:
    """The line of each key of the table `rules`, from 1.

    >>> lines_of("[rules]\\n# a\\nmax-lost = 3\\n")
    {'max-lost': 3}
    """
    found, table = dict[str, int](), ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            table = head[1]
        elif (key := _KEY.match(line)) and table == "rules":
            found.setdefault(key[1], number)
    return found


def policy_text(policy: Policy) -> str:
    """The policy as TOML with comments, which gives the same policy back; rules that are off stand
    there, off."""
    allowed = f'"{OFF}"' if policy.allowed is None else str(list(policy.allowed)).replace("'", '"')
    lines = [
        "# What `relrob audit` asks. A threshold is a number of images (3) or a share",
        f'# ("2.5%"); "{OFF}" asks nothing.',
        "[rules]",
        "# Blocking diagnoses that are known and pass.",
        f"{DIAGNOSES} = {allowed}",
    ]
    for rule in RULES:
        found = policy.threshold(rule.id)
        text = found.text() if found else OFF
        least = "At most" if rule.most else "At least"
        lines += [
            *_comment(f"{least}: {rule.measures}"),
            *_comment(f"  (a share is of {rule.of})."),
            f"{rule.id} = {text if text.isdigit() else chr(34) + text + chr(34)}",
        ]
    lines += [
        "",
        "[judge]",
        "# true: shares are judged by their 95 % interval, for all images like these.",
        f"population = {str(policy.population).lower()}",
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    """Lines of at most 80 columns."""
    return textwrap.wrap(text, 80, initial_indent="# ", subsequent_indent="#   ")
