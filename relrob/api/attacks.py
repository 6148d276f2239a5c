"""The attacks that relrob knows, as `relrob attacks` lists them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any

from relrob.attacks.table import ATTACKS
from relrob.domain.region import Norm
from relrob.registry import Entry, load


@dataclass(frozen=True)
class AttackInfo:
    """An attack: its name, a sentence, what it `needs` of a network ("gradients", "outputs" or
    "labels"), the `norm` that it keeps small and its `parameters` with their defaults.

    Norm and parameters are "" and empty for an attack of another package, which is not imported for
    a list; `extra`: that of `pip install relrob[EXTRA]` which brings it.
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


def attacks() -> tuple[AttackInfo, ...]:
    """All attacks, in the order of the registry."""
    return tuple(_info(entry) for entry in ATTACKS)


def _info(entry: Entry) -> AttackInfo:
    if entry.extra:
        return AttackInfo(entry.name, entry.summary, entry.needs, "", {}, entry.extra)
    made = load(entry.target)
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
    )
