"""A study of stages as a TOML file.

title = "..."
report = "shrestha2024"          # optional: the published study that it repeats
[profile.quick]                  # values that stand for "$name" below
seeds = [0, 1, 2]
[[train]]                        # kinds: train, compress, attack, evaluate, distribution
name = "mnist-a"
arch = "mnist-a"
compress = ["", "dorefa:1"]      # a list is one stage a value, in every combination
seed = "$seeds"
[[attack]]
name = "fgsm"
source = "mnist-a"               # every stage of that name; its axes become axes of this one
attack = "fgsm:eps=0.25"
images = "$images"

An option that names another group is an input (`INPUTS`). Each stage of that group makes a stage of
this one; where the option is a list of groups, its name is an axis with the group as value. Where
the two have an axis in common, and where two inputs have, the values are equal, unless `across`
lists the axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from relrob.domain.stage import Stage
from relrob.errors import UsageError
from relrob.study.pipeline.kinds import KINDS, Kind
from relrob.study.spec import parsed
from relrob.system.files import sha256_bytes

MOST_STAGES: Final = 10_000
_HEAD: Final = ("title", "report", "profile")
_OWN: Final = ("name", "across")


@dataclass(frozen=True)
class Pipeline:
    """A study of stages. `report`: the published study that it repeats, "" for none. `stages`: in
    an order in which inputs come first; `profile`: the name of the values that it was read with."""

    name: str
    title: str
    report: str
    profile: str
    profiles: tuple[str, ...]
    sha256: str
    stages: tuple[Stage, ...]
    kinds: Mapping[str, Kind]

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, in order."""
        return tuple(dict.fromkeys(stage.group for stage in self.stages))


def is_pipeline(given: dict[str, Any]) -> bool:
    """Does a study's parsed text describe stages, and not grids of runs?"""
    return any(kind in given for kind in KINDS)


def read_pipeline(
    name: str, text: str, profile: str = "", kinds: Mapping[str, Kind] = KINDS
) -> Pipeline:
    """A study from its text. `profile`: "" takes the file's first. Raises UsageError that names the
    group and the option."""
    given = parsed(name, text)
    for key in given:
        if key not in (*_HEAD, *kinds):
            raise UsageError(f"study {name}: option {key!r}", ", ".join((*_HEAD, *kinds)))
    profiles = given.get("profile", {})
    if not isinstance(profiles, dict) or not all(isinstance(v, dict) for v in profiles.values()):
        raise UsageError(f"study {name}: profile {profiles!r}", "[profile.NAME] and values")
    if profile and profile not in profiles:
        raise UsageError(f"study {name} has no profile {profile!r}", ", ".join(profiles) or "none")
    chosen = profile or next(iter(profiles), "")
    groups = [
        (kind, _filled(f"study {name}, {group['name']}", group, profiles.get(chosen, {})))
        for kind, group in _groups(name, given, kinds)
    ]
    made: dict[str, list[Stage]] = {}
    for kind, group in _in_order(name, groups):
        made[group["name"]] = _stages(f"study {name}, {group['name']}", kind, group, made)
        if sum(map(len, made.values())) > MOST_STAGES:
            raise UsageError(f"study {name}: more than {MOST_STAGES:,} stages", "shorter lists")
    stages = tuple(stage for group in made.values() for stage in group)
    if not stages:
        raise UsageError(f"study {name} without a stage", " or ".join(f"[[{k}]]" for k in kinds))
    return Pipeline(
        name,
        str(given.get("title", name)),
        str(given.get("report", "")),
        chosen,
        tuple(profiles),
        sha256_bytes(text.encode()),
        stages,
        kinds,
    )


def _groups(
    name: str, given: dict[str, Any], kinds: Mapping[str, Kind]
) -> list[tuple[Kind, dict[str, Any]]]:
    """The groups of the file with their kinds. Raises UsageError."""
    found: list[tuple[Kind, dict[str, Any]]] = []
    names: set[str] = set()
    for key in given:
        if key not in kinds:
            continue
        kind = kinds[key]
        if not isinstance(given[key], list) or not all(isinstance(g, dict) for g in given[key]):
            raise UsageError(f"study {name}: {key} is no list of tables", f"[[{key}]] and options")
        for group in given[key]:
            title = group.get("name")
            if not isinstance(title, str) or not title:
                raise UsageError(f"study {name}: a {key} without a name", 'name = "..."')
            if title in names:
                raise UsageError(f"study {name}: two groups with the name {title}", "a name each")
            names.add(title)
            known = (*_OWN, *kind.inputs, *kind.options)
            for option in group:
                if option not in known:
                    raise UsageError(f"study {name}, {title}: option {option!r}", ", ".join(known))
            for role, needed in kind.inputs.items():
                if needed and role not in group:
                    raise UsageError(f"study {name}, {title}: no {role}", "the name of a group")
            found.append((kind, group))
    return found


