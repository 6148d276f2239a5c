"""The attacks that relrob knows, as `relrob attacks` lists them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any

from relrob.attacks.table import ATTACKS
from relrob.domain.region import Norm
from relrob.registry import Entry, find, load, load_extra


@dataclass(frozen=True)
class AttackInfo:
    """An attack: its name, a sentence, what it `needs` of a network ("gradients", "outputs" or
    "labels"), the `norm` that it keeps small and its `parameters` with their defaults.

    Norm and parameters are "" and empty for an attack of another package, which is imported only
    where it is named; `extra`: that of `pip install relrob[EXTRA]` which brings it.
    """

    name: str
    summary: str
    needs: str
    norm: str
    parameters: dict[str, str]
    extra: str = ""

    def json(self) -> dict[str, Any]:
        """The fields."""
        return dict(vars(self))


def attacks(*names: str) -> tuple[AttackInfo, ...]:
    """All attacks, or those of some names. Raises UsageError for an unknown name, and for an attack
    of a package that is not installed."""
    if not names:
        return tuple(_info(entry) for entry in ATTACKS)
    return tuple(_info(find(ATTACKS, name, "attack"), True) for name in names)


def _info(entry: Entry, wanted: bool = False) -> AttackInfo:
    if entry.extra and not wanted:
        return AttackInfo(entry.name, entry.summary, entry.needs, "", {}, entry.extra)
    made = load_extra(entry.target, entry.extra) if entry.extra else load(entry.target)
    defaults = {
        field.name: "required" if field.default is MISSING else str(field.default)
        for field in fields(made)
    }
    norm = getattr(made, "norm", "")
    return AttackInfo(
        entry.name,
        entry.summary,
        entry.needs,
        norm.value if isinstance(norm, Norm) else "",
        defaults,
        entry.extra,
    )
