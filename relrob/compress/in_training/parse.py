"""Methods of compression in training, as users write them: "dorefa:2", "surgery:0.1:masked"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relrob.compress.pruning.activations import GRANULARITIES
from relrob.domain.formats import FixedFormat
from relrob.errors import UsageError

# Each method with an example, in the order of the documentation.
METHODS: Final[dict[str, str]] = {
    "dorefa": "dorefa:2",
    "apot": "apot:3",
    "q": "q:8:2",
    "magnitude": "magnitude:0.3",
    "surgery": "surgery:0.1",
    "sfp": "sfp:0.9",
    "pp": "pp:2:0.7",
}
DOREFA_BITS: Final = (1, 16)
APOT_BITS: Final = (2, 4)
GRADIENTS: Final = ("full", "masked")


@dataclass(frozen=True)
class Method:
    """A method by its `kind`: `bits` of DoReFa and APoT, `form` of fixed point, `share` of weights,
    filters or units that stay, `gradients` of pruned weights, `block` and `granularity` of a mask
    of activations. Those of other methods are 0, None and ""."""

    kind: str
    text: str
    bits: int = 0
    form: FixedFormat | None = None
    share: float = 0.0
    gradients: str = ""
    block: str = ""
    granularity: str = ""


def parse(text: str) -> str:
    """The method with all its parameters. Raises UsageError.

    >>> parse("surgery:.10"), parse("dorefa:02")
    ('surgery:0.1:full', 'dorefa:2')
    """
    return method_of(text).text


def method_of(text: str) -> Method:
    """The method in a text. Raises UsageError."""
    kind, *rest = text.split(":")
    if kind not in METHODS:
        raise UsageError(f"compression {text!r}", ", ".join(METHODS.values()))
    if kind in ("dorefa", "apot"):
        least, most = DOREFA_BITS if kind == "dorefa" else APOT_BITS
        bits = _whole(rest[0]) if len(rest) == 1 else 0
        if not least <= bits <= most:
            raise UsageError(f"compression {text!r}", f"{kind}:{least} to {kind}:{most}")
        return Method(kind, f"{kind}:{bits}", bits=bits)
    if kind == "q":
        width, point = (_whole(part) for part in rest) if len(rest) == 2 else (0, 0)
        form = FixedFormat(width, point)
        return Method(kind, f"q:{width}:{point}", form=form)
    if kind == "pp":
        return _masked(text, rest)
    gradients = rest[1] if kind == "surgery" and len(rest) == 2 else "full"
    parts = 2 if kind == "surgery" else 1
    share = _share(rest[0]) if 1 <= len(rest) <= parts else 0.0
    if not 0 < share <= 1 or gradients not in GRADIENTS:
        example = METHODS[kind]
        more = f", surgery:SHARE:{' or '.join(GRADIENTS)}" if kind == "surgery" else ""
        raise UsageError(f"compression {text!r}", f"{kind}:SHARE, 0 < SHARE <= 1{more}", example)
    tail = f":{gradients}" if kind == "surgery" else ""
    own = gradients if kind == "surgery" else ""
    return Method(kind, f"{kind}:{share:g}{tail}", share=share, gradients=own)


def _masked(text: str, rest: list[str]) -> Method:
    """A mask behind a block: its number or name, the share that stays, "unit" or "channel"."""
    block, share, granularity = [*rest, "unit"][:3] if 2 <= len(rest) <= 3 else ("", "", "")
    plain = block.isascii() and block.replace("_", "").isalnum()
    if not plain or not 0 < _share(share) <= 1 or granularity not in GRANULARITIES:
        words = "pp:BLOCK:SHARE or pp:BLOCK:SHARE:channel, 0 < SHARE <= 1"
        raise UsageError(f"compression {text!r}", words, METHODS["pp"])
    own = f"pp:{block}:{_share(share):g}:{granularity}"
    return Method("pp", own, share=_share(share), block=block, granularity=granularity)


def _whole(text: str) -> int:
    """A whole number of at most three digits, 0 for other texts."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0


def _share(text: str) -> float:
    """A number, 0 for other texts."""
    plain = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 12
    return float(text) if plain else 0.0