def _in_order(
    name: str, groups: list[tuple[Kind, dict[str, Any]]]
) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """The groups with inputs first. Raises UsageError for a circle, and for a name of no group."""
    names = {group["name"] for _, group in groups}
    done: set[str] = set()
    waiting = list(groups)
    for kind, group in groups:
        for asked in _asked(kind, group):
            if asked not in names:
                raise UsageError(
                    f"study {name}, {group['name']}: group {asked!r}", ", ".join(names)
                )
    while waiting:
        ready = [each for each in waiting if done >= set(_asked(*each))]
        if not ready:
            left = ", ".join(group["name"] for _, group in waiting)
            raise UsageError(f"study {name}: {left} read each other", "groups without a circle")
        for each in ready:
            done.add(each[1]["name"])
            waiting.remove(each)
            yield each


def _asked(kind: Kind, group: dict[str, Any]) -> list[str]:
    """Names of the groups that a group reads."""
    given = [group[role] for role in kind.inputs if role in group]
    return [
        str(name) for value in given for name in (value if isinstance(value, list) else [value])
    ]


def _filled(where: str, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The group with the profile's values. Raises UsageError for one that the profile lacks."""
    found = dict(group)
    for key, value in group.items():
        if isinstance(value, str) and value.startswith("$"):
            if value[1:] not in values:
                raise UsageError(f"{where}: {value}", ", ".join(f"${v}" for v in values) or "none")
            found[key] = values[value[1:]]
    return found


def _stages(
    where: str, kind: Kind, group: dict[str, Any], made: dict[str, list[Stage]]
) -> list[Stage]:
    """The stages of a group: every combination of its lists and of its inputs that agree."""
    across = group.get("across", [])
    if not isinstance(across, list):
        raise UsageError(f"{where}: across {across!r}", 'a list of axes, such as ["seed"]')
    options = {**kind.options, **{key: group[key] for key in kind.options if key in group}}
    lists = {key: value if isinstance(value, list) else [value] for key, value in options.items()}
    if empty := [key for key, value in lists.items() if not value]:
        raise UsageError(f"{where}: {empty[0]} = []", "at least one value")
    axes = [key for key, value in options.items() if isinstance(value, list)]
    roles = [role for role in kind.inputs if role in group]
    offered = [_offered(made, group[role]) for role in roles]
    several = [role for role in roles if isinstance(group[role], list)]
    found = []
    for values in product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        own = {key: chosen[key] for key in axes}
        for inputs in product(*offered):
            linked = dict(zip(roles, inputs, strict=True))
            told = {role: linked[role].group for role in several}
            joint = _joined({**own, **told}, linked, across)
            if joint is not None:
                kind.check(where, chosen)
                whole = {**chosen, "version": kind.version}
                found.append(Stage(kind.name, group["name"], joint, whole, linked))
    if not found:
        raise UsageError(
            f"{where}: no inputs agree on their axes", "equal lists, or across = [...]"
        )
    return found


def _offered(made: dict[str, list[Stage]], value: Any) -> list[Stage]:
    """The stages of the groups that an input names."""
    names: Sequence[str] = value if isinstance(value, list) else [value]
    return [stage for name in names for stage in made[name]]


def _joined(
    own: dict[str, Any], inputs: dict[str, Stage], across: Sequence[str]
) -> dict[str, Any] | None:
    """The axes of a stage with these inputs, None where they do not agree. An axis that differs
    across inputs is called ROLE.AXIS for all but the first."""
    joint = dict(own)
    for role, stage in inputs.items():
        for key, value in stage.axes.items():
            if key not in joint:
                joint[key] = value
            elif key in across:
                joint[f"{role}.{key}"] = value
            elif joint[key] != value:
                return None
    return joint
