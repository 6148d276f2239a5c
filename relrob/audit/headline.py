"""The first sentences of an audit: what is robust, what is lost, on which images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relrob.audit.baseline import Changes
from relrob.audit.rows import NOTHING, Row
from relrob.errors import how_many

MOST: Final = 5  # images that a sentence names


def named(images: Sequence[int]) -> str:
    """Images in words.

    >>> named([22]), named([3, 4]), named(range(9))
    ('image 22', 'images 3, 4', 'images 0, 1, 2, 3, 4 and 4 more')
    """
    shown = ", ".join(str(index) for index in images[:MOST])
    more = f" and {len(images) - MOST} more" if len(images) > MOST else ""
    return f"image{'s' if len(images) != 1 else ''} {shown}{more}"


def headline(rows: Sequence[Row]) -> str:
    """What the run says of the sampled images, one clause for each ground on which the reference is
    called robust: what is proved and what was only run are never in one number.

    The sentence begins with a small letter; it is "" where nothing was sampled.
    """
    sampled = [row for row in rows if row.sampled]
    if not sampled:
        return ""
    clauses = [
        _clause([row for row in sampled if row.reference_ground == ground], where)
        for ground, where in (
            ("proved", "where the reference is robust"),
            ("run", "where the reference is right at every point that the region has"),
        )
    ]
    clauses.append(_searched([row for row in sampled if row.withstood]))
    told = "; ".join(clause for clause in clauses if clause)
    return told or f"of {how_many(len(sampled), 'image')}, the reference is robust on none"


def _clause(rows: Sequence[Row], where: str) -> str:
    """Images on which the reference is robust, by what became of the quantised network."""
    if not rows:
        return ""
    of: dict[str, list[int]] = {}
    for row in rows:
        of.setdefault(row.outcome, []).append(row.index)
    proved, run, fooled = (of.get(name, []) for name in ("proved", "run", "fooled"))
    parts = []
    if proved or not run:
        parts.append(f"proved robust on {len(proved)}")
    if run:
        parts.append(f"right at every point on {len(run)}")
    parts.append(f"fooled on {len(fooled)}{f' ({named(fooled)})' if fooled else ''}")
    undecided = len(of.get("undecided", []))
    return (
        f"of {how_many(len(rows), 'image')} {where}, the quantised network is {', '.join(parts)}, "
        f"{undecided} undecided"
    )


def _searched(rows: Sequence[Row]) -> str:
    """Images on which nothing is proved of the reference."""
    if not rows:
        return ""
    fooled = [row.index for row in rows if row.outcome == "fooled"]
    proved = sum(row.outcome in ("proved", "run") for row in rows)
    also = f", and is robust on {proved}" if proved else ""
    which = f" ({named(fooled)})" if fooled else ""
    return (
        f"of {how_many(len(rows), 'image')} where nothing is proved of the reference and a search "
        f"did not fool it, the quantised network was fooled on {len(fooled)}{which}{also}"
    )


def beside(rows: Sequence[Row]) -> str:
    """The sampled images of which the headline does not speak, because the reference fails there;
    "" where there are none."""
    sampled = [row for row in rows if row.sampled]
    wrong = [row.index for row in sampled if not row.reference_verdict]
    fooled = [
        row.index
        for row in sampled
        if row.reference_verdict and not (row.reference_ground or row.withstood)
    ]
    told = []
    if wrong:
        told.append(f"wrong on {len(wrong)} unperturbed ({named(wrong)})")
    if fooled:
        told.append(f"fooled on {len(fooled)} ({named(fooled)})")
    return f"the reference itself is {' and '.join(told)} of {len(sampled)}" if told else ""


def attacked(rows: Sequence[Row]) -> str:
    """On which images attacks fooled the quantised network inside the region; "" where none was
    tried."""
    tried = [row for row in rows if row.quantised_attacked]
    if not tried:
        return ""
    beaten = [row for row in tried if row.beaten]
    alone = [row.index for row in beaten if row.reference_attacked == NOTHING]
    which = f" ({named([row.index for row in beaten])})" if beaten else ""
    told = (
        f"of {how_many(len(tried), 'image')} attacked, an attack fooled the quantised network "
        f"inside the region on {len(beaten)}{which}"
    )
    if not beaten:
        return told
    also = f" ({named(alone)})" if 0 < len(alone) < len(beaten) else ""
    return f"{told}, and the reference withstood all attacks on {len(alone)} of these{also}"


def changed_since(changes: Changes) -> str:
    """What is new since the baseline, and what is mended."""
    told = []
    for images, word in (
        (changes.new, "newly lost"),
        (changes.mended, "mended"),
        (changes.kept, "lost before and now"),
    ):
        told.append(f"{word}: {named(images) if images else 'none'}")
    return "since the baseline, " + "; ".join(told)
